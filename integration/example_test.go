package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The people of Caddyfile.example.
const (
	examplePassword = "wonderland"
	exampleBuilder  = "builder"
)

// loadExample runs the repository's Caddyfile.example, on free ports and with this test's log.
func (g *gateway) loadExample(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "Caddyfile.example"))
	if err != nil {
		t.Fatal(err)
	}
	example := string(text)
	for _, c := range []struct{ port, site string }{{":8080", "app"}, {":8081", "auth"}, {":9000", "legacy"}} {
		if !strings.Contains(example, c.port) {
			t.Fatalf("the example does not use port %s", c.port)
		}
		example = strings.ReplaceAll(example, c.port, strings.TrimPrefix(g.url(c.site), "http://localhost"))
	}
	// The example's own global options follow those of the harness.
	globals, sites, ok := strings.Cut(example[strings.Index(example, "\n{")+2:], "\n}\n")
	if !ok {
		t.Fatal("the example has no global options")
	}
	harness := g.expand(strings.Replace(preamble, "%s\n}", "", 1))
	if err := loadText(harness + globals + "\n}\n" +
		regexp.MustCompile(`(?m)^(http://localhost:\d+ \{)$`).ReplaceAllString(sites, "$1\n\tlog")); err != nil {
		t.Fatalf("loading the example: %v", err)
	}
	g.secret("the example's password", examplePassword)
}

// TestExample drives Caddyfile.example as its comments and the README promise.
func TestExample(t *testing.T) {
	g := newGateway(t)
	g.loadExample(t)
	alice, bob := g.login(t, "alice", examplePassword), g.login(t, "bob", exampleBuilder)
	t.Run("anonymous", func(t *testing.T) {
		got := g.get(t, "app", "/", "")
		if got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("status %d, WWW-Authenticate %q", got.status, got.header.Get("WWW-Authenticate"))
		}
	})
	for _, c := range []struct {
		name string
		more []string
	}{
		{"plain", nil}, {"Connection", []string{"Connection: X-User-Id"}}, {"underscores", []string{"X_User_Id: eve"}},
		{"forged", []string{"X-User-Role: root", "X-User-Id: eve"}},
	} {
		t.Run("alice, "+c.name, func(t *testing.T) {
			got := g.get(t, "app", "/", alice, c.more...)
			if got.status != http.StatusOK || !strings.Contains(got.body, "X-User-Id: alice") ||
				!strings.Contains(got.body, "X-User-Role: admin") ||
				strings.Contains(got.body, "eve") || strings.Contains(got.body, "root") ||
				strings.Contains(got.body, "Bearer") {
				t.Errorf("status %d:\n%s", got.status, got.body)
			}
		})
	}
	t.Run("admin", func(t *testing.T) {
		if got := g.get(t, "app", "/admin", alice); got.status != http.StatusOK {
			t.Errorf("alice: status %d", got.status)
		}
		got := g.get(t, "app", "/admin", bob)
		if word := got.reason(t); got.status != http.StatusForbidden ||
			word != "claim_denied" && word != "insufficient_scope" {
			t.Errorf("bob: status %d, reason %q", got.status, word)
		}
	})
	t.Run("browser", func(t *testing.T) { g.checkExampleForm(t) })
}

// checkExampleForm goes the browser's way: sent to the login page, through the form, and back.
func (g *gateway) checkExampleForm(t *testing.T) {
	want := g.url("app") + "/page?a=1&b=2"
	got := g.get(t, "app", "/page?a=1&b=2", "", navigation, "Sec-Fetch-Mode: navigate")
	if got.status != http.StatusSeeOther || got.header.Get("Location") == "" {
		t.Fatalf("status %d, Location %q", got.status, got.header.Get("Location"))
	}
	page := g.get(t, "auth", strings.TrimPrefix(got.header.Get("Location"), g.url("auth")), "", navigation)
	if page.status != http.StatusOK || !strings.Contains(page.body, `name="password"`) ||
		!strings.Contains(page.header.Get("Content-Security-Policy"), "nonce-") {
		t.Errorf("login page: status %d, %v", page.status, page.header)
	}
	cookie, in := g.formLogin(t, "alice", examplePassword, want)
	if cookie == "" || in.status != http.StatusSeeOther || in.header.Get("Location") != want {
		t.Fatalf("login: status %d, Location %q, %s", in.status, in.header.Get("Location"), in.body)
	}
	back := g.get(t, "app", "/page?a=1&b=2", "", navigation, "Cookie: access_token="+cookie)
	if back.status != http.StatusOK || !strings.Contains(back.body, "X-User-Id: alice") ||
		strings.Contains(back.body, cookie) {
		t.Errorf("back: status %d:\n%s", back.status, back.body)
	}
}

// TestProductionExample: the second example is not run, but it adapts.
func TestProductionExample(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "Caddyfile.production.example"))
	if err != nil {
		t.Fatal(err)
	}
	adapted, err := adapt(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Apps map[string]any `json:"apps"`
	}
	if err := json.Unmarshal(adapted, &config); err != nil || config.Apps["auth"] == nil || config.Apps["http"] == nil {
		t.Errorf("it adapts to %s (%v)", adapted, err)
	}
}
