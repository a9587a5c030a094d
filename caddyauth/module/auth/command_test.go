package auth

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// TestCommandKeygenIsTakenBack: what the command prints works as the hint says, for every algorithm.
func TestCommandKeygenIsTakenBack(t *testing.T) {
	for _, algorithm := range keyring.Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			var out, hint bytes.Buffer
			if err := keygen(&out, &hint, algorithm, "key-2026", time.Now()); err != nil {
				t.Fatal(err)
			}
			keys := Keys{Active: "key-2026"}
			if strings.HasPrefix(algorithm, "HS") {
				keys.Secrets, keys.Algorithm = out.String(), algorithm
			} else {
				keys.Files = []KeyFile{{ID: "key-2026", Path: filepath.Join(t.TempDir(), "key.pem")}}
				if err := os.WriteFile(keys.Files[0].Path, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
				if strings.Contains(hint.String(), "algorithm "+algorithm) {
					keys.Algorithm = algorithm
				}
				if !strings.Contains(hint.String(), "file key-2026 ") {
					t.Errorf("hint: %s", hint.String())
				}
			}
			if err := keys.check(); err != nil {
				t.Fatal(err)
			}
			ring, err := keys.ring(resolver{caddy.NewReplacer()})
			if err != nil {
				t.Fatal(err)
			}
			if ring.Active().ID() != "key-2026" || ring.Active().Algorithm() != algorithm {
				t.Errorf("the ring signs with %s as %s", ring.Active().ID(), ring.Active().Algorithm())
			}
			if strings.Contains(hint.String(), "PRIVATE") || strings.Contains(hint.String(), ":") && strings.HasPrefix(algorithm, "HS") {
				t.Errorf("the hint holds the key: %s", hint.String())
			}
		})
	}
}

func TestCommandKeygenRefuses(t *testing.T) {
	for want, args := range map[string][2]string{
		"--alg": {"ES257", ""}, `"a,b"`: {"HS256", "a,b"}, `"a:b"`: {"HS256", "a:b"}, `"a b"`: {"HS512", "a b"}, "--kid: ": {"ES256", "a\nb"},
	} {
		var out, hint bytes.Buffer
		err := keygen(&out, &hint, args[0], args[1], time.Now())
		if err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, printed %q", args, err, out.String())
		}
	}
}

// TestCommandKeygenMakesItsOwnID: without --kid each key has its own id, and the printed one is used.
func TestCommandKeygenMakesItsOwnID(t *testing.T) {
	var first, second, hint bytes.Buffer
	if err := errors.Join(keygen(&first, &hint, "HS256", "", time.Now()), keygen(&second, &hint, "HS256", "", time.Now())); err != nil {
		t.Fatal(err)
	}
	one, _, _ := strings.Cut(first.String(), ":")
	two, _, _ := strings.Cut(second.String(), ":")
	if one == "" || one == two {
		t.Errorf("ids %q and %q", one, two)
	}
}

// TestCommandValuesCannotConfuseATerminal: what a hostile token holds is printed as what it is.
func TestCommandValuesCannotConfuseATerminal(t *testing.T) {
	got := quoted(map[string]any{
		"b\x1b[31m": []any{"\u009b31m", "\u202egnp.exe", true, nil, token.Number("1e3")},
		"a":         map[string]any{"line": "one\ntwo"},
	})
	want := `{"a": {"line": "one\ntwo"}, "b\x1b[31m": ["\u009b31m", "\u202egnp.exe", true, null, 1e3]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for text, want := range map[string]string{`a "quoted" \ word`: `a "quoted" \ word`, "Łukasz": "Łukasz", "a\x1b[0m": `"a\x1b[0m"`, "a\u009b": `"a\u009b"`} {
		if got := plain(text); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestLengthsOfTimeAreSpelledAsInACaddyfile(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"30d": 720 * time.Hour, "36h": 36 * time.Hour, "5m": 5 * time.Minute, "1m30s": 90 * time.Second, "59s": 59 * time.Second, "0s": 0,
		"1h5m": 65 * time.Minute, "-1m": -time.Minute, "10m0.5s": 10*time.Minute + 500*time.Millisecond,
	} {
		if got := spell(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// TestCommandHarmlessLeavesNothingThatReachesOut: handlers are found wherever routes can stand.
func TestCommandHarmlessLeavesNothingThatReachesOut(t *testing.T) {
	proxy := func() map[string]any {
		return map[string]any{"handler": "reverse_proxy", "upstreams": []any{map[string]any{"dial": "a:1"}}}
	}
	route := func(handlers ...any) map[string]any { return map[string]any{"handle": handlers} }
	doc := document{"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"s": map[string]any{
		"trusted_proxies": map[string]any{"source": "cloud"},
		"routes":          []any{route(map[string]any{"handler": "subroute", "routes": []any{route(proxy(), map[string]any{"handler": "odd"})}})},
		"errors":          map[string]any{"routes": []any{route(proxy())}},
		"named_routes":    map[string]any{"n": route(map[string]any{"handler": "file_server"}, map[string]any{"handler": "templates"})},
	}}}}}
	unknown := doc.harmless()
	text := quoted(map[string]any(doc))
	for _, never := range []string{`"reverse_proxy"`, `"file_server", `, "templates", "odd", "cloud"} {
		if strings.Contains(text, `"handler": `+never) || strings.Contains(text, `"source": "`+never) {
			t.Errorf("%s is left in %s", never, text)
		}
	}
	if strings.Count(text, `"handler": "static_response"`) != 3 || len(unknown) != 1 || unknown[0] != "odd" {
		t.Errorf("unknown %q in %s", unknown, text)
	}
}
