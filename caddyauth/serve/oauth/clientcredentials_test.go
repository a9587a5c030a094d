package oauth

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
)

// TestClientCredentials: what arrives, and what the token says.
func TestClientCredentials(t *testing.T) {
	for _, c := range []struct {
		name, client, fields string
		scope                string
		audience             []string
	}{
		{"nothing asked", "machine", "", "read write", []string{"api", "billing"}},
		{"a scope", "machine", "scope=write", "write", []string{"api", "billing"}},
		{"an unknown scope beside", "machine", "scope=admin+read", "read", []string{"api", "billing"}},
		{"a scope of persons beside", "machine", "scope=openid+read", "read", []string{"api", "billing"}},
		{"a scope twice", "machine", "scope=read+read", "read", []string{"api", "billing"}},
		{"a resource", "machine", "resource=https://api.example.com", "read write",
			[]string{"https://api.example.com"}},
		{"an origin with a slash", "machine", "resource=https://api.example.com/", "read write",
			[]string{"https://api.example.com"}},
		{"resources", "machine", "resource=https://files.example.com/v1 resource=https://api.example.com", "read write",
			[]string{"https://files.example.com/v1", "https://api.example.com"}},
		{"a resource twice", "machine", "resource=https://api.example.com resource=https://api.example.com/",
			"read write", []string{"https://api.example.com"}},
		{"an opaque token", "opaque", "", "read write", []string{"api", "billing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			w := h.postText("/token", basic(c.client, secret), grantBody("client_credentials", c.fields))
			got := grantedIn(t, w)
			if got.TokenType != "Bearer" || got.ExpiresIn != 900 || got.Scope != c.scope ||
				strings.Contains(w.Body.String(), "refresh_token") {
				t.Errorf("%s", w.Body)
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Pragma") != "no-cache" {
				t.Errorf("%v", w.Header())
			}
			access, err := h.verify(t.Context(), got.AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			tier, _ := access.Claim("tier")
			_, signedIn := access.Claim("auth_time")
			if access.Subject != c.client || access.ClientID != c.client || access.Project != "default" ||
				access.Session != "" || access.ID == "" || access.Epoch != 5 || tier != "gold" || signedIn ||
				!slices.Equal(access.Audience, c.audience) || strings.Join(access.Scopes, " ") != c.scope {
				t.Errorf("%+v", access)
			}
			if e := h.last(t); e.Kind != audit.Token || e.Result != success || e.ClientID != c.client ||
				e.GrantType != "client_credentials" {
				t.Errorf("event %+v", e)
			}
			if len(h.store.grants) != 0 {
				t.Error("a session began")
			}
		})
	}
}

// TestClientCredentialsThatAreRefused: with which word, and nothing is stored.
func TestClientCredentialsThatAreRefused(t *testing.T) {
	down := errors.New("the disk is full")
	for _, c := range []struct {
		name, client, fields string
		breaks               func(*fixture)
		status               int
		code                 string
	}{
		{"no such scope", "machine", "scope=admin", nil, 400, invalidScope},
		{"only scopes of persons", "machine", "scope=openid", nil, 400, invalidScope},
		{"scope in another case", "machine", "scope=READ", nil, 400, invalidScope},
		{"scope repeated", "machine", "scope=read scope=read", nil, 400, invalidRequest},
		{"another resource", "machine", "resource=https://other.example.com", nil, 400, invalidTarget},
		{"one of two resources", "machine", "resource=https://api.example.com resource=https://other.example.com", nil,
			400, invalidTarget},
		{"a fragment", "machine", "resource=https://api.example.com%23x", nil, 400, invalidTarget},
		{"a relative resource", "machine", "resource=/v1", nil, 400, invalidTarget},
		{"a path with a slash", "machine", "resource=https://files.example.com/v1/", nil, 400, invalidTarget},
		{"no grant type", "machine", "-grant_type", nil, 400, invalidRequest},
		{"grant types of two", "machine", "grant_type=refresh_token", nil, 400, invalidRequest},
		{"a client without the grant", "reports", "", nil, 400, unauthorizedClient},
		{"a client with the name of a user", "twin", "", nil, 400, unauthorizedClient},
		{"a project that is paused", "stopped", "", nil, 400, unauthorizedClient},
		{"a client that is paused", "paused", "", nil, 401, invalidClient},
		{"an unknown client", "nobody", "", nil, 401, invalidClient},
		{"the store", "machine", "", func(h *fixture) { h.findClient = down }, 503, temporarilyUnavailable},
		{"issuing", "machine", "", func(h *fixture) { h.issuing = down }, 503, temporarilyUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			if c.breaks != nil {
				c.breaks(h)
			}
			w := h.postText("/token", basic(c.client, secret), grantBody("client_credentials", c.fields))
			if code := problemIn(t, w); w.Code != c.status || code != c.code || h.last(t).Result != c.code {
				t.Errorf("%d %s, want %d %s; event %+v", w.Code, code, c.status, c.code, h.last(t))
			}
			if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("%v", w.Header())
			}
		})
	}
}

// TestPublicClientsGetNoTokensForThemselves: they prove nothing.
func TestPublicClientsGetNoTokensForThemselves(t *testing.T) {
	h := newFixture(t)
	for _, grant := range []string{"client_credentials", exchangeGrant} {
		for _, client := range []string{"spa", clientauth.FirstParty} {
			w := h.postText("/token", nil, grantBody(grant, "client_id="+client))
			if code := problemIn(t, w); w.Code != 400 || code != unauthorizedClient {
				t.Errorf("%s, %s: %d %s", client, grant, w.Code, code)
			}
		}
	}
}

// TestARevokedClientKeepsNoToken: one that was issued before the revocation is denied, and what
// comes after it is good.
func TestARevokedClientKeepsNoToken(t *testing.T) {
	h := newFixture(t)
	got := grantedIn(t, h.postText("/token", basic("machine", secret), grantBody("client_credentials", "")))
	access, err := h.verify(t.Context(), got.AccessToken)
	if err != nil || h.revoked(access) != nil {
		t.Fatal(err)
	}
	h.Sessions.DenyList.Add(revocation.Denial{
		Kind:  revocation.ClientKind,
		Scope: "default",
		ID:    "machine",
		Epoch: 6,
		Until: time.Now().Add(time.Hour),
	})
	if h.revoked(access) == nil {
		t.Error("the token is still good")
	}
}

// grantBody is a form with a grant type. A field that begins with a minus leaves that out.
func grantBody(grant, fields string) string {
	return strings.TrimPrefix(tokenBody("", "-grant_type -refresh_token grant_type="+grant+" "+fields), "&")
}
