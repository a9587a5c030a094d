package integration

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

// idToken verifies an ID token as a relying party does.
func (x *authorizing) idToken(t *testing.T, raw, client string) map[string]any {
	t.Helper()
	claims := x.verified(t, raw, client)
	if claims["auth_time"] == nil {
		t.Fatalf("the ID token has no auth_time: %v", claims)
	}
	return claims
}

// verified verifies a token for a client with another library: by the key set of the metadata, issuer,
// audience and time.
func (x *authorizing) verified(t *testing.T, raw, client string) map[string]any {
	t.Helper()
	set, err := jwk.Parse([]byte(x.get(t, "auth", "/jwks.json", "").body))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse([]byte(raw), jwt.WithKeySet(set), jwt.WithIssuer(x.url("auth")), jwt.WithAudience(client),
		jwt.WithRequiredClaim("sub"), jwt.WithAcceptableSkew(time.Minute))
	if err != nil {
		t.Fatalf("the token: %v", err)
	}
	claims, err := parsed.AsMap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// userInfo asks /userinfo in a way and returns the claims, nil when they are refused.
func (x *authorizing) userInfo(t *testing.T, c call) (claims map[string]any, a answer) {
	t.Helper()
	c.target = "/userinfo"
	a = x.ask(t, "auth", c)
	if a.status != http.StatusOK {
		return nil, a
	}
	if err := json.Unmarshal([]byte(a.body), &claims); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return claims, a
}

func bearerLine(token string) []string { return []string{"Authorization: Bearer " + token} }

// TestOpenIDConnect from the sign-in to what the relying party knows: the ID token is signed with
// RS256 although the configured keys sign access tokens with a secret; no gate and no endpoint takes
// it for an access token; /userinfo tells the same subject, and nothing any more when the code is
// used again.
func TestOpenIDConnect(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		code := v.code(v.signIn(v.get(request(t, "scope=openid profile")), "alice", alicePassword))
		tokens := x.exchange(t, code, "")
		id := x.idToken(t, tokens.ID, "rp")
		if id["sub"] != "alice" || id["nonce"] != "the-nonce" || id["at_hash"] == nil || id["sid"] == nil ||
			id["acr"] != "pwd" || id["email"] != nil || id["role"] != nil {
			t.Errorf("the ID token says %v", id)
		}
		if a := x.get(t, "api", "/", tokens.ID); a.status != http.StatusUnauthorized || a.reason(t) != "wrong_type" {
			t.Errorf("the ID token at a gate: %d %s", a.status, a.reason(t))
		}
		if claims, a := x.userInfo(t, call{lines: bearerLine(tokens.ID)}); claims != nil || a.status != 401 {
			t.Errorf("the ID token at /userinfo: %d %v", a.status, claims)
		}

		form := []string{"Content-Type: application/x-www-form-urlencoded"}
		for _, c := range []call{
			{lines: bearerLine(tokens.Access)},
			{method: "POST", lines: bearerLine(tokens.Access)},
			{method: "POST", lines: form, body: "access_token=" + tokens.Access},
		} {
			claims, a := x.userInfo(t, c)
			if names := slices.Sorted(maps.Keys(claims)); claims["sub"] != id["sub"] ||
				!slices.Equal(names, []string{"preferred_username", "sub", "updated_at"}) {
				t.Errorf("%s: %d %v %v", c.method, a.status, claims, a.header)
			}
		}
		x.checkRefreshedID(t, tokens, id)

		x.exchange(t, code, "") // again
		if claims, a := x.userInfo(t, call{lines: bearerLine(tokens.Access)}); claims != nil || a.status != 401 {
			t.Errorf("after the code was used again: %d %v", a.status, claims)
		}
	})
}

// TestScopeTakenFromAClient: what was granted before the client lost a scope is told no longer, neither
// for the old access token nor with the next one.
func TestScopeTakenFromAClient(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		tokens := x.exchange(t, v.code(v.signIn(v.get(request(t, "scope=openid profile")), "alice", alicePassword)), "")
		if claims, a := x.userInfo(t, call{lines: bearerLine(tokens.Access)}); claims["updated_at"] == nil {
			t.Fatalf("before: %d %v", a.status, claims)
		}
		code := v.code(v.get(request(t, "scope=openid profile")))
		tv := x.device(t, "tv", "scope=openid+profile")
		allowed := v.post("/device", deviceForm(tv.User, "alice", "allow"))
		if !strings.Contains(allowed.body, "is connected") {
			t.Fatalf("%d %s", allowed.status, allowed.body)
		}
		without := strings.Replace(authorizeAuth, " profile", "", 1)
		if without == authorizeAuth {
			t.Fatal("no scope was taken away")
		}
		x.load(without, authorizeSites)
		if claims, a := x.userInfo(t, call{lines: bearerLine(tokens.Access)}); a.status != 200 || len(claims) != 1 {
			t.Errorf("the old access token: %d %v", a.status, claims)
		}
		if bought := x.exchange(t, code, ""); bought.status != 200 || bought.Scope != "openid" {
			t.Errorf("a code from before: %+v", bought)
		}
		if bought := x.poll(t, "tv", tv.Device); bought.status != 200 || bought.Scope != "openid" {
			t.Errorf("a device code from before: %+v", bought)
		}
		if got := x.refresh(t, tokens.Refresh, "scope=profile"); got.Error != "invalid_grant" {
			t.Errorf("only what was taken: %+v", got)
		}
		next := x.refresh(t, tokens.Refresh, "")
		if next.status != 200 || next.Scope != "openid" {
			t.Fatalf("%+v", next)
		}
		if claims, a := x.userInfo(t, call{lines: bearerLine(next.Access)}); a.status != 200 || len(claims) != 1 {
			t.Errorf("the next access token: %d %v", a.status, claims)
		}
	})
}

// checkRefreshedID: an ID token of a refresh is about the same sign-in, and has no nonce.
func (x *authorizing) checkRefreshedID(t *testing.T, tokens tokenAnswer, first map[string]any) {
	t.Helper()
	id := x.idToken(t, x.refresh(t, tokens.Refresh, "").ID, "rp")
	if id["nonce"] != nil {
		t.Errorf("a nonce after a refresh: %v", id)
	}
	for _, name := range []string{"sub", "auth_time", "sid", "acr"} {
		if id[name] != first[name] {
			t.Errorf("%s was %v and is %v", name, first[name], id[name])
		}
	}
}

// TestClaimsParameter: single claims go where they were asked for, as far as the client may have
// their scopes.
func TestClaimsParameter(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	asked := url.QueryEscape(`{"userinfo":{"preferred_username":{"essential":true},"email":null,"role":null},` +
		`"id_token":{"updated_at":null,"email":null}}`)
	code := v.code(v.signIn(v.get(request(t, "scope=openid&claims="+asked)), "alice", alicePassword))
	tokens := x.exchange(t, code, "")
	id := x.idToken(t, tokens.ID, "rp")
	if _, number := id["updated_at"].(float64); !number || id["preferred_username"] != nil || id["email"] != nil {
		t.Errorf("the ID token says %v", id)
	}
	claims, _ := x.userInfo(t, call{lines: bearerLine(tokens.Access)})
	if names := slices.Sorted(maps.Keys(claims)); !slices.Equal(names, []string{"preferred_username", "sub"}) {
		t.Errorf("/userinfo says %v", claims)
	}
}
