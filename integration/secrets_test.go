package integration

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Every server of this package logs at DEBUG and has its log searched when it stops
// (gateway.checkLog). The tests here go where secrets are most likely to slip out.

// TestLoginFlowLeaksNothing: through sign-in, refusal and sign-out, no password, token, cookie or
// key is logged or answered where it does not belong.
func TestLoginFlowLeaksNothing(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, apiSite)
	wrong := "wrong-" + rand.Text()
	g.secret("a wrong password", wrong)
	token := g.login(t, "alice", alicePassword)
	cookie, in := g.formLogin(t, "alice", alicePassword, g.url("api")+"/x")
	if cookie == "" {
		t.Fatalf("login: status %d: %s", in.status, in.body)
	}
	answers := []answer{in}
	more, refused := g.formLogin(t, "alice", wrong, "")
	if more != "" || refused.status == http.StatusSeeOther {
		t.Errorf("a wrong password: status %d", refused.status)
	}
	answers = append(answers, refused, g.tryLogin(t, "alice", wrong), g.tryLogin(t, wrong, wrong),
		g.tryLogin(t, "bob", wrong+"\x00"),
		g.get(t, "api", "/", token), g.get(t, "api", "/", spoil(token)), g.get(t, "api", "/", "",
			"Cookie: access_token="+cookie),
		g.get(t, "api", "/", "", "Cookie: access_token="+spoil(cookie), navigation), g.get(t, "auth",
			"/login?next="+url.QueryEscape("https://evil.example/x"), "", navigation),
		g.get(t, "auth", "/logout", "", navigation, "Cookie: access_token="+cookie), g.logout(t, cookie), g.get(t,
			"auth", "/healthz", ""),
		g.get(t, "auth", "/jwks.json", ""), g.get(t, "auth", "/.well-known/jwks.json", ""))
	for _, a := range answers {
		a.header.Del("Set-Cookie") // the one place where the session belongs
		var head strings.Builder
		a.header.Write(&head)
		for _, leak := range leaks(head.String()+a.body, g.secrets, g.tokens.signatures()) {
			t.Errorf("an answer holds %s", leak)
		}
	}
}

func (g *gateway) logout(t *testing.T, cookie string) answer {
	t.Helper()
	a := sendHTTP1(t, g.addr("auth"), call{
		method: http.MethodPost, target: "/logout", host: g.host("auth"), body: "x=1",
		lines: []string{
			"Cookie: access_token=" + cookie, "Origin: " + g.url("auth"), "Sec-Fetch-Site: same-origin",
			"Content-Type: application/x-www-form-urlencoded", "Accept: text/html",
		},
	})
	if a.status != http.StatusSeeOther {
		t.Errorf("logout: status %d: %s", a.status, a.body)
	}
	return a
}

// TestKeySetIsPublicOnly: what is published holds no secret and no private part.
func TestKeySetIsPublicOnly(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite)
	got := g.get(t, "auth", "/jwks.json", "")
	if got.status != http.StatusOK || !strings.Contains(got.header.Get("Cache-Control"), "max-age") {
		t.Fatalf("status %d, Cache-Control %q", got.status, got.header.Get("Cache-Control"))
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal([]byte(got.body), &set); err != nil {
		t.Fatalf("%s: %v", got.body, err)
	}
	kids := map[string]bool{}
	for _, key := range set.Keys {
		kids[key["kid"].(string)] = true
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
			if key[private] != nil {
				t.Errorf("key %s has the member %q", key["kid"], private)
			}
		}
	}
	if len(kids) != 3 || !kids["rs1"] || !kids["es1"] || !kids["ed1"] {
		t.Errorf("published: %v", kids)
	}
}

// TestAdaptedConfigurationHoldsNoSecret: a placeholder stays one in the adapted configuration, in
// what the admin API shows, and in the metrics.
func TestAdaptedConfigurationHoldsNoSecret(t *testing.T) {
	g := newGateway(t)
	sealing := "seal:" + goodSecret
	t.Setenv("TEST_SECRET", sealing)
	g.secret("the sealing secret", goodSecret)
	globals := withTrust("\tsecret {env.TEST_SECRET}\n")
	text := g.caddyfile(globals, apiSite)
	adapted, err := adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range leaks(string(adapted), g.secrets, nil) {
		t.Errorf("the adapted configuration holds %s", leak)
	}
	text = strings.Replace(text, "admin off", "admin "+g.addr("admin"), 1)
	text = strings.Replace(text, "\tservers {", "\tmetrics\n\tservers {", 1)
	if err := loadText(text); err != nil {
		t.Fatal(err)
	}
	g.get(t, "api", "/", g.login(t, "alice", alicePassword))
	g.get(t, "api", "/", spoil(g.tokens.mint("es1", "eve", nil)))
	for _, path := range []string{"/config/", "/metrics"} {
		resp, err := http.Get("http://" + g.addr("admin") + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d, %v", path, resp.StatusCode, err)
		}
		for _, leak := range leaks(string(body), g.secrets, g.tokens.signatures()) {
			t.Errorf("%s holds %s", path, leak)
		}
		if path == "/metrics" && !strings.Contains(string(body), "caddy_auth_") {
			t.Error("no metric of the gateway's")
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestErrorsOfLateConfigurationsHoldNoSecret: what a configuration says when it fails in the middle
// is logged too.
func TestErrorsOfLateConfigurationsHoldNoSecret(t *testing.T) {
	g := newGateway(t)
	t.Setenv("TEST_SECRET", "seal:"+goodSecret)
	g.secret("the sealing secret", goodSecret)
	g.load(withTrust("\tsecret {env.TEST_SECRET}\n"), apiSite)
	t.Setenv("TEST_SECRET", "seal:"+strings.Repeat("QUFB", 11)) // another secret for the same store
	err := g.tryLoad(withTrust("\tsecret {env.TEST_SECRET}\n"), apiSite)
	if err == nil {
		t.Error("a store took another secret")
	} else if strings.Contains(err.Error(), "QUFB") || strings.Contains(err.Error(), goodSecret) {
		t.Errorf("the error holds the secret: %v", err)
	}
	if err := caddy.Stop(); err != nil {
		t.Error(err)
	}
}
