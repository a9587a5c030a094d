package weburl

import "testing"

func TestHasDotSegments(t *testing.T) {
	for _, c := range []struct {
		path string
		want bool
	}{
		{"", false},
		{"/", false},
		{"/a/b.html", false},
		{"/.auth/login", false},
		{"/...", false},
		{"/a..b", false},
		{"/.", true},
		{"/a/..", true},
		{"/../b", true},
		{"/a/..;x=1/b", true},
		{"/a/.;/b", true},
		{`/a\b`, true},
	} {
		t.Run(c.path, func(t *testing.T) {
			if got := HasDotSegments(c.path); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
