package userinfo

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// endpointOf is a server with tokens of its own making.
type endpointOf struct {
	*Server
	key     *keyring.Key
	asked   []string // the subjects whose claims were asked for
	claims  error    // what the claims cannot be had for
	revoked error
	proof   error
	events  []audit.Event
}

func newEndpoint(t *testing.T) *endpointOf {
	t.Helper()
	key, err := keyring.Generate("ES256", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := token.NewVerifier([]token.Issuer{{
		Name:  "https://as.example",
		Own:   true,
		Types: []string{"at+jwt", "JWT"}, // what a reader of another place might take
		Keys: func(context.Context, string) (*keyring.Key, error) {
			return key, nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	x := &endpointOf{key: key}
	x.Server = &Server{
		Base:       &url.URL{Scheme: "https", Host: "as.example"},
		Verify:     verifier.Verify,
		Revoked:    func(*token.Token, time.Time) error { return x.revoked },
		Prove:      func(*http.Request, *token.Token, time.Time) error { return x.proof },
		OfferNonce: func(h http.Header, _ time.Time) { h.Set("DPoP-Nonce", "nonce") },
		Claims: func(_ context.Context, t *token.Token) (map[string]any, error) {
			x.asked = append(x.asked, t.Subject)
			return map[string]any{"sub": t.Subject, "email_verified": true}, x.claims
		},
		Events: func(_ context.Context, e audit.Event) { x.events = append(x.events, e) },
	}
	if err := x.Validate(); err != nil {
		t.Fatal(err)
	}
	return x
}

// token is one of Alice's, of a type; bound to a key if jkt is not empty.
func (x *endpointOf) token(t *testing.T, typ, jkt string, age time.Duration) string {
	t.Helper()
	now := time.Now().Add(-age)
	c := token.Claims{
		Issuer:   "https://as.example",
		Subject:  "alice",
		Audience: []string{"api"},
		IssuedAt: now,
		Expiry:   now.Add(time.Minute),
		ClientID: "portal",
		Project:  "acme",
		Scopes:   []string{"openid"},
	}
	if jkt != "" {
		c.Protocol = map[string]any{"cnf": map[string]any{"jkt": jkt}}
	}
	raw, err := token.Mint(x.key, typ, c)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

const thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

func TestAnswers(t *testing.T) {
	const bearer = `Bearer error="`
	for _, c := range []struct {
		name    string
		request func(x *endpointOf, access string) *http.Request
		spoil   func(x *endpointOf)
		status  int
		want    string // the beginning of WWW-Authenticate
	}{
		{"get", ask("GET", "", "Bearer "), nil, 200, ""},
		{"post with a header", ask("POST", "", "Bearer "), nil, 200, ""},
		{"post with a form", ask("POST", "access_token=TOKEN", ""), nil, 200, ""},
		{"scheme in small letters", ask("GET", "", "bearer "), nil, 200, ""},

		{"nothing", ask("GET", "", ""), nil, 401, "Bearer"},
		{"another scheme", ask("GET", "", "Basic "), nil, 401, "Bearer"},
		{"in the query", at("/userinfo?access_token=TOKEN"), nil, 400, bearer + `invalid_request"`},
		{"in the query besides", at("/userinfo?access%5Ftoken=x"), nil, 400, bearer + `invalid_request"`},
		{"twice", ask("POST", "access_token=TOKEN", "Bearer "), nil, 400, bearer + `invalid_request"`},
		{"twice in the form", ask("POST", "access_token=TOKEN&access_token=TOKEN", ""), nil, 400, bearer +
			`invalid_request"`},
		{"a form that is too large", ask("POST", "access_token="+strings.Repeat("a", maxBody), ""), nil, 400,
			bearer + `invalid_request"`},
		{"two headers", func(x *endpointOf, access string) *http.Request {
			r := ask("GET", "", "Bearer ")(x, access)
			r.Header.Add("Authorization", "Bearer "+access)
			return r
		}, nil, 400, bearer + `invalid_request"`},

		{"nonsense", func(x *endpointOf, _ string) *http.Request {
			return ask("GET", "", "Bearer ")(x, "nonsense")
		}, nil, 401, bearer + `invalid_token"`},
		{"an ID token", typed("JWT", 0), nil, 401, bearer + `invalid_token"`},
		{"expired", typed("at+jwt", time.Hour), nil, 401, bearer + `invalid_token"`},
		{"revoked", ask("GET", "", "Bearer "), func(x *endpointOf) {
			x.revoked = &token.Refusal{Reason: token.Revoked}
		}, 401, bearer + `invalid_token"`},
		{"the grant has ended", ask("GET", "", "Bearer "), func(x *endpointOf) {
			x.claims = &session.Refusal{Verdict: session.Ended}
		}, 401, bearer + `invalid_token"`},
		{"without openid", ask("GET", "", "Bearer "), func(x *endpointOf) { x.claims = issuance.ErrScope }, 403,
			bearer + `insufficient_scope", error_description="The access token does not have the scope openid.", ` +
				`scope="openid"`},
		{"the list is old", ask("GET", "", "Bearer "), func(x *endpointOf) {
			x.revoked = &token.Refusal{Reason: gate.RevocationNotChecked}
		}, 503, ""},
		{"the store is away", ask("GET", "", "Bearer "), func(x *endpointOf) { x.claims = errors.New("down") }, 503,
			""},

		{"a bound token", bound("DPoP "), nil, 200, ""},
		{"a bound token as bearer", bound("Bearer "), nil, 401, `DPoP error="invalid_token"`},
		{"a bearer token with DPoP", ask("GET", "", "DPoP "), nil, 401, `DPoP error="invalid_token"`},
		{"a wrong proof", bound("DPoP "), func(x *endpointOf) {
			x.proof = &token.Refusal{Reason: gate.InvalidProof}
		}, 401, `DPoP error="invalid_dpop_proof"`},
		{"proofs cannot be looked up", bound("DPoP "), func(x *endpointOf) {
			x.proof = &token.Refusal{Reason: gate.ReplayNotChecked}
		}, 503, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newEndpoint(t)
			if c.spoil != nil {
				c.spoil(x)
			}
			w, r := httptest.NewRecorder(), c.request(x, x.token(t, "at+jwt", "", 0))
			r.Header.Set("Origin", "https://page.example")
			x.ServeHTTP(w, r)
			challenge := w.Header().Get("WWW-Authenticate")
			if w.Code != c.status || !strings.HasPrefix(challenge, c.want) || c.want == "" && challenge != "" {
				t.Errorf("%d %q, want %d %q: %s", w.Code, challenge, c.status, c.want, w.Body)
			}
			if ok := w.Body.String() == `{"email_verified":true,"sub":"alice"}`+"\n"; ok != (c.status == 200) {
				t.Errorf("%s", w.Body)
			}
			for _, header := range []struct{ name, value string }{
				{"Access-Control-Allow-Origin", "*"}, {"Cache-Control", "no-store"},
			} {
				if got := w.Header().Get(header.name); got != header.value {
					t.Errorf("%s: %q", header.name, got)
				}
			}
			if len(x.events) != 1 || (x.events[0].Result == "success") != (c.status == 200) ||
				(x.events[0].Err != nil) != (c.status == 503) {
				t.Errorf("told of %+v", x.events)
			}
		})
	}
}

// ask makes requests with the token behind a scheme in the header, and in place of TOKEN in a form.
func ask(method, form, scheme string) func(*endpointOf, string) *http.Request {
	return func(_ *endpointOf, access string) *http.Request {
		r := httptest.NewRequest(method, "/userinfo", strings.NewReader(strings.ReplaceAll(form, "TOKEN", access)))
		if form != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if scheme != "" {
			r.Header.Set("Authorization", scheme+access)
		}
		return r
	}
}

func at(target string) func(*endpointOf, string) *http.Request {
	return func(_ *endpointOf, access string) *http.Request {
		return httptest.NewRequest(http.MethodGet, strings.ReplaceAll(target, "TOKEN", access), nil)
	}
}

func typed(typ string, age time.Duration) func(*endpointOf, string) *http.Request {
	return func(x *endpointOf, _ string) *http.Request {
		return ask("GET", "", "Bearer ")(x, x.token(new(testing.T), typ, "", age))
	}
}

func bound(scheme string) func(*endpointOf, string) *http.Request {
	return func(x *endpointOf, _ string) *http.Request {
		return ask("GET", "", scheme)(x, x.token(new(testing.T), "at+jwt", thumbprint, 0))
	}
}

func TestOtherMethods(t *testing.T) {
	x := newEndpoint(t)
	for _, c := range []struct {
		method string
		status int
	}{{http.MethodOptions, 204}, {http.MethodPut, 405}, {http.MethodHead, 401}} {
		w := httptest.NewRecorder()
		x.ServeHTTP(w, httptest.NewRequest(c.method, "/userinfo", nil))
		if w.Code != c.status || w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", c.method, w.Code, w.Header())
		}
	}
}
