package integration

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// trustedAuth trusts an issuer whose keys can be fetched, beside the own keys.
const trustedAuth = `auth {
	issuer {{url "auth"}}
	store "sqlite:{{.Dir}}/auth.db"
	trust {{url "partner"}} {
		jwks {{url "partner"}}/keys
	}
	trust http://localhost:1 {
		jwks http://localhost:1/keys
	}
	user alice {
		password_hash {{hash "alice"}}
	}
	user bob {
		password_hash {{hash "bob"}}
	}
}`

// TestMetricsAnOperatorAsksFor: live sessions, the store's latency and errors by verb, the age of
// trusted issuers' keys, reuse.
func TestMetricsAnOperatorAsksFor(t *testing.T) {
	g := newGateway(t)
	g.load(trustedAuth, authSite+metricsSite+`
{{url "partner"}} {
	header /keys Content-Type application/json
	respond /keys "{\"keys\":[]}"
}
{{url "app"}} {
	jwt_auth web api {
		issuer {{url "auth"}} {{url "partner"}}
	}
	respond "app"
}
`)
	alice := g.signIn(t, "alice", alicePassword)
	g.signIn(t, "bob", bobPassword)
	_, api := g.apiLogin(t, "default", "bob", bobPassword, "api")
	if api.status != http.StatusOK {
		t.Fatalf("status %d: %s", api.status, api.body)
	}

	t.Run("live sessions", func(t *testing.T) { g.countsSessions(t, alice) })
	t.Run("store", func(t *testing.T) {
		for _, verb := range []string{"AddSignIn", "FindParties", "TakeAttempt"} {
			if n := g.metric(t, `caddy_auth_store_seconds_count{verb="`+verb+`"}`); n == "" || n == "0" {
				t.Errorf("%s was counted %q times", verb, n)
			}
		}
	})
	t.Run("keys of issuers", func(t *testing.T) {
		g.get(t, "app", "/", g.tokens.mint("es1", "alice", map[string]any{"iss": g.url("partner")}))
		eventually(t, 10*time.Second, func() string {
			if age := g.metric(t, `caddy_auth_issuer_keys_age_seconds{issuer="`+g.url("partner")+`"}`); age == "" {
				return "there is no age of the partner's keys"
			}
			return ""
		})
		if age := g.metric(t, `caddy_auth_issuer_keys_age_seconds{issuer="http://localhost:1"}`); age != "+Inf" {
			t.Errorf("keys that were never fetched have the age %q", age)
		}
	})
	t.Run("reuse", func(t *testing.T) {
		before := g.metric(t, `caddy_auth_refresh_token_alerts_total{verdict="reused"}`)
		if before == "" {
			t.Error("the counter is not there before the first one")
		}
		s, a := g.apiLogin(t, "default", "bob", bobPassword, "api")
		if a.status != http.StatusOK {
			t.Fatal(a.body)
		}
		for range 3 {
			g.refreshOnce(t, s.Refresh)
		}
		if n := g.metric(t, `caddy_auth_refresh_token_alerts_total{verdict="reused"}`); n != increased(t, before) {
			t.Errorf("counted %q after %q", n, before)
		}
	})
}

func (g *gateway) countsSessions(t *testing.T, alice cookies) {
	const browsers, programs = `caddy_auth_live_sessions{kind="browser"}`, `caddy_auth_live_sessions{kind="api"}`
	eventually(t, 10*time.Second, func() string {
		if b, p := g.metric(t, browsers), g.metric(t, programs); b != "2" || p != "1" {
			return "the metric says " + b + " browsers and " + p + " programs, want 2 and 1"
		}
		return ""
	})
	g.signOut(t, alice)
	if n := g.metric(t, browsers); n != "2" {
		t.Errorf("counted anew at each scrape: %s", n)
	}
}

// increased is one more; the counters live as long as the tests' process.
func increased(t *testing.T, n string) string {
	t.Helper()
	before, err := strconv.Atoi(n)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(before + 1)
}

func (g *gateway) refreshOnce(t *testing.T, refresh string) answer {
	t.Helper()
	return g.ask(t, "auth", call{
		method: "POST", target: "/token", lines: []string{"Content-Type: application/x-www-form-urlencoded"},
		body: strings.Join([]string{"grant_type=refresh_token", "client_id=caddyauth", "refresh_token=" + refresh},
			"&"),
	})
}
