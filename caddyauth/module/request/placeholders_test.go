package request

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestAnswersFirst: the order of answers depends on how Caddy's Replacer is made.
func TestAnswersFirst(t *testing.T) {
	repl := caddy.NewReplacer()
	repl.Map(func(key string) (any, bool) { return "mapped", key == "mapped" })
	repl.Set("http.auth.user.id", "before")
	repl.Set("kept", "before")
	ours := func(name string) caddy.ReplacerFunc {
		return func(key string) (any, bool) { return name, strings.HasPrefix(key, "http.auth.user.") }
	}
	for _, name := range []string{"alice", "bob"} {
		AnswerFirst(repl, ours(name))
		repl.Set("http.auth.user.id", "behind")
		repl.Set("set", "by "+name)
		for _, c := range []struct{ key, want string }{
			{"http.auth.user.id", name}, {"http.auth.user.role", name}, {"mapped", "mapped"}, {"kept", "before"},
			{"set", "by " + name},
		} {
			t.Run(c.key, func(t *testing.T) {
				if got, ok := repl.GetString(c.key); !ok || got != c.want {
					t.Errorf("%s: %q, want %q", c.key, got, c.want)
				}
			})
		}
	}
	repl.Delete("set")
	if got, _ := repl.GetString("set"); got != "by alice" { // the table before cannot be written any more
		t.Errorf("after it was deleted: %q", got)
	}
	if _, ok := repl.Get("unknown"); ok {
		t.Error("an unknown placeholder is known")
	}
}
