package ui

import (
	"strings"
	"testing"
)

// TestIconsAreAllAPageLoads: the policy names where the icons on the page come from, each once, and the
// page has no other address to load from.
func TestIconsAreAllAPageLoads(t *testing.T) {
	const data = "data:image/png;base64,iVBORw0KGgo="
	for _, c := range []struct {
		name   string
		list   []Application
		policy string // what stands between scripts and forms
		images int
	}{
		{"none", []Application{{Name: "A"}, {Name: "B"}}, "", 0},
		{"one origin twice", []Application{
			{Name: "A", Icon: "https://icons.example/a.png", IconSource: "https://icons.example"},
			{Name: "B", Icon: "https://icons.example/b.png", IconSource: "https://icons.example"},
		}, "img-src https://icons.example; ", 2},
		{"in the address", []Application{{Name: "A", Icon: data, IconSource: "data:"}}, "img-src data:; ", 1},
		{"both", []Application{
			{Name: "A", Icon: data, IconSource: "data:"},
			{Name: "B", Icon: "http://localhost:1/b", IconSource: "http://localhost:1", Hidden: true},
		}, "img-src data: http://localhost:1; ", 2},
		{"not a picture", []Application{
			{Name: "A", Icon: "javascript:alert(1)"},
			{Name: "B", Icon: "data:text/html,x"},
			{Name: "C", Icon: "//evil/x"},
		}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := render(Applications{List: c.list})
			policy, body := w.Header().Get("Content-Security-Policy"), w.Body.String()
			nonce := nonceOf.FindStringSubmatch(policy)[1]
			want := "script-src 'nonce-" + nonce + "'; " + c.policy + "form-action 'self'"
			if !strings.Contains(policy, want) {
				t.Errorf("%s, want %s", policy, want)
			}
			n := strings.Count(body, "<img")
			if n != c.images || n != strings.Count(body, `referrerpolicy="no-referrer">`) {
				t.Errorf("%d images, want %d", n, c.images)
			}
			for _, icon := range c.list {
				shown := strings.Contains(strings.ReplaceAll(body, "&#43;", "+"), `<img src="`+icon.Icon+`"`)
				if c.images > 0 && !shown {
					t.Errorf("no picture of %s", icon.Icon)
				}
			}
		})
	}
}

// TestLetters stand for applications without an icon.
func TestLetters(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"wiki", "W"}, {"Łódź", "Ł"}, {"\"42\"", "4"}, {"¿qué?", "Q"}, {"維基", "維"},
		{"📅 Calendar", "📅"},
		{"...", "•"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := (Application{Name: c.name}).Letter(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
