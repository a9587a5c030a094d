package issuance

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// idTokenKeys has a key of every algorithm; those of RSA take a while to make.
var idTokenKeys = sync.OnceValue(func() *keyring.Ring {
	var keys []*keyring.Key
	for _, algorithm := range keyring.IDTokenAlgorithms() {
		key, err := keyring.Generate(algorithm, noon)
		if err != nil {
			panic(err)
		}
		keys = append(keys, key)
	}
	ring, err := keyring.NewRing(keys, "")
	if err != nil {
		panic(err)
	}
	return ring
})

// relyingParty has Alice signed in to a client with keys of every algorithm.
func relyingParty(t *testing.T) (*issuer, session.Grant, *keyring.Ring) {
	t.Helper()
	x, ring := newIssuer(t), idTokenKeys()
	keys := ring.Keys()
	x.IDTokenKey = func(_ context.Context, algorithm string, lifetime time.Duration, _ time.Time) (*keyring.Key,
		error) {
		x.minted = append(x.minted, lifetime)
		i := slices.IndexFunc(keys, func(k *keyring.Key) bool { return k.Algorithm() == algorithm })
		return keys[i], x.keys
	}
	x.Scopes = openid.Scopes{{Name: "groups", Claims: []string{"groups"}}}
	p := &x.store.parties
	p.Client = clients.Client{
		ID:      "portal",
		Project: "acme",
		Active:  true,
		Scopes:  []string{"openid", "profile", "email", "groups"},
		Claims:  map[string]any{"tier": "gold"},
	}
	p.User = &identity.User{Name: "Alice", Project: "acme", Changed: noon.Add(-time.Hour), Claims: map[string]any{
		"role": "admin", "name": "Alice A.", "email": "alice@example.com", "email_verified": true,
		"groups": []any{"staff"}, "phone_number": "+49 30",
	}}
	g := session.Grant{
		ID:       "grant",
		Parent:   "sign-in",
		Project:  "acme",
		Subject:  "Alice",
		ClientID: "portal",
		Scopes:   []string{"openid", "email"},
		AuthTime: noon.Add(-time.Minute),
		ACR:      "1",
		AMR:      []string{"pwd"},
	}
	x.store.grants["grant"] = g
	return x, g, ring
}

// published are the claims of a token as the client portal reads it: with another library, and the
// published keys.
func published(t *testing.T, ring *keyring.Ring, raw string) map[string]any {
	t.Helper()
	set, err := jwk.Parse(ring.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse([]byte(raw), jwt.WithKeySet(set), jwt.WithIssuer("https://iss"),
		jwt.WithAudience("portal"), jwt.WithClock(jwt.ClockFunc(func() time.Time { return noon })))
	if err != nil {
		t.Fatal(err)
	}
	claims, err := parsed.AsMap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestIDTokenAsARelyingPartyReadsIt verifies the token with another library and the published keys.
func TestIDTokenAsARelyingPartyReadsIt(t *testing.T) {
	for _, c := range []struct{ algorithm, accessHash string }{
		// The halves of SHA-256 and SHA-512 of "token", computed with openssl.
		{"RS256", "PEaenWxYddN6Q_NT1PiOYQ"},
		{"ES256", "PEaenWxYddN6Q_NT1PiOYQ"},
		{"PS256", "PEaenWxYddN6Q_NT1PiOYQ"},
		{"EdDSA", "ImXaughy_DrvFp0Hk2XlkPDLyO1GwqeYTIpkKAPP2Ww"},
	} {
		t.Run(c.algorithm, func(t *testing.T) {
			x, g, ring := relyingParty(t)
			x.store.parties.Client.IDTokenAlgorithm = c.algorithm
			raw, err := x.IDToken(t.Context(), IDTokenRequest{Grant: g, Nonce: "n-1", AccessToken: "token", Now: noon})
			if err != nil {
				t.Fatal(err)
			}
			claims := published(t, ring, raw)
			want := map[string]any{
				"iss": "https://iss", "sub": "Alice", "aud": []string{"portal"},
				"iat": noon, "exp": noon.Add(time.Hour), "auth_time": float64(noon.Add(-time.Minute).Unix()),
				"nonce": "n-1", "acr": "1", "amr": []any{"pwd"}, "sid": "sign-in", "at_hash": c.accessHash,
			}
			if !reflect.DeepEqual(claims, want) {
				t.Errorf("%v\nwant %v", claims, want)
			}
			if _, err := x.Verify(t.Context(), raw); err == nil {
				t.Error("a gate takes it")
			}
			if x.seen["id_token"] != 1 || x.store.reads != 1 {
				t.Errorf("observed %v, read %d times", x.seen, x.store.reads)
			}
		})
	}
}

// TestIDTokensLifetimeAndClaims: what a client may ask for beyond the standard claims is bounded by
// its scopes; a refresh has no nonce; an offline grant names its sign-in.
func TestIDTokensLifetimeAndClaims(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(x *issuer, g *session.Grant, r *IDTokenRequest)
		want   map[string]any // nil: the claim is missing
	}{
		{"refresh", func(_ *issuer, _ *session.Grant, r *IDTokenRequest) { r.Nonce, r.AccessToken = "", "" },
			map[string]any{"nonce": nil, "at_hash": nil, "email": nil, "name": nil}},
		{"offline", func(_ *issuer, g *session.Grant, _ *IDTokenRequest) {
			g.Parent, g.SignIn, g.Offline = "", "sign-in", true
		}, map[string]any{"sid": "sign-in"}},
		{"offline, from an older release", func(_ *issuer, g *session.Grant, _ *IDTokenRequest) {
			g.Parent, g.Offline = "", true
		}, map[string]any{"sid": "grant"}},
		{"no sign-in known", func(_ *issuer, g *session.Grant, _ *IDTokenRequest) {
			g.AuthTime, g.ACR, g.AMR = time.Time{}, "", nil
		}, map[string]any{"auth_time": nil, "acr": nil, "amr": nil}},
		{"asked for", func(_ *issuer, g *session.Grant, _ *IDTokenRequest) {
			g.ClaimsRequest = `{"id_token":{"name":{"essential":true},"groups":null,"role":null,"phone_number":null,` +
				`"sub":{"value":"x"},"acr":null},"userinfo":{"email":null}}`
		}, map[string]any{"name": "Alice A.", "groups": []any{"staff"}, "role": nil, "phone_number": nil, "email": nil,
			"sub": "Alice", "acr": "1"}},
		{"lifetime of the project", func(x *issuer, _ *session.Grant, _ *IDTokenRequest) {
			x.Lifetimes.IDToken = 5 * time.Minute
			x.store.parties.Project.Lifetimes = project.Lifetimes{IDToken: 10 * time.Minute}
		}, map[string]any{"exp": noon.Add(10 * time.Minute).Unix()}},
		{"lifetime of the client", func(x *issuer, _ *session.Grant, _ *IDTokenRequest) {
			x.store.parties.Project.Lifetimes = project.Lifetimes{IDToken: 10 * time.Minute}
			x.store.parties.Client.Lifetimes = project.Lifetimes{IDToken: 20 * time.Minute}
		}, map[string]any{"exp": noon.Add(20 * time.Minute).Unix()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, g, _ := relyingParty(t)
			r := IDTokenRequest{Nonce: "n-1", AccessToken: "token", Now: noon}
			c.change(x, &g, &r)
			r.Grant = g
			r.Parties = &x.store.parties
			raw, err := x.IDToken(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			_, claims, err := token.Inspect(raw)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range c.want {
				got, there := claims[name]
				if number, ok := got.(token.Number); ok {
					got, _ = json.Number(number).Int64()
				}
				if want == nil && there || want != nil && !reflect.DeepEqual(got, want) {
					t.Errorf("%s: %v, want %v", name, got, want)
				}
			}
			if x.store.reads != 0 {
				t.Errorf("read %d times", x.store.reads)
			}
		})
	}
}

func TestIDTokensAreRefusedWithTheGrant(t *testing.T) {
	for _, c := range notIssued[:6] {
		t.Run(c.name, func(t *testing.T) {
			x, g, _ := relyingParty(t)
			c.change(&x.store.parties)
			_, err := x.IDToken(t.Context(), IDTokenRequest{Grant: g, Now: noon})
			refuses(t, err, session.NotAllowed)
		})
	}
	x, g, _ := relyingParty(t)
	x.keys = keyring.ErrKeysUnavailable
	if _, err := x.IDToken(t.Context(), IDTokenRequest{Grant: g, Now: noon}); !errors.Is(err, x.keys) {
		t.Errorf("without a key: %v", err)
	}
}

// TestAccessTokensOfClientsCarryWhatIsAskedFor: the login routes keep all claims, a client gets those
// that a gate asks for or that its configuration names.
func TestAccessTokensOfClientsCarryWhatIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		name      string
		client    clients.Client
		announced string
		want      []string
	}{
		{"login routes", clients.Client{ID: clients.FirstParty}, "",
			[]string{"email", "email_verified", "groups", "name", "phone_number", "role"}},
		{"client", clients.Client{ID: "portal"}, "", nil},
		{"announced", clients.Client{ID: "portal"}, "role", []string{"role"}},
		{"named", clients.Client{ID: "portal", Claims: map[string]any{"groups": "none", "tier": "gold"}}, "role",
			[]string{"groups", "role", "tier"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, g, _ := relyingParty(t)
			c.client.Active = true
			x.store.parties.Client = c.client
			if c.announced != "" {
				x.Announced = func(claim string) bool { return claim == c.announced }
			}
			terms, err := x.Terms(t.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(maps.Keys(terms.Claims)); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if groups := terms.Claims["groups"]; groups != nil && !reflect.DeepEqual(groups, []any{"staff"}) {
				t.Errorf("the client's value goes over the user's: %v", groups)
			}
		})
	}
}

func TestUserInfo(t *testing.T) {
	gone := errors.New("down")
	for _, c := range []struct {
		name   string
		scopes string
		change func(x *issuer, g *session.Grant)
		want   map[string]any
		err    error // or a refusal
	}{
		{"scopes", "openid email", nil, map[string]any{
			"sub": "Alice", "email": "alice@example.com", "email_verified": true,
		}, nil},
		{"openid alone", "openid", nil, map[string]any{"sub": "Alice"}, nil},
		{"profile and own", "groups openid profile", nil, map[string]any{
			"sub": "Alice", "name": "Alice A.", "preferred_username": "Alice", "groups": []any{"staff"},
			"updated_at": noon.Add(-time.Hour).Unix(),
		}, nil},
		{"single claims", "openid", func(_ *issuer, g *session.Grant) {
			g.ClaimsRequest = `{"userinfo":{"name":{"essential":true},"role":null,"phone_number":null},` +
				`"id_token":{"email":null}}`
		}, map[string]any{"sub": "Alice", "name": "Alice A."}, nil},
		{"a scope that was taken from the client", "openid email", func(x *issuer, _ *session.Grant) {
			x.store.parties.Client.Scopes = []string{"openid"}
		}, map[string]any{"sub": "Alice"}, nil},
		{"without openid", "email", nil, nil, ErrScope},
		{"revoked grant", "openid", func(_ *issuer, g *session.Grant) { g.Revoked = noon }, nil,
			&session.Refusal{Verdict: session.Ended}},
		{"paused client", "openid", func(x *issuer, _ *session.Grant) { x.store.parties.Client.Active = false }, nil,
			&session.Refusal{Verdict: session.NotAllowed}},
		{"store", "openid", func(x *issuer, _ *session.Grant) { x.store.fail = gone }, nil, gone},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, g, _ := relyingParty(t)
			if c.change != nil {
				c.change(x, &g)
			}
			x.store.grants["grant"] = g
			got, err := x.UserInfo(t.Context(), &token.Token{
				Project:  "acme",
				Subject:  "Alice",
				ClientID: "portal",
				Session:  "grant",
				Scopes:   strings.Fields(c.scopes),
			})
			if want, ok := errors.AsType[*session.Refusal](c.err); ok {
				refuses(t, err, want.Verdict)
				return
			}
			if !errors.Is(err, c.err) || !reflect.DeepEqual(got, c.want) && c.err == nil {
				t.Errorf("%v, %v\nwant %v, %v", got, err, c.want, c.err)
			}
		})
	}
}
