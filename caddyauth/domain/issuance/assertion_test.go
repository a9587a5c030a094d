package issuance

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// asserting is an issuer of tokens that trusts another one, whose key is returned.
func asserting(t testing.TB) (*issuer, *keyring.Key) {
	t.Helper()
	key, err := keyring.Generate("ES256", noon)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := token.NewVerifier([]token.Issuer{{
		Name:        "https://idp",
		Types:       []string{IDJAGType},
		MaxLifetime: MaxIdentityAssertion,
		Keys:        func(context.Context, string) (*keyring.Key, error) { return key, nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	x := newIssuer(t)
	x.store.parties.Client = clients.Client{ID: "agent", Active: true, Scopes: []string{"read", "write", "admin"},
		Settings: clients.Settings{Resources: []string{"https://files.example", "https://mail.example"}}}
	x.Assertions = Assertions{
		Issuers: map[string]AssertionIssuer{"https://idp": {
			Clients:   []string{"agent", "other"},
			UserClaim: "sub",
			Users:     map[string]string{"u-1": "Alice"},
			Scopes:    []string{"read", "write"},
			Resources: []string{"https://files.example"},
		}},
		Verify:  verifier.Verify,
		UseOnce: func(context.Context, replay.Use) error { return nil },
	}
	return x, key
}

// TestAssertionIsUsedUpLast: neither a refusal nor a failure uses it up, and what cannot be decided is
// refused.
func TestAssertionIsUsedUpLast(t *testing.T) {
	down := errors.New("the disk is full")
	for _, c := range []struct {
		name   string
		breaks func(x *issuer, r *AssertionGrant)
		used   int
		want   error
	}{
		{"good", func(*issuer, *AssertionGrant) {}, 1, nil},
		{"another scope", func(_ *issuer, r *AssertionGrant) { r.Scopes = []string{"admin"} }, 0, ErrScope},
		{"from before a revocation", func(x *issuer, _ *AssertionGrant) { x.store.denied = true }, 0,
			&AssertionRefusal{token.Revoked}},
		{"no key", func(x *issuer, _ *AssertionGrant) { x.keys = down }, 0, down},
		{"no store", func(x *issuer, _ *AssertionGrant) { x.store.fail = down }, 0, down},
		{"no memory of uses", func(x *issuer, _ *AssertionGrant) {
			x.Assertions.UseOnce = func(context.Context, replay.Use) error { return down }
		}, 0, down},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, key := asserting(t)
			raw, err := token.Sign(key, IDJAGType, map[string]any{
				"iss": "https://idp", "sub": "u-1", "aud": "https://iss", "client_id": "agent", "jti": "1",
				"iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(), "scope": "read",
			})
			if err != nil {
				t.Fatal(err)
			}
			used := 0
			x.Assertions.UseOnce = func(_ context.Context, u replay.Use) error {
				if u.Purpose != replay.AuthorizationGrant || u.Issuer != "https://idp" || u.ID != "1" ||
					u.Until.Before(noon.Add(time.Minute+leeway.Default)) {
					t.Errorf("%+v", u)
				}
				used++
				return nil
			}
			r := AssertionGrant{Parties: x.store.parties, Assertion: raw, Now: noon}
			c.breaks(x, &r)
			issued, err := x.AssertionGrant(t.Context(), r)
			expected := errors.Is(err, c.want) || reflect.DeepEqual(err, c.want)
			if !expected || used != c.used || (issued.AccessToken == "") != (err != nil) {
				t.Errorf("%v, used %d times: %+v", err, used, issued)
			}
		})
	}
}

// TestEmailMustBeVerified: an address that nobody has verified is one that anybody could have typed.
func TestEmailMustBeVerified(t *testing.T) {
	for _, c := range []struct {
		name, claim string
		verified    any // nil: not said
		good        bool
	}{
		{"verified", "email", true, true},
		{"not verified", "email", false, false},
		{"as text", "email", "true", false},
		{"as a number", "email", 1, false},
		{"not said", "email", nil, false},
		{"of another claim", "sub", nil, true},
		{"of another claim, not verified", "sub", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, key := asserting(t)
			trusted := x.Assertions.Issuers["https://idp"]
			trusted.UserClaim, trusted.Users = c.claim, map[string]string{"alice@example.com": "Alice"}
			x.Assertions.Issuers["https://idp"] = trusted
			claims := map[string]any{
				"iss": "https://idp", "sub": "alice@example.com", "email": "alice@example.com", "aud": "https://iss",
				"client_id": "agent", "jti": "1", "iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
			}
			if c.verified != nil {
				claims["email_verified"] = c.verified
			}
			raw, err := token.Sign(key, IDJAGType, claims)
			if err != nil {
				t.Fatal(err)
			}
			_, err = x.AssertionGrant(t.Context(), AssertionGrant{Parties: x.store.parties, Assertion: raw, Now: noon})
			refusal, refused := errors.AsType[*AssertionRefusal](err)
			if refused == c.good || refused && refusal.Reason != assertionUser || !refused && err != nil {
				t.Error(err)
			}
		})
	}
}

// FuzzIdentityAssertion: whatever the issuer signs, a token is for the person, the client, the scopes
// and the resources that the operator has listed.
func FuzzIdentityAssertion(f *testing.F) {
	good := `{"iss":"https://idp","sub":"u-1","aud":"https://iss","client_id":"agent","jti":"1",` +
		`"iat":1772366400,"exp":1772366460`
	for _, more := range []string{
		``, `,"scope":"read admin"`, `,"scope":""`, `,"scp":["write"]`, `,"resource":["https://files.example/"]`,
		`,"resource":"https://mail.example"`, `,"resource":{}`, `,"cnf":{"jkt":"x"}`, `,"aud":["https://iss"]`,
		`,"sub":"Alice"`, `,"client_id":"other"`, `,"exp":1772370000`, `,"authorization_details":[]`,
		`,"iat":1772370000,"exp":1772370060`, `,"iss":"https://other"`, `,"jti":""`, `,"exp":1772366000`,
	} {
		f.Add(good+more+`}`, IDJAGType, "write") // the last member of a name counts: it is signed anew
	}
	f.Add(good+`}`, "at+jwt", "")
	x, key := asserting(f)
	f.Fuzz(func(t *testing.T, text, typ, scope string) {
		var claims map[string]any
		if json.Unmarshal([]byte(text), &claims) != nil {
			return
		}
		raw, err := token.Sign(key, typ, claims)
		if err != nil {
			return
		}
		r := AssertionGrant{Parties: x.store.parties, Assertion: raw, Now: noon}
		if scope != "" {
			r.Scopes = []string{scope}
		}
		issued, err := x.AssertionGrant(t.Context(), r)
		if err != nil {
			if issued.AccessToken != "" {
				t.Errorf("%v with a token", err)
			}
			return
		}
		if kind := strings.TrimPrefix(strings.ToLower(typ), "application/"); kind != IDJAGType {
			t.Errorf("the type %q was taken", typ)
		}
		checkAsserted(t, issued, claims)
	})
}

func checkAsserted(t *testing.T, issued Issued, claims map[string]any) {
	t.Helper()
	g := issued.Grant
	if g.Subject != "Alice" || g.ClientID != "agent" || g.ID != "" || claims["sub"] != "u-1" ||
		claims["client_id"] != "agent" || claims["aud"] != "https://iss" || claims["jti"] == "" {
		t.Errorf("%+v of %v", g, claims)
	}
	ends, _ := claims["exp"].(float64)
	left := time.Unix(int64(ends), 0).Sub(noon)
	if left < -leeway.Default || left > MaxIdentityAssertion+leeway.Default || claims["iss"] != "https://idp" {
		t.Errorf("of %v, which ends in %v", claims["iss"], left)
	}
	for _, s := range issued.Scopes {
		if s != "read" && s != "write" {
			t.Errorf("scope %q", s)
		}
	}
	if len(g.Audience) != 1 || g.Audience[0] != "https://files.example" || g.AuthTime != (session.Grant{}).AuthTime {
		t.Errorf("%+v", g)
	}
}
