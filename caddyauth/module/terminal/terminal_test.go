package terminal

import "testing"

func TestPlainTextCannotConfuseATerminal(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`a "quoted" \ word`, `a "quoted" \ word`},
		{"Łukasz", "Łukasz"},
		{"a\x1b[0m", `"a\x1b[0m"`},
		{"a\u009b", `"a\u009b"`},
	} {
		t.Run(c.want, func(t *testing.T) {
			if got := Printable(c.text); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
