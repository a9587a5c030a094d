package integration

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// TestScopesThatRealClientsSend: none are the client's, unknown ones are left out.
func TestScopesThatRealClientsSend(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword))
	for _, c := range []struct{ name, sent, granted string }{
		{"none", "scope=", "openid profile offline_access read"},
		{"unknown ones beside others", "scope=read+unknown+mcp:tools", "read"},
		{"twice the same", "scope=read+read", "read"},
		{"more spaces than words", "scope=+read++openid+", "read openid"},
		{"offline_access with prompt=consent", "scope=openid+offline_access&prompt=consent", "openid offline_access"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := v.in(t)
			got := x.exchange(t, v.code(v.get(request(t, c.sent))), "")
			if got.status != 200 || got.Scope != c.granted || got.Refresh == "" {
				t.Errorf("%+v, want %q", got, c.granted)
			}
		})
	}
}

// TestPublicClientsSendAnEmptySecret in the header, beside their client_id and without it.
func TestPublicClientsSendAnEmptySecret(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	const redirect = "redirect_uri=http://127.0.0.1:4000/cb"
	v.code(v.signIn(v.get(request(t, "client_id=spa&"+redirect)), "alice", alicePassword))
	for _, c := range []struct{ name, line, more string }{
		{"in the header", basic("spa", ""), ""},
		{"in the header, and its name in the form", basic("spa", ""), "&client_id=spa"},
		{"an empty secret in the form", "X-Nothing: x", "&client_id=spa&client_secret="},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := v.in(t)
			body := codeBody(v.code(v.get(request(t, "client_id=spa&"+redirect))), redirect) + c.more
			a := x.ask(t, "auth", call{method: "POST", target: "/token", lines: []string{formType, c.line}, body: body})
			if a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			for _, name := range []string{"access_token", "refresh_token", "id_token"} {
				x.tokens.remember(textMember(t, a.body, name))
			}
		})
	}
}

// TestRefreshesAtOnceRightAfterTheCode: nothing is too early, and all of them get the same successor.
func TestRefreshesAtOnceRightAfterTheCode(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		held := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
		var mu sync.Mutex
		var all sync.WaitGroup
		var got []tokenAnswer
		for range 20 {
			all.Go(func() {
				next := x.refresh(t, held.Refresh, "")
				mu.Lock()
				defer mu.Unlock()
				got = append(got, next)
			})
		}
		all.Wait()
		for _, next := range got {
			if next.status != 200 || next.Refresh != got[0].Refresh || next.Refresh == held.Refresh {
				t.Errorf("%+v", next)
			}
			if a := x.get(t, "api", "/", next.Access); a.status != 200 {
				t.Errorf("an access token at a gate: %d %s", a.status, a.reason(t))
			}
		}
		if a := x.get(t, "api", "/", held.Access); a.status != 200 {
			t.Errorf("the access token from before at a gate: %d %s", a.status, a.reason(t))
		}
	})
}

// TestClaimsOfAccessTokens are those of RFC 9068, section 2.2, and no `nbf`.
func TestClaimsOfAccessTokens(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	person := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
	machine := x.token(t, "machine", rpSecret, "", map[string][]string{"grant_type": {"client_credentials"}})
	for _, c := range []struct {
		name, raw, subject, client, scope string
		signedIn                          bool
	}{
		{"a person's", person.Access, "alice", "rp", "openid read", true},
		{"refreshed", x.refresh(t, person.Refresh, "").Access, "alice", "rp", "openid read", true},
		{"a client's own", machine.Access, "machine", "machine", "read", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			header, claims, err := token.Inspect(c.raw)
			if err != nil {
				t.Fatal(err)
			}
			if header["typ"] != "at+jwt" || header["kid"] == nil || claims["iss"] != x.url("auth") ||
				claims["sub"] != c.subject || claims["client_id"] != c.client || claims["aud"] != "api" ||
				claims["scope"] != c.scope {
				t.Errorf("%v %v", header, claims)
			}
			for _, name := range []string{"exp", "iat", "jti"} {
				if claims[name] == nil {
					t.Errorf("%s is missing: %v", name, claims)
				}
			}
			for _, name := range []string{"auth_time", "acr", "amr"} {
				if (claims[name] != nil) != c.signedIn {
					t.Errorf("%s is %v", name, claims[name])
				}
			}
			if _, early := claims["nbf"]; early {
				t.Errorf("nbf: %v", claims)
			}
		})
	}
}

// TestClientsLookForMetadata with a header for which a browser asks first, at every form of the address.
func TestClientsLookForMetadata(t *testing.T) {
	for _, site := range []struct{ name, mount, sites string }{
		{"at the root", "", sharedRoot}, {"below a path", "/auth", sharedPath},
	} {
		t.Run(site.name, func(t *testing.T) {
			g := newGateway(t)
			auth := strings.ReplaceAll(standardAuth, `{{url "auth"}}`+"\n", `{{url "auth"}}`+site.mount+"\n")
			g.load(auth, site.sites)
			for _, target := range []string{
				site.mount + "/.well-known/openid-configuration",
				site.mount + "/.well-known/oauth-authorization-server",
				"/.well-known/openid-configuration" + site.mount,
				"/.well-known/oauth-authorization-server" + site.mount,
				site.mount + "/jwks.json", site.mount + "/token", site.mount + "/revoke",
				site.mount + "/device_authorization", site.mount + "/par", site.mount + "/userinfo",
			} {
				a := g.ask(t, "auth", call{method: http.MethodOptions, target: target, lines: []string{
					"Origin: https://client.example", "Access-Control-Request-Method: GET",
					"Access-Control-Request-Headers: mcp-protocol-version",
				}})
				allowed := strings.Split(strings.ToLower(a.header.Get("Access-Control-Allow-Headers")), ", ")
				if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != "*" ||
					!slices.Contains(allowed, "mcp-protocol-version") {
					t.Errorf("%s: %d %v", target, a.status, a.header)
				}
			}
			keys := g.get(t, "auth", site.mount+"/jwks.json", "", "Origin: https://client.example")
			if keys.status != http.StatusOK || keys.header.Get("Access-Control-Allow-Origin") != "*" ||
				keys.header.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
				t.Errorf("the keys: %d %v", keys.status, keys.header)
			}
		})
	}
}

// TestFirstChallengeNamesTheScopes, without an error: some clients that have a refresh token never ask for
// more than they had.
func TestFirstChallengeNamesTheScopes(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+siteOf("api", "jwt_auth api {\n\t\trequire scope read write\n\t}\n\trespond hello"))
	a := g.get(t, "api", "/", "")
	if got := a.header.Get("WWW-Authenticate"); a.status != http.StatusUnauthorized ||
		got != `Bearer scope="read write"` {
		t.Errorf("%d %q", a.status, got)
	}
	a = g.get(t, "api", "/", g.login(t, "alice", alicePassword))
	if got := parameter(a.header.Get("WWW-Authenticate"), "scope"); a.status != http.StatusForbidden ||
		got != "read write" {
		t.Errorf("%d %v", a.status, a.header)
	}
}
