package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
)

const notActive = "{\"active\":false}\n"

func TestIntrospectionDescribesAnActiveToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		for _, client := range []string{"reports", "spa"} { // a JWT and an opaque token
			raw := h.access(t, client, "read", "write")
			w := h.post("/introspect", basic("other", "other-secret"), "token", raw, "token_type_hint", "access_token")
			if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" ||
				w.Header().Get("Cache-Control") != "no-store" ||
				w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %d %v", client, w.Code, w.Header())
			}
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			id, _ := got["jti"].(string)
			now := float64(time.Now().Unix())
			want := map[string]any{
				"active": true, "scope": "read write", "client_id": client, "token_type": "Bearer", "exp": now + 900,
				"iat": now,
				"sub": "alice", "aud": []any{"api"}, "iss": ownIssuer, "jti": id,
			}
			if !reflect.DeepEqual(got, want) || id == "" {
				t.Errorf("%s: %v\nwant %v", client, got, want)
			}
			if e := h.last(t); e.Kind != audit.Introspect || e.Result != success || e.ClientID != "other" ||
				e.User != "alice" {
				t.Errorf("event %+v", e)
			}
		}
	})
}

func TestEverythingElseIsNotActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		asker := basic("reports", secret)
		mint := func(typ string, change func(*token.Claims)) string {
			c := token.Claims{
				Issuer:   ownIssuer,
				Subject:  "alice",
				Audience: []string{"api"},
				IssuedAt: time.Now(),
				Expiry:   time.Now().Add(time.Hour),
				ID:       "id",
				Project:  "default", Protocol: map[string]any{"epoch": int64(5)},
			}
			change(&c)
			return h.tokens.MintType(t, typ, c)
		}
		same := func(*token.Claims) {}
		good := mint("at+jwt", same)
		if w := h.post("/introspect", asker, "token", good); w.Body.String() == notActive {
			t.Fatalf("a good token: %s", w.Body)
		}
		revoked := h.access(t, "spa")
		if w := h.post("/revoke", nil, "token", revoked, "client_id", "spa"); w.Code != 200 {
			t.Fatal(w.Code)
		}
		for _, c := range []struct{ name, raw string }{
			{"garbage", "x"}, {"unknown opaque", opaque.Prefix + strings.Repeat("A", 64)}, {"revoked", revoked},
			{
				"expired",
				mint("at+jwt", func(c *token.Claims) { c.IssuedAt, c.Expiry = c.IssuedAt.Add(-time.Hour), c.IssuedAt }),
			},
			{"future", mint("at+jwt", func(c *token.Claims) { c.IssuedAt = c.IssuedAt.Add(time.Minute) })},
			{"ID token", mint("jwt", same)},
			{"another project", mint("at+jwt", func(c *token.Claims) { c.Project = "acme" })},
			{"no project", mint("at+jwt", func(c *token.Claims) { c.Project = "" })},
			{"badly signed", good[:len(good)-8] + "AAAAAAAA"}, {"another client's refresh token",
				h.begin(t, "spa").RefreshToken},
			{"foreign", h.foreign(t)},
		} {
			w := h.post("/introspect", asker, "token", c.raw)
			if w.Code != 200 || w.Body.String() != notActive || h.last(t).Result != inactive ||
				h.last(t).User != "" {
				t.Errorf("%s: %d %q, event %+v", c.name, w.Code, w.Body, h.last(t))
			}
		}
		// What is remembered is never good past its end.
		opaque := h.access(t, "spa")
		if w := h.post("/introspect", asker, "token", opaque); w.Body.String() == notActive {
			t.Errorf("a token that was just issued: %s", w.Body)
		}
		time.Sleep(15 * time.Minute)
		if w := h.post("/introspect", asker, "token", opaque); w.Body.String() != notActive {
			t.Errorf("past its end: %s", w.Body)
		}
	})
}

func TestIntrospectionIsForTheClientsOfTheProject(t *testing.T) {
	h := newFixture(t)
	raw := h.access(t, "spa")
	for range 2 { // also when the token is remembered
		if w := h.post("/introspect", basic("reports", secret), "token", raw); w.Body.String() == notActive {
			t.Errorf("the project's own client: %s", w.Body)
		}
		if w := h.post("/introspect", basic("acme", "acme-secret"), "token", raw); w.Body.String() != notActive {
			t.Errorf("another project's client: %s", w.Body)
		}
	}
}

// TestIntrospectionIsAboutWhatTheClientServes (RFC 7662, section 4): a client that nobody made a resource
// server is told of its own tokens, and so is one that came by itself. A log says why others are not.
func TestIntrospectionIsAboutWhatTheClientServes(t *testing.T) {
	h := newFixture(t)
	named := h.tokens.Mint(t, token.Claims{
		Issuer:   ownIssuer,
		Subject:  "alice",
		Audience: []string{"plain"},
		IssuedAt: time.Now(),
		Expiry:   time.Now().Add(time.Hour),
		Project:  "default",
		ClientID: "spa",
		Protocol: map[string]any{"epoch": int64(5)},
	})
	for _, c := range []struct {
		name, client, raw string
		told              bool
	}{
		{"its own", "plain", h.access(t, "plain"), true},
		{"of another client", "plain", h.access(t, "reports"), false},
		{"an opaque one of another client", "plain", h.access(t, "spa"), false},
		{"for the client itself", "plain", named, true},
		{"for an audience that it serves", "reports", h.access(t, "spa"), true},
		{"for another audience", "reports", named, false},
		{"its own, of one that came by itself", "selfmade", h.access(t, "selfmade"), true},
		{"of another client, to one that came by itself", "selfmade", h.access(t, "reports"), false},
		{"an opaque one, to one that came by itself", "selfmade", h.access(t, "spa"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := notItsAudience
			if c.told {
				want = ""
			}
			for range 2 { // also when the token is remembered
				w := h.post("/introspect", basic(c.client, secret), "token", c.raw)
				if w.Code != http.StatusOK || (w.Body.String() != notActive) != c.told {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				if e := h.last(t); e.Reason != want || (e.User != "") != c.told {
					t.Errorf("event %+v", e)
				}
			}
		})
	}
}

func TestRevocationIsSeenAtOnceByIntrospection(t *testing.T) {
	h := newFixture(t)
	for _, client := range []string{"spa", clientauth.FirstParty} {
		raw := h.access(t, client)
		if w := h.post("/introspect", basic("reports", secret), "token", raw); w.Body.String() == notActive {
			t.Fatalf("%s: %s", client, w.Body)
		}
		if w := h.post("/revoke", nil, "token", raw, "client_id", client); w.Code != 200 {
			t.Fatal(w.Code)
		}
		if w := h.post("/introspect", basic("reports", secret), "token", raw); w.Body.String() != notActive {
			t.Errorf("%s: after its revocation: %s", client, w.Body)
		}
	}
}

// TestIntrospectionOfARememberedToken: the text of the answer is made once, and whether the token is
// active, and whose business it is, is decided each time.
func TestIntrospectionOfARememberedToken(t *testing.T) {
	for _, c := range []struct {
		name    string
		client  string
		happens func(h *fixture, raw string)
		active  bool
	}{
		{"nothing happens", "reports", func(*fixture, string) {}, true},
		{"another client asks", "other", func(*fixture, string) {}, true},
		{"a client of another project asks", "acme", func(*fixture, string) {}, false},
		{"it expires", "reports", func(*fixture, string) { time.Sleep(15 * time.Minute) }, false},
		{"it is revoked", "reports", func(h *fixture, raw string) {
			h.post("/revoke", nil, "token", raw, "client_id", "spa")
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFixture(t)
				raw := h.access(t, "spa", "read")
				remembered, err := h.verify(t.Context(), raw)
				if err != nil {
					t.Fatal(err)
				}
				h.Verify = func(context.Context, string) (*token.Token, error) { return remembered, nil }
				first := h.post("/introspect", basic("reports", secret), "token", raw).Body.String()
				if first == notActive {
					t.Fatal(first)
				}
				c.happens(h, raw)
				asker := basic(c.client, map[string]string{"acme": "acme-secret", "other": "other-secret"}[c.client])
				if c.client == "reports" {
					asker = basic(c.client, secret)
				}
				want := notActive
				if c.active {
					want = first
				}
				w := h.post("/introspect", asker, "token", raw)
				if w.Code != 200 || w.Body.String() != want {
					t.Errorf("%d %s, want %s", w.Code, w.Body, want)
				}
			})
		})
	}
}

func TestIntrospectionsThatAreRefused(t *testing.T) {
	h := newFixture(t)
	raw := h.access(t, "spa")
	for _, c := range []struct {
		name   string
		with   func(*http.Request)
		fields []string
		status int
		code   string
	}{
		{"nobody", nil, []string{"token", raw}, 401, invalidClient},
		{"public", nil, []string{"token", raw, "client_id", "spa"}, 401, invalidClient},
		{"public, in the header", basic("spa", ""), []string{"token", raw}, 401, invalidClient},
		{"the first party", nil, []string{"token", raw, "client_id", clientauth.FirstParty}, 401, invalidClient},
		{"wrong secret", basic("reports", "wrong"), []string{"token", raw}, 401, invalidClient},
		{"paused", basic("paused", secret), []string{"token", raw}, 401, invalidClient},
		{
			"by the token itself", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+raw) },
			[]string{"token", raw}, 401, invalidClient,
		},
		{"no token", basic("reports", secret), nil, 400, invalidRequest},
		{"two tokens", basic("reports", secret), []string{"token", raw, "token", raw}, 400, invalidRequest},
		{
			"the token in the query",
			func(r *http.Request) { basic("reports", secret)(r); r.URL.RawQuery = "token=" + raw }, nil, 400,
			invalidRequest,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.post("/introspect", c.with, c.fields...)
			if code := problemIn(t, w); w.Code != c.status || code != c.code {
				t.Errorf("%s: %d %s, want %d %s", c.name, w.Code, code, c.status, c.code)
			}
			if challenged := w.Header().Get("WWW-Authenticate") != ""; challenged != (c.with != nil &&
				c.status == 401) {
				t.Errorf("%s: challenge %q", c.name, w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

func TestIntrospectionThatCannotTellIs503(t *testing.T) {
	down := errors.New("the disk is full")
	for _, c := range []struct {
		name   string
		breaks func(*fixture)
	}{
		{"store", func(h *fixture) { h.store.fail = down }},
		{"keys", func(h *fixture) { h.verifying = &token.Refusal{Reason: token.KeysUnavailable} }},
		{"clients", func(h *fixture) { h.findClient = down }},
		{"revocation", func(h *fixture) { h.revocation = &token.Refusal{Reason: "revocation_unavailable"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			raw := h.access(t, "spa")
			c.breaks(h)
			w := h.post("/introspect", basic("reports", secret), "token", raw)
			if code := problemIn(t, w); w.Code != 503 || code != temporarilyUnavailable ||
				w.Header().Get("Retry-After") == "" {
				t.Errorf("%s: %d %s", c.name, w.Code, code)
			}
		})
	}
}

func TestIntrospectionDescribesARefreshTokenToItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		since := time.Now().Truncate(time.Second)
		first := h.open(t, session.GrantRequest{
			Project:  "default",
			Subject:  "alice",
			ClientID: "reports",
			Audience: []string{"api"},
			Scopes:   []string{"read"},
			Access:   15 * time.Minute,
			Idle:     time.Hour,
			Absolute: 24 * time.Hour,
			AuthTime: since,
			ACR:      "pwd",
			AMR:      []string{"pwd"},
			JKT:      "thumbprint",
		})
		w := h.post("/introspect", basic("reports", secret), "token", first.RefreshToken)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		now := float64(since.Unix())
		want := map[string]any{
			"active": true, "token_type": "refresh_token", "scope": "read", "client_id": "reports", "sub": "alice",
			"iss": ownIssuer, "aud": []any{"api"}, "iat": now, "exp": now + 3600, "auth_time": now, "acr": "pwd",
			"amr": []any{"pwd"}, "cnf": map[string]any{"jkt": "thumbprint"},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v\nwant %v", got, want)
		}
		proof := tokenProof(t, dpoptest.New(t, "ES256"), nil)
		grantedIn(t, h.refresh(first.RefreshToken, prove(basic("reports", secret), proof), "")) // it was not used up
		if w := h.post("/revoke", basic("reports", secret), "token", first.RefreshToken); w.Code != 200 {
			t.Fatal(w.Code)
		}
		w = h.post("/introspect", basic("reports", secret), "token", first.RefreshToken)
		if w.Body.String() != notActive {
			t.Errorf("after its revocation: %s", w.Body)
		}
	})
}

// TestIntrospectionTellsHowAPersonSignedIn: and who acts for them.
func TestIntrospectionTellsHowAPersonSignedIn(t *testing.T) {
	h := newFixture(t)
	raw := h.tokens.Mint(t, token.Claims{
		Issuer:   ownIssuer,
		Subject:  "alice",
		Audience: []string{"api"},
		IssuedAt: time.Now(),
		Expiry:   time.Now().Add(time.Hour),
		Project:  "default",
		Protocol: map[string]any{
			"epoch": int64(5), "auth_time": int64(1700000000), "acr": "pwd", "amr": []any{"pwd"},
			"act": map[string]any{"sub": "web", "act": map[string]any{"sub": "spa"}},
		},
	})
	w := h.post("/introspect", basic("reports", secret), "token", raw)
	for _, want := range []string{
		`"acr":"pwd"`, `"amr":["pwd"]`, `"auth_time":1700000000`, `"act":{"act":{"sub":"spa"},"sub":"web"}`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s is missing in %s", want, w.Body)
		}
	}
}

// TestSignedIntrospection is RFC 9701: the same answers, for the one who asked.
func TestSignedIntrospection(t *testing.T) {
	const wanted = "application/token-introspection+jwt"
	h := newFixture(t)
	active := h.access(t, "spa", "read")
	for _, c := range []struct {
		name, accept, token string
		signed              bool
	}{
		{"active", wanted, active, true},
		{"not active", wanted, "x", true},
		{"among others", "application/json, " + wanted + ";q=0.5", active, true},
		{"excluded", wanted + ";q=0", active, false},
		{"any", "*/*", active, false},
		{"nothing", "", active, false},
		{"JSON", "application/json", active, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			with := func(r *http.Request) {
				basic("reports", secret)(r)
				r.Header.Set("Accept", c.accept)
			}
			plain := h.post("/introspect", basic("reports", secret), "token", c.token).Body.String()
			w := h.post("/introspect", with, "token", c.token)
			if !c.signed {
				if w.Body.String() != plain || w.Header().Get("Content-Type") != "application/json" {
					t.Errorf("%v %s", w.Header(), w.Body)
				}
				return
			}
			header, claims, err := token.Inspect(w.Body.String())
			if err != nil || w.Header().Get("Content-Type") != wanted || header["typ"] != "token-introspection+jwt" ||
				claims["iss"] != ownIssuer || claims["aud"] != "reports" || claims["iat"] == nil || len(claims) != 4 {
				t.Fatalf("%v %v %v, %v", w.Header(), header, claims, err)
			}
			told, err := json.Marshal(claims["token_introspection"])
			if err != nil || string(told)+"\n" != plain {
				t.Errorf("%s, want %s", told, plain)
			}
			if got := h.answers[len(h.answers)-1]; got != "RS256" {
				t.Errorf("signed with %s", got)
			}
			dot := strings.LastIndexByte(w.Body.String(), '.')
			signature, err := base64.RawURLEncoding.DecodeString(w.Body.String()[dot+1:])
			if err != nil || h.tokens.Key(ownIssuer).Verify(w.Body.Bytes()[:dot], signature) != nil {
				t.Errorf("the signature does not fit: %v", err)
			}
			if _, err := h.verify(t.Context(), w.Body.String()); err == nil {
				t.Error("the answer is taken for a token")
			}
		})
	}
}
