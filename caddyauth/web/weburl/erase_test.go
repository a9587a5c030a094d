package weburl

import (
	"strings"
	"testing"
)

func TestErase(t *testing.T) {
	token := func(value string) bool { return strings.HasPrefix(value, "at_") }
	for _, c := range []struct{ name, parameter, text, want string }{
		{"escaped", "t=Ab.c", "orig=%2Fx%3Ft%3DAb.c", "orig=%2Fx%3Ft%3D"},
		{"escaped in small letters", "t=Ab.c", "orig=%2fx%3ft%3dAb.c%26b", "orig=%2fx%3ft%3d%26b"},
		{"escaped twice", "t=Ab.c", "/%253Ft%253DAb.c", "/%253Ft%253D"},
		{"value escaped", "t=a%2Bb", "/x%3Ft%3Da%252Bb, /x?t=a+b", "/x%3Ft%3D, /x?t="},
		{"name escaped", "%74=Ab.c", "next=%2Fy%3Ft%3DAb.c", "next=%2Fy%3Ft%3D"},
		{"plain", "t=Ab.c", "a b?t=Ab.c t=Ab.c", "a b?t= t="},
		{"longer value", "t=1", "t=10&t=1", "t=10&t="},
		{"longer name", "t=1", "list=1&x%3Dt=1", "list=1&x%3Dt=1"},
		{"value alone", "t=203.0.113.7", "203.0.113.7, for=203.0.113.7", "203.0.113.7, for=203.0.113.7"},
		{"token alone", "t=at_Xy", "/a/at_Xy, X-at_XyUser", "/a/(), X-()User"},
		{"no value", "t=", "t=&x", "t=&x"},
		{"no ASCII", "t=Ab", "\u0130?t=Ab", "\u0130?t="},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := NewEraser([]string{c.parameter}, token).Erase(c.text); got != c.want {
				t.Errorf("%q became %q, want %q", c.text, got, c.want)
			}
		})
	}
}

func TestDropParametersOfNestedURL(t *testing.T) {
	drop := func(name string) bool { return name == "t" }
	if got, want := DropParametersIn("http://h/b?next=/x?t=1&a=2", drop), "http://h/b?next=/x&a=2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, _ := DropParameters("next=/x?t=1", drop); got != "next=/x?t=1" {
		t.Errorf("%q: no parameter of this query", got)
	}
}
