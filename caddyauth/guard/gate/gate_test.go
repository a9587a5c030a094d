package gate

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/jose/token/tokentest"
)

const (
	ownIssuer     = "https://auth.example.com"
	foreignIssuer = "https://idp.example.com"
	cookieName    = "__Host-access_token"
)

var now = time.Unix(1_800_000_000, 0)

// tokenFixture makes tokens of two issuers and gates that accept them.
type tokenFixture struct{ *tokentest.Fixture }

func newTokenFixture(t testing.TB) *tokenFixture {
	t.Helper()
	own, err := keyring.ParseSecretText("k1", strings.Repeat("s", 32), "HS256")
	if err != nil {
		t.Fatal(err)
	}
	return &tokenFixture{tokentest.New(t,
		tokentest.Issuer{Issuer: token.Issuer{Name: ownIssuer, Own: true}, Key: own},
		tokentest.Issuer{Issuer: token.Issuer{Name: foreignIssuer}})}
}

// mint makes a token for alice, role admin, audience web, project default; change alters it first.
func (w *tokenFixture) mint(t testing.TB, change func(*token.Claims)) string {
	t.Helper()
	c := token.Claims{
		Issuer:   ownIssuer,
		Subject:  "alice",
		Audience: []string{"web"},
		IssuedAt: now,
		Expiry:   now.Add(15 * time.Minute),
		ID:       "j1",
		Project:  "default",
		Extra: map[string]any{
			"role":   "admin",
			"email":  "alice@example.com",
			"groups": []string{"staff", "ops,night"},
		},
	}
	if change != nil {
		change(&c)
	}
	return w.Mint(t, c)
}

// gate makes a web gate that forwards four claims; change alters it before it is validated.
func (w *tokenFixture) gate(t testing.TB, change func(*Gate)) *Gate {
	t.Helper()
	owned := new(Owned)
	g := &Gate{
		Audiences: []string{"web", "api"},
		Project:   "default",
		Issuers:   map[string][]string{ownIssuer: nil},
		Leeway:    30 * time.Second,
		Forward: []Mapping{
			{"sub", "X-User-Id"}, {"role", "X-User-Role"}, {"email", "X-User-Email"}, {"groups", "X-User-Groups"},
		},
		Sources: []Source{{Kind: Bearer}, {Cookie, cookieName}},
		Owned:   owned,
		Verify:  w.Verifier.Verify,
		Revoked: neverRevoked,
	}
	if change != nil {
		change(g)
	}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	return g
}

func neverRevoked(*token.Token, time.Time) error { return nil }

func request(change func(*http.Request)) *http.Request {
	r := httptest.NewRequest("GET", "https://app.example.com/x", nil)
	if change != nil {
		change(r)
	}
	return r
}

func bearer(raw string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+raw) }
}

func cookie(raw string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Cookie", "theme=dark; "+cookieName+"="+raw+"; lang=en") }
}

func TestAdmittedRequestCarriesVerifiedClaimsAndNoCredential(t *testing.T) {
	w := newTokenFixture(t)
	g := w.gate(t, nil)
	raw := w.mint(t, nil)
	for _, c := range []struct {
		name string
		put  func(*http.Request)
	}{{"bearer", bearer(raw)}, {"cookie", cookie(raw)}} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.put)
			admission, err := g.Admit(r, nil, now)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if admission.Token.Subject != "alice" {
				t.Errorf("%s: subject %q", c.name, admission.Token.Subject)
			}
			want := http.Header{
				"X-User-Id": {"alice"}, "X-User-Role": {"admin"}, "X-User-Email": {"alice@example.com"},
				"X-User-Groups": {"staff,ops%2Cnight"},
			}
			if c.name == "cookie" {
				want["Cookie"] = []string{"theme=dark; lang=en"}
			}
			if !maps.EqualFunc(r.Header, want, slices.Equal) {
				t.Errorf("%s: the application sees %v, want %v", c.name, r.Header, want)
			}
		})
	}
}

func TestForgedIdentityNeverArrives(t *testing.T) {
	w := newTokenFixture(t)
	g := w.gate(t, func(g *Gate) { g.Mode = Optional })
	for _, name := range []string{
		"X-User-Id", "x-user-id", "X_User_Id", "X.User.Id", "x-uSER_iD", "X-User_Role", "X-USER-EMAIL", "X+User+Id",
		"x!user`id",
		"X~User|Role", "X\x80User\x00Role", "X User Role",
	} {
		r := request(func(r *http.Request) { r.Header[name] = []string{"eve", "mallory"} })
		if _, err := g.Admit(r, nil, now); err != nil {
			t.Fatal(err)
		}
		if len(r.Header) != 0 {
			t.Errorf("%s arrives: %v", name, r.Header)
		}
	}
}

func TestAbsentClaimLeavesNoHeader(t *testing.T) {
	w := newTokenFixture(t)
	g := w.gate(t, nil)
	r := request(bearer(w.mint(t, func(c *token.Claims) { c.Extra = nil })))
	r.Header.Set("X-User-Role", "root")
	if _, err := g.Admit(r, nil, now); err != nil {
		t.Fatal(err)
	}
	if want := (http.Header{"X-User-Id": {"alice"}}); !maps.EqualFunc(r.Header, want, slices.Equal) {
		t.Errorf("the application sees %v, want %v", r.Header, want)
	}
}

func TestConnectionCannotRemoveIdentity(t *testing.T) {
	w := newTokenFixture(t)
	g := w.gate(t, nil)
	raw := w.mint(t, nil)
	for _, c := range []struct{ send, want []string }{
		{[]string{"X-User-Id"}, nil},
		{[]string{"close, x-user-id"}, []string{"close"}},
		{[]string{"keep-alive", "X_User_Id , X-User-Role"}, []string{"keep-alive"}},
		{[]string{"Upgrade, x-user-email"}, nil},
		{[]string{"close, x+user+email", "X~User`Role"}, []string{"close"}},
		{[]string{"keep-alive"}, []string{"keep-alive"}},
	} {
		r := request(bearer(raw))
		r.Header["Connection"] = c.send
		if _, err := g.Admit(r, nil, now); err != nil {
			t.Fatal(err)
		}
		if got := r.Header["Connection"]; !slices.Equal(got, c.want) {
			t.Errorf("Connection %q becomes %q, want %q", c.send, got, c.want)
		}
	}
}

func TestTrailersCannotCarryIdentity(t *testing.T) {
	w := newTokenFixture(t)
	g := w.gate(t, func(g *Gate) { g.Mode = Optional })
	r := httptest.NewRequest("POST", "https://app.example.com/x", strings.NewReader("body"))
	r.ContentLength = -1
	r.Trailer = http.Header{"X-User-Id": nil, "X-Checksum": nil}
	body := r.Body
	r.Body = &lateTrailers{r, body}
	if _, err := g.Admit(r, nil, now); err != nil {
		t.Fatal(err)
	}
	if _, announced := r.Trailer["X-User-Id"]; announced {
		t.Error("an owned trailer stays announced")
	}
	buf := make([]byte, 64)
	for {
		if _, err := r.Body.Read(buf); err != nil {
			break
		}
	}
	if want := (http.Header{"X-Checksum": {"1"}}); !maps.EqualFunc(r.Trailer, want, slices.Equal) {
		t.Errorf("trailers after the body: %v, want %v", r.Trailer, want)
	}
}

// lateTrailers fills in trailers when the body ends, as net/http does.
type lateTrailers struct {
	r    *http.Request
	body interface {
		Read([]byte) (int, error)
		Close() error
	}
}

func (l *lateTrailers) Read(p []byte) (int, error) {
	n, err := l.body.Read(p)
	if err != nil {
		l.r.Trailer["X-User-Id"] = []string{"eve"}
		l.r.Trailer["X_user_id"] = []string{"eve"}
		l.r.Trailer["X-Checksum"] = []string{"1"}
	}
	return n, err
}

func (l *lateTrailers) Close() error { return l.body.Close() }

// refusals is the list of what a gate refuses, and why.
var refusals = []struct {
	name   string
	gate   func(*Gate)
	mint   func(*token.Claims)
	send   func(raw, other string) func(*http.Request)
	reason token.Reason
}{
	{name: "no credential", send: func(_, _ string) func(*http.Request) { return nil }, reason: NoCredential},
	{
		name:   "another scheme",
		send:   func(_, _ string) func(*http.Request) { return authorization("Basic YTpi") },
		reason: NoCredential,
	},
	{
		name:   "scheme alone",
		send:   func(_, _ string) func(*http.Request) { return authorization("Bearer") },
		reason: token.Malformed,
	},
	{
		name:   "two Authorization",
		send:   func(a, b string) func(*http.Request) { return authorization("Bearer "+a, "Bearer "+b) },
		reason: MultipleCredentials,
	},
	{
		name:   "the same Authorization twice",
		send:   func(a, _ string) func(*http.Request) { return authorization("Bearer "+a, "Bearer "+a) },
		reason: MultipleCredentials,
	},
	{
		name:   "Basic and Bearer",
		send:   func(a, _ string) func(*http.Request) { return authorization("Basic YTpi", "Bearer "+a) },
		reason: MultipleCredentials,
	},
	{
		name:   "two in one line",
		send:   func(a, b string) func(*http.Request) { return authorization("Bearer " + a + ", Bearer " + b) },
		reason: MultipleCredentials,
	},
	{
		name:   "header and cookie",
		send:   func(a, b string) func(*http.Request) { return both(bearer(a), cookie(b)) },
		reason: MultipleCredentials,
	},
	{
		name:   "Basic and a cookie",
		send:   func(a, _ string) func(*http.Request) { return both(authorization("Basic YTpi"), cookie(a)) },
		reason: NoCredential,
	},
	{name: "cookie twice", send: func(a, _ string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Cookie"] = []string{cookieName + "=" + a, cookieName + "=" + a} }
	}, reason: MultipleCredentials},
	{
		name:   "expired",
		mint:   func(c *token.Claims) { c.IssuedAt, c.Expiry = now.Add(-time.Hour), now.Add(-30*time.Second) },
		reason: token.Expired,
	},
	{
		name:   "not yet valid",
		mint:   func(c *token.Claims) { c.IssuedAt = now.Add(31 * time.Second) },
		reason: token.NotYetValid,
	},
	{name: "other audience", mint: func(c *token.Claims) { c.Audience = []string{"mcp"} }, reason: token.WrongAudience},
	{name: "other project", mint: func(c *token.Claims) { c.Project = "acme" }, reason: token.WrongProject},
	{name: "no project", mint: func(c *token.Claims) { c.Project = "" }, reason: token.WrongProject},
	{name: "foreign issuer", mint: func(c *token.Claims) { c.Issuer = foreignIssuer }, reason: token.UnknownIssuer},
	{
		name:   "wrong resource",
		gate:   func(g *Gate) { g.Resource = "https://mcp.example.com/mcp" },
		reason: token.WrongAudience,
	},
	{
		name: "not good at the host",
		gate: func(g *Gate) {
			g.CountsAt = func(_ *token.Token, host string) bool { return host != request(nil).Host }
		},
		reason: token.WrongAudience,
	},
	{
		name:   "revoked",
		gate:   func(g *Gate) { g.Revoked = func(*token.Token, time.Time) error { return refuse(token.Revoked, "") } },
		reason: token.Revoked,
	},
	{
		name:   "scope missing",
		gate:   rules(Rule{Claim: "scope", Values: []string{"read", "write"}}),
		mint:   scopes("read"),
		reason: InsufficientScope,
	},
	{name: "claim missing", gate: rules(Rule{Claim: "team", Values: []string{"a"}}), reason: ClaimDenied},
	{name: "other value", gate: rules(Rule{Claim: "role", Values: []string{"editor", "owner"}}), reason: ClaimDenied},
	{
		name:   "second rule",
		gate:   rules(Rule{Claim: "role", Values: []string{"admin"}}, Rule{Claim: "sub", Values: []string{"bob"}}),
		reason: ClaimDenied,
	},
	{
		name: "denied",
		gate: rules(Rule{Claim: "role", Values: []string{"admin"}},
			Rule{Claim: "sub", Values: []string{"alice"}, Deny: true}),
		reason: ClaimDenied,
	},
	{
		name:   "denied object",
		gate:   rules(Rule{Claim: "org", Values: []string{"x"}, Deny: true}),
		mint:   extra("org", map[string]any{"id": "y"}),
		reason: ClaimDenied,
	},
	{
		name:   "role in a text",
		gate:   rules(Rule{Claim: "role", Values: []string{"admin"}}),
		mint:   extra("role", "x,admin"),
		reason: ClaimDenied,
	},
	{
		name:   "role in a list",
		gate:   rules(Rule{Claim: "role", Values: []string{"admin"}}),
		mint:   extra("role", []string{"user,admin"}),
		reason: ClaimDenied,
	},
	{
		name:   "role an object",
		gate:   rules(Rule{Claim: "role", Values: []string{"admin"}}),
		mint:   extra("role", map[string]any{"admin": true}),
		reason: ClaimDenied,
	},
	{
		name:   "role a number",
		gate:   rules(Rule{Claim: "role", Values: []string{"admin"}}),
		mint:   extra("role", 7),
		reason: ClaimDenied,
	},
	{name: "cross-site post", send: func(a, _ string) func(*http.Request) {
		return both(cookie(a), from("POST", "cross-site", "https://evil.example"))
	}, reason: CrossOrigin},
	{name: "sibling post", send: func(a, _ string) func(*http.Request) {
		return both(cookie(a), from("POST", "same-site", "https://x.example.com"))
	}, reason: CrossOrigin},
	{name: "old browser", send: func(a, _ string) func(*http.Request) {
		return both(cookie(a), from("DELETE", "", "https://evil.example"))
	}, reason: CrossOrigin},
	{name: "dot segments", send: path("/public/../admin"), reason: AmbiguousPath},
	{name: "a dot segment", send: path("/admin/."), reason: AmbiguousPath},
	{name: "dots; params", send: path("/public/..;v=1/admin"), reason: AmbiguousPath},
	{name: "backslash", send: path(`/public/..\admin`), reason: AmbiguousPath},
	{name: "foreign websocket", send: func(a, _ string) func(*http.Request) {
		return both(cookie(a), from("GET", "cross-site", "https://evil.example"),
			func(r *http.Request) { r.Header.Set("Upgrade", "websocket") })
	}, reason: CrossOrigin},
}

func path(p string) func(raw, other string) func(*http.Request) {
	return func(raw, _ string) func(*http.Request) {
		return both(bearer(raw), func(r *http.Request) { r.URL.Path = p })
	}
}

func authorization(lines ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header["Authorization"] = lines }
}

func both(changes ...func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) {
		for _, change := range changes {
			change(r)
		}
	}
}

func from(method, site, origin string) func(*http.Request) {
	return func(r *http.Request) {
		r.Method = method
		r.Header.Set("Origin", origin)
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
	}
}

func rules(list ...Rule) func(*Gate)            { return func(g *Gate) { g.Rules = list } }
func scopes(list ...string) func(*token.Claims) { return func(c *token.Claims) { c.Scopes = list } }
func extra(name string, v any) func(c *token.Claims) {
	return func(c *token.Claims) { c.Extra[name] = v }
}

func TestRefusalsHaveTheirReasonAndLeaveNothingBehind(t *testing.T) {
	w := newTokenFixture(t)
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			g := w.gate(t, c.gate)
			raw, other := w.mint(t, c.mint), w.mint(t, func(c *token.Claims) { c.ID = "j2" })
			send := bearer(raw)
			if c.send != nil {
				send = c.send(raw, other)
			}
			r := request(send)
			r.Header.Set("X-User-Id", "eve")
			_, err := g.Admit(r, nil, now)
			if ReasonOf(err) != c.reason || err == nil {
				t.Fatalf("refused with %v, want %s", err, c.reason)
			}
			if _, ok := errors.AsType[*token.Refusal](err); !ok {
				t.Errorf("error %T is no refusal", err)
			}
			for _, gone := range []string{"X-User-Id", "Authorization"} {
				if v, left := r.Header[gone]; left {
					t.Errorf("%s %q is left for error routes", gone, v)
				}
			}
			if strings.Contains(strings.Join(r.Header["Cookie"], ";"), cookieName) {
				t.Errorf("the cookie is left for error routes: %q", r.Header["Cookie"])
			}
		})
	}
}

func TestReasonsOfRefusalsNeverContradictTheirStatus(t *testing.T) {
	for _, want := range []struct {
		reason token.Reason
		status int
		code   string
	}{
		{NoCredential, 401, ""}, {token.Expired, 401, "invalid_token"}, {token.BadSignature, 401, "invalid_token"},
		{MultipleCredentials, 400, "invalid_request"}, {InsufficientScope, 403, "insufficient_scope"},
		{ClaimDenied, 403, "access_denied"}, {CrossOrigin, 403, "access_denied"},
		{token.KeysUnavailable, 503, "temporarily_unavailable"}, {RevocationNotChecked, 503, "temporarily_unavailable"},
	} {
		t.Run(string(want.reason), func(t *testing.T) {
			if got := Status(want.reason); got != want.status {
				t.Errorf("%s: status %d, want %d", want.reason, got, want.status)
			}
			if got := ErrorCode(want.reason); got != want.code {
				t.Errorf("%s: error %q, want %q", want.reason, got, want.code)
			}
		})
	}
}

func TestPolicyHolds(t *testing.T) {
	w := newTokenFixture(t)
	for _, c := range []struct {
		name  string
		rules []Rule
		mint  func(*token.Claims)
	}{
		{name: "one of the values", rules: []Rule{{Claim: "role", Values: []string{"editor", "admin"}}}},
		{name: "element of a list", rules: []Rule{{Claim: "groups", Values: []string{"ops,night"}}}},
		{name: "all scopes", rules: []Rule{{Claim: "scope", Values: []string{"a", "b"}}}, mint: scopes("b", "c", "a")},
		{
			name:  "nested",
			rules: []Rule{{Claim: "realm_access.roles", Values: []string{"dev"}}},
			mint:  extra("realm_access", map[string]any{"roles": []string{"dev"}}),
		},
		{
			name:  "number by digits",
			rules: []Rule{{Claim: "level", Values: []string{"9007199254740993"}}},
			mint:  extra("level", int64(9007199254740993)),
		},
		{
			name:  "boolean",
			rules: []Rule{{Claim: "email_verified", Values: []string{"true"}}},
			mint:  extra("email_verified", true),
		},
		{name: "present", rules: []Rule{{Claim: "role"}}},
		{
			name:  "deny something else",
			rules: []Rule{{Claim: "role", Values: []string{"guest"}, Deny: true}, {Claim: "missing", Deny: true}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := w.gate(t, rules(c.rules...))
			if _, err := g.Admit(request(bearer(w.mint(t, c.mint))), nil, now); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
}

func TestTheSameTokenTwiceIsOneCredential(t *testing.T) {
	w := newTokenFixture(t)
	raw := w.mint(t, nil)
	if _, err := w.gate(t, nil).Admit(request(both(bearer(raw), cookie(raw))), nil, now); err != nil {
		t.Error(err)
	}
}

func TestSameOriginAndListedOriginsMayUseTheCookie(t *testing.T) {
	w := newTokenFixture(t)
	g := w.gate(t, func(g *Gate) { g.Origins = []string{"https://admin.example.com"} })
	raw := w.mint(t, nil)
	for _, send := range []func(*http.Request){
		from("POST", "same-origin", "https://app.example.com"), from("POST", "", "https://app.example.com"),
		from("POST", "same-site", "https://admin.example.com"), from("GET", "cross-site", "https://evil.example"),
	} {
		if _, err := g.Admit(request(both(cookie(raw), send)), nil, now); err != nil {
			t.Error(err)
		}
	}
}

func TestOptionalGate(t *testing.T) {
	w := newTokenFixture(t)
	g := w.gate(t, func(g *Gate) { g.Mode = Optional })
	expired := w.mint(t, func(c *token.Claims) { c.IssuedAt, c.Expiry = now.Add(-time.Hour), now.Add(-time.Minute) })
	for _, c := range []struct {
		name  string
		send  func(*http.Request)
		stale bool
		keeps string
	}{
		{name: "nothing", send: nil},
		{name: "foreign scheme", send: authorization("Basic YTpi"), keeps: "Basic YTpi"},
		{name: "expired cookie", send: cookie(expired), stale: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.send)
			admission, err := g.Admit(r, nil, now)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				return
			}
			if admission.Token != nil || admission.Stale != c.stale {
				t.Errorf("%s: admission %+v", c.name, admission)
			}
			if got := r.Header.Get("Authorization"); got != c.keeps {
				t.Errorf("%s: the application sees Authorization %q, want %q", c.name, got, c.keeps)
			}
		})
	}
	for _, c := range []struct {
		name string
		send func(*http.Request)
	}{{"expired bearer", bearer(expired)}, {"garbage cookie", cookie("garbage")}} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := g.Admit(request(c.send), nil, now); err == nil {
				t.Errorf("%s passes", c.name)
			}
		})
	}
}

func TestReportOnlyTouchesNothing(t *testing.T) {
	w := newTokenFixture(t)
	g := w.gate(t, func(g *Gate) { g.Mode = ReportOnly })
	for _, raw := range []string{w.mint(t, nil), "garbage"} {
		r := request(both(bearer(raw), func(r *http.Request) { r.Header.Set("X-User-Id", "eve") }))
		before := r.Header.Clone()
		admission, err := g.Admit(r, nil, now)
		if (err != nil) != (raw == "garbage") || (admission != nil) != (err != nil) ||
			admission != nil && admission.Token != nil {
			t.Errorf("admission %v, error %v", admission, err)
		}
		if !maps.EqualFunc(r.Header, before, slices.Equal) {
			t.Errorf("headers changed: %v", r.Header)
		}
	}
}

func TestStackedGatesAddUp(t *testing.T) {
	w := newTokenFixture(t)
	owned := new(Owned)
	first := w.gate(t, func(g *Gate) { g.Owned, g.Forward = owned, g.Forward[:1] })
	second := w.gate(t, func(g *Gate) {
		g.Owned, g.Forward, g.Rules = owned, []Mapping{{"role", "X-User-Role"}}, []Rule{
			{Claim: "role", Values: []string{"admin"}},
		}
	})
	r := request(bearer(w.mint(t, nil)))
	admission, err := first.Admit(r, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	admission, err = second.Admit(r, admission, now)
	if err != nil {
		t.Fatal(err)
	}
	owned.Strip(r, admission) // the header filter that stands beside a matched gate
	if want := (http.Header{"X-User-Id": {"alice"}, "X-User-Role": {"admin"}}); !maps.EqualFunc(r.Header, want,
		slices.Equal) {
		t.Errorf("the application sees %v, want %v", r.Header, want)
	}
}

func TestTheSecondGateDecidesForItself(t *testing.T) {
	w := newTokenFixture(t)
	raw := w.mint(t, nil)
	for _, c := range []struct {
		name   string
		second func(*Gate)
		reason token.Reason
	}{
		{"policy", rules(Rule{Claim: "role", Values: []string{"owner"}}), ClaimDenied},
		{"audience", func(g *Gate) { g.Audiences = []string{"mcp"} }, token.WrongAudience},
		{"project", func(g *Gate) { g.Project = "acme" }, token.WrongProject},
		{"issuer", func(g *Gate) { g.Issuers = map[string][]string{foreignIssuer: nil} }, token.UnknownIssuer},
		{"source", func(g *Gate) { g.Sources = []Source{{Cookie, "other"}} }, NoCredential},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(bearer(raw))
			admission, err := w.gate(t, nil).Admit(r, nil, now)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.gate(t, c.second).Admit(r, admission, now); ReasonOf(err) != c.reason {
				t.Errorf("%s: %v, want %s", c.name, err, c.reason)
			}
		})
	}
}

func TestAudiencesOfATrustedIssuerAreLimited(t *testing.T) {
	w := newTokenFixture(t)
	g := w.gate(t, func(g *Gate) { g.Issuers[foreignIssuer] = []string{"api"} })
	for _, tc := range []struct {
		audience string
		reason   token.Reason
	}{{"api", ""}, {"web", token.WrongAudience}} {
		t.Run(tc.audience, func(t *testing.T) {
			raw := w.mint(t, func(c *token.Claims) { c.Issuer, c.Audience = foreignIssuer, []string{tc.audience} })
			_, err := g.Admit(request(bearer(raw)), nil, now)
			if tc.reason == "" && err != nil || tc.reason != "" && ReasonOf(err) != tc.reason {
				t.Errorf("%s: %v, want %q", tc.audience, err, tc.reason)
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	w := newTokenFixture(t)
	preflight := func(r *http.Request) {
		r.Method = "OPTIONS"
		r.Header.Set("Origin", "https://other.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("X-User-Id", "eve")
	}
	g := w.gate(t, func(g *Gate) { g.Preflight = true })
	r := request(preflight)
	if admission, err := g.Admit(r, nil, now); err != nil || admission.Token != nil || r.Header.Get("X-User-Id") != "" {
		t.Errorf("a preflight: %v, %v, %v", admission, err, r.Header)
	}
	if _, err := g.Admit(request(func(r *http.Request) {
		r.Method = "OPTIONS"
	}), nil, now); ReasonOf(err) != NoCredential {
		t.Errorf("a bare OPTIONS: %v", err)
	}
	if _, err := w.gate(t, nil).Admit(request(preflight), nil, now); ReasonOf(err) != NoCredential {
		t.Errorf("a preflight at a gate that was not told: %v", err)
	}
}

func TestOtherSources(t *testing.T) {
	w := newTokenFixture(t)
	raw := w.mint(t, nil)
	g := w.gate(t, func(g *Gate) { g.Sources = []Source{{Header, "X-Api-Token"}, {Query, "token"}} })
	r := request(func(r *http.Request) { r.Header.Set("X-Api-Token", raw) })
	if _, err := g.Admit(r, nil, now); err != nil || r.Header.Get("X-Api-Token") != "" {
		t.Errorf("header: %v, %v", err, r.Header)
	}
	r = httptest.NewRequest("GET", "https://app.example.com/x?a=1&token="+raw+"&b=%20", nil)
	if _, err := g.Admit(r, nil, now); err != nil || r.URL.RawQuery != "a=1&b=%20" ||
		strings.Contains(r.RequestURI, raw) {
		t.Errorf("query: %v, %q, %q", err, r.URL.RawQuery, r.RequestURI)
	}
}

func TestHeaderValues(t *testing.T) {
	for _, c := range []struct {
		claim any
		want  string
		ok    bool
	}{
		{"alice", "alice", true}, {"Jürgen Groß", "Jürgen Groß", true},
		{token.Number("12345678901234567890"), "12345678901234567890", true}, {true, "true", true},
		{[]any{"a", "b,c", "d%"}, "a,b%2Cc,d%25", true}, {[]any{"a", map[string]any{}}, "a", true},
		{"{env.SECRET}", "{env.SECRET}", true}, {"", "", false}, {" admin", "", false}, {"admin ", "", false},
		{"a\r\nX-Role: root", "", false}, {"a\x00", "", false}, {"a\tb", "", false}, {nil, "", false},
		{map[string]any{"a": 1}, "", false}, {[]any{}, "", false}, {[]any{"ok", "bad\n"}, "ok", true},
	} {
		got, ok := HeaderValue(c.claim)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%#v becomes %q, %t; want %q, %t", c.claim, got, ok, c.want, c.ok)
		}
	}
}

func TestGatesThatCannotWorkAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Gate)
		want   string // in the error; nothing when the gate is fine
	}{
		{"as it is", func(*Gate) {}, ""},
		{"most leeway", func(g *Gate) { g.Leeway = leeway.Max }, ""},
		{"no leeway", func(g *Gate) { g.Leeway = 0 }, ""},
		{"too much leeway", func(g *Gate) { g.Leeway = leeway.Max + 1 }, "leeway"}, // denials stand for no longer
		{"negative leeway", func(g *Gate) { g.Leeway = -1 }, "leeway"},
		{"no audience", func(g *Gate) { g.Audiences = nil }, "audience"},
		{"no Verify", func(g *Gate) { g.Verify = nil }, "Verify"},
		{"no VerifySession", func(g *Gate) { g.Session = Source{Cookie, cookieName} }, "VerifySession"},
		{"no Revoked", func(g *Gate) { g.Revoked = nil }, "Revoked"},
		{"no Owned", func(g *Gate) { g.Owned = nil }, "Owned"},
		{"header with _", func(g *Gate) { g.Forward = []Mapping{{"sub", "X_User"}} }, "X_User"},
		{"lower case", func(g *Gate) { g.Forward = []Mapping{{"sub", "x-user"}} }, "x-user"},
		{"framing header", func(g *Gate) { g.Forward = []Mapping{{"sub", "Content-Length"}} }, "Content-Length"},
		{"scope of nothing", func(g *Gate) { g.Rules = []Rule{{Claim: "scope"}} }, "scope"},
		{"empty value", func(g *Gate) { g.Rules = []Rule{{Claim: "role", Values: []string{""}}} }, "role"},
		{"bad origin", func(g *Gate) { g.Origins = []string{"app.example.com"} }, "app.example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &Gate{
				Audiences: []string{"web"},
				Owned:     new(Owned),
				Verify:    func(context.Context, string) (*token.Token, error) { return nil, nil },
				Revoked:   neverRevoked,
			}
			c.change(g)
			err := g.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// What requests look at without a lock cannot change once they are served.
func TestNoGateIsAddedAfterTheStart(t *testing.T) {
	owned, credentials := new(Owned), new(Credentials)
	gate := func() *Gate {
		return &Gate{
			Audiences:   []string{"web"},
			Forward:     []Mapping{{"sub", "X-User-Id"}},
			Sources:     []Source{{Cookie, "session"}, {Query, "key"}, {Header, "X-Token"}},
			Owned:       owned,
			Credentials: credentials,
			Verify:      func(context.Context, string) (*token.Token, error) { return nil, nil },
			Revoked:     neverRevoked,
		}
	}
	if err := gate().Validate(); err != nil {
		t.Fatal(err)
	}
	owned.Freeze()
	credentials.Freeze()
	if err := gate().Validate(); err != nil {
		t.Errorf("what is known already: %v", err)
	}
	for _, c := range []struct {
		name   string
		change func(*Gate)
	}{
		{"header", func(g *Gate) { g.Forward = []Mapping{{"role", "X-User-Role"}} }},
		{"cookie", func(g *Gate) { g.Sources = []Source{{Cookie, "other"}} }},
		{"query", func(g *Gate) { g.Sources = []Source{{Query, "other"}} }},
		{"credential header", func(g *Gate) { g.Sources = []Source{{Header, "X-Other"}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			late := gate()
			c.change(late)
			if err := late.Validate(); !errors.Is(err, errFrozen) {
				t.Errorf("it was added: %v", err)
			}
		})
	}
}

func TestOnlyNavigationsAreSentToTheLoginPage(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(*http.Request)
		want bool
	}{
		{"navigation", func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Mode", "navigate")
			r.Header.Set("Sec-Fetch-Dest", "document")
		}, true},
		{"frame", func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Mode", "navigate")
			r.Header.Set("Sec-Fetch-Dest", "iframe")
		}, false},
		{
			"fetch",
			func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "cors"); r.Header.Set("Accept", "text/html") },
			false,
		},
		{
			"old browser",
			func(r *http.Request) { r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8") }, true,
		},
		{"curl", func(r *http.Request) { r.Header.Set("Accept", "*/*") }, false},
		{"refuses html", func(r *http.Request) { r.Header.Set("Accept", "application/json, text/html; q=0") }, false},
		{"XMLHttpRequest", func(r *http.Request) {
			r.Header.Set("Accept", "text/html")
			r.Header.Set("X-Requested-With", "XMLHttpRequest")
		}, false},
		{"post", func(r *http.Request) { r.Method = "POST"; r.Header.Set("Accept", "text/html") }, false},
		{
			"websocket",
			func(r *http.Request) { r.Header.Set("Upgrade", "websocket"); r.Header.Set("Accept", "text/html") }, false,
		},
		{"program's accept", func(r *http.Request) { r.Header.Set("Accept", "application/json") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := IsNavigation(request(c.send)); got != c.want {
				t.Errorf("%s: %t", c.name, got)
			}
		})
	}
}

func TestChallenges(t *testing.T) {
	g := &Gate{
		Rules: []Rule{{Claim: "scope", Values: []string{"read"}}, {Claim: "scope", Values: []string{"write", "read"}}},
	}
	for _, c := range []struct {
		reason token.Reason
		want   string
	}{
		{NoCredential, `Bearer scope="read write"`},
		{token.Expired, `Bearer error="invalid_token", error_description="expired"`},
		{
			InsufficientScope,
			`Bearer error="insufficient_scope", error_description="insufficient_scope", scope="read write"`,
		},
		{ClaimDenied, `Bearer error="access_denied", error_description="claim_denied"`},
	} {
		t.Run(string(c.reason), func(t *testing.T) {
			if got := g.Challenge(c.reason, Source{Kind: Bearer}); got != c.want {
				t.Errorf("%s: %s, want %s", c.reason, got, c.want)
			}
		})
	}
}

// FuzzCookies holds the cookie scanner against net/http's parser: what one finds the other must not
// contradict, and what is concealed must be gone for every parser.
func FuzzCookies(f *testing.F) {
	for _, seed := range []string{
		"", "a=b", cookieName + "=x", "a=b; " + cookieName + "=x; c=d", cookieName + "=x;" + cookieName + "=y",
		" ;;" + cookieName + "= ;", cookieName,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := &http.Request{Header: http.Header{"Cookie": {line}}}
		theirs := r.CookiesNamed(cookieName)
		raw, err := findCookie(r.Header["Cookie"], cookieName)
		if err == nil && len(theirs) == 1 && raw != theirs[0].Value && raw != `"`+theirs[0].Value+`"` {
			t.Errorf("%q: found %q, net/http %q", line, raw, theirs[0].Value)
		}
		if len(theirs) > 1 && err == nil {
			t.Errorf("%q: two cookies pass as %q", line, raw)
		}
		dropCookies(r, cookieName, nil)
		if left := r.CookiesNamed(cookieName); len(left) > 0 {
			t.Errorf("%q: %v is left", line, left)
		}
	})
}
