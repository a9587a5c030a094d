package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const clientSessionAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS} {
		active es1
		file es1 "{{keyfile "es1"}}"
	}
	store "sqlite:{{.Dir}}/auth.db"
	user alice {
		password_hash {{hash "alice"}}
		admin
	}
	client webapp {
		secret {{.Secret}}
		redirect_uri https://rp.example/cb
		scope openid
		audience web api
		consent off
	}
	client other {
		redirect_uri https://other.example/cb
		scope openid
		consent off
	}
	client orders {
		secret {{.Secret}}
		grant_types token-exchange
		token_exchange caddyauth
	}
}`

// TestATokenOfAClientIsNoSession: what a client was given for a person, or for the session that it has
// received, does not sign it in to other clients, to the management API, or the person out; even if
// its audience is that of sessions.
func TestATokenOfAClientIsNoSession(t *testing.T) {
	g := newGateway(t)
	secret := "webapp-" + strings.Repeat("secret-", 5)
	g.secret("a client's secret", secret)
	g.extra["Secret"] = secret
	g.load(clientSessionAuth, authSite+siteOf("web", "jwt_auth web"))
	held, a := g.signInAt(t, "auth", "10.3.0.1")
	if a.status != http.StatusOK || held.access == "" {
		t.Fatalf("signing in: %d %s", a.status, a.body)
	}
	get := func(target string, c cookies, lines ...string) answer {
		return g.ask(t, "auth", call{target: target, lines: append(c.lines(), lines...)})
	}
	authorize := func(client, redirect string, c cookies) *url.URL {
		location, err := url.Parse(get("/authorize?"+url.Values{
			"response_type":         {"code"},
			"client_id":             {client},
			"redirect_uri":          {redirect},
			"scope":                 {"openid"},
			"code_challenge":        {pkceChallenge},
			"code_challenge_method": {"S256"},
		}.Encode(), c, "Accept: text/html").header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		return location
	}
	bought := func(form url.Values, client string) string {
		form.Set("client_id", client)
		form.Set("client_secret", secret)
		a := g.ask(t, "auth", call{
			method: http.MethodPost,
			target: "/token",
			lines:  []string{"Content-Type: application/x-www-form-urlencoded"},
			body:   form.Encode(),
		})
		var body map[string]any
		if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		raw, _ := body["access_token"].(string)
		g.tokens.remember(raw)
		return raw
	}
	code := authorize("webapp", "https://rp.example/cb", held).Query().Get("code")
	for _, c := range []struct{ name, raw string }{
		{"of an authorization", bought(url.Values{
			"grant_type":    {"authorization_code"},
			"code":          {code},
			"redirect_uri":  {"https://rp.example/cb"},
			"code_verifier": {pkceVerifier},
		}, "webapp")},
		{"of an exchange", bought(exchangeOf(held.access), "orders")},
	} {
		t.Run(c.name, func(t *testing.T) {
			as := cookies{access: c.raw}
			if to := authorize("other", "https://other.example/cb", as); to.Query().Get("code") != "" ||
				to.Path != "/login" {
				t.Errorf("another client gets its answer at %s", to)
			}
			const own = "Sec-Fetch-Site: same-origin"
			if a := get("/api/clients", as, own); a.status != http.StatusUnauthorized {
				t.Errorf("the management API: %d", a.status)
			}
			if a := get("/session", as, own); strings.Contains(a.body, "alice") {
				t.Errorf("/session: %d %s", a.status, a.body)
			}
			if a := get("/login", as, "Accept: text/html"); !strings.Contains(a.body, `id="password"`) {
				t.Errorf("the login page takes the token for a session: %d", a.status)
			}
			g.signOutAt(t, "auth", as)
		})
	}
	if a := get("/api/clients", held, "Sec-Fetch-Site: same-origin"); a.status != http.StatusOK {
		t.Errorf("the session itself: %d %s", a.status, a.body)
	}
	if to := authorize("other", "https://other.example/cb", held); to.Query().Get("code") == "" {
		t.Errorf("the session itself gets no code: %s", to)
	}
}
