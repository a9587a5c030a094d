package oauth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

const tokenURL = "https://auth.example.com/auth/token"

// prove adds the header lines with proofs to what authenticates a client, if anything does.
func prove(with func(*http.Request), proofs ...string) func(*http.Request) {
	return func(r *http.Request) {
		if with != nil {
			with(r)
		}
		for _, proof := range proofs {
			r.Header.Add("DPoP", proof)
		}
	}
}

func tokenProof(t *testing.T, c *dpoptest.Client, more map[string]any) string {
	t.Helper()
	return c.Proof(t, "POST", tokenURL, "", time.Now(), more)
}

// beginBound begins a grant that belongs to a key.
func (h *fixture) beginBound(t *testing.T, clientID, jkt string) session.Issued {
	t.Helper()
	return h.open(t, session.GrantRequest{
		Project:  "default",
		Subject:  "alice",
		ClientID: clientID,
		Audience: []string{"api"},
		JKT:      jkt,
		Access:   15 * time.Minute,
		Idle:     time.Hour,
		Absolute: 24 * time.Hour,
	})
}

func (h *fixture) refresh(raw string, with func(*http.Request), clientID string) *httptest.ResponseRecorder {
	fields := []string{"grant_type", "refresh_token", "refresh_token", raw}
	if clientID != "" {
		fields = append(fields, "client_id", clientID)
	}
	return h.post("/token", with, fields...)
}

// Which client gets which token for which key, and who is refused. A grant of "key" began with that
// key.
func TestTokensAreBoundToTheKeyOfTheProof(t *testing.T) {
	key, other := dpoptest.New(t, "ES256"), dpoptest.New(t, "EdDSA")
	for _, c := range []struct {
		name, client string
		with         func(*http.Request)
		grant, proof *dpoptest.Client
		want         string // the error; empty: a token that is bound to the key of the proof
	}{
		{"public, no key", "spa", nil, nil, nil, ""},
		{"public, key of its own accord", "spa", nil, nil, key, ""},
		{"public, its key", "spa", nil, key, key, ""},
		{"public, another key", "spa", nil, key, other, invalidGrant},
		{"public, without its key", "spa", nil, key, nil, invalidGrant},
		{"confidential, no key", "reports", basic("reports", secret), nil, nil, ""},
		{"confidential, a key", "reports", basic("reports", secret), nil, key, ""},
		{"confidential, a new key", "reports", basic("reports", secret), key, other, ""},
		{"confidential, without a key", "reports", basic("reports", secret), key, nil, invalidGrant},
		{"bound client, a key", "bound", basic("bound", secret), nil, key, ""},
		{"bound client, no key", "bound", basic("bound", secret), nil, nil, invalidDPoPProof},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			jkt, with, named := "", c.with, ""
			if c.grant != nil {
				jkt = c.grant.Thumbprint
			}
			if c.proof != nil {
				with = prove(with, tokenProof(t, c.proof, nil))
			}
			if c.with == nil {
				named = c.client
			}
			begun := h.beginBound(t, c.client, jkt)
			w := h.refresh(begun.RefreshToken, with, named)
			if c.want != "" {
				if code := problemIn(t, w); w.Code != 400 || code != c.want {
					t.Errorf("%d %s, want %s", w.Code, code, c.want)
				}
				if g, _ := h.store.FindGrant(t.Context(), begun.Grant.ID); g.Generation != 0 || !g.Revoked.IsZero() {
					t.Errorf("the refresh token was used up: %+v", g)
				}
				return
			}
			h.checkBinding(t, grantedIn(t, w), c.proof)
		})
	}
}

// checkBinding holds an answer and its token against the key that was proved.
func (h *fixture) checkBinding(t *testing.T, got granted, key *dpoptest.Client) {
	t.Helper()
	access, err := h.verify(t.Context(), got.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	jkt, kind := "", "Bearer"
	if key != nil {
		jkt, kind = key.Thumbprint, "DPoP"
	}
	if access.JKT() != jkt || got.TokenType != kind {
		t.Errorf("a %s token that is bound to %q, want %s and %q", got.TokenType, access.JKT(), kind, jkt)
	}
}

func TestProofsAtTheTokenEndpoint(t *testing.T) {
	key := dpoptest.New(t, "ES256")
	for _, c := range []struct {
		name string
		with func(t *testing.T) []string // the header lines
	}{
		{"two headers", func(t *testing.T) []string {
			return []string{tokenProof(t, key, nil), tokenProof(t, key, nil)}
		}},
		{"empty", func(*testing.T) []string { return []string{""} }},
		{"not a proof", func(*testing.T) []string { return []string{"x.y.z"} }},
		{"of another endpoint", func(t *testing.T) []string {
			return []string{tokenProof(t, key, map[string]any{"htu": "https://auth.example.com/auth/par"})}
		}},
		{"of another server", func(t *testing.T) []string {
			return []string{tokenProof(t, key, map[string]any{"htu": "https://evil.example/auth/token"})}
		}},
		{"of a GET", func(t *testing.T) []string { return []string{tokenProof(t, key, map[string]any{"htm": "GET"})} }},
		{"old", func(t *testing.T) []string {
			return []string{tokenProof(t, key, map[string]any{"iat": time.Now().Unix() - 120})}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			begun := h.begin(t, "spa")
			w := h.refresh(begun.RefreshToken, prove(nil, c.with(t)...), "spa")
			if code := problemIn(t, w); w.Code != 400 || code != invalidDPoPProof || h.last(t).Result != code {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			grantedIn(t, h.refresh(begun.RefreshToken, nil, "spa"))
		})
	}
}

func TestAProofIsGoodForOneToken(t *testing.T) {
	h := newFixture(t)
	key := dpoptest.New(t, "ES256")
	proof := tokenProof(t, key, nil)
	first := grantedIn(t, h.refresh(h.begin(t, "spa").RefreshToken, prove(nil, proof), "spa"))
	w := h.refresh(first.RefreshToken, prove(nil, proof), "spa")
	if code := problemIn(t, w); w.Code != 400 || code != invalidDPoPProof {
		t.Errorf("again: %d %s", w.Code, w.Body)
	}
	h.store.writing = errors.New("the disk is full")
	if w := h.refresh(first.RefreshToken, prove(nil, tokenProof(t, key, nil)), "spa"); w.Code != 503 {
		t.Errorf("without the store: %d %s", w.Code, w.Body)
	}
}

// A client that fails to authenticate uses up no proof.
func TestClientsAuthenticateBeforeTheirProof(t *testing.T) {
	h := newFixture(t)
	key := dpoptest.New(t, "ES256")
	w := h.refresh(h.begin(t, "reports").RefreshToken, prove(basic("reports", "wrong"), tokenProof(t, key, nil)), "")
	if w.Code != 401 || len(h.proofs) > 0 {
		t.Errorf("%d, %d proofs used", w.Code, len(h.proofs))
	}
}

func TestNoncesAtTheTokenEndpoint(t *testing.T) {
	h := newFixture(t)
	key := dpoptest.New(t, "ES256")
	h.Proofs.Nonces = &dpop.Nonces{Keys: []keyring.Subkey{{ID: "1", Key: []byte(strings.Repeat("n", 32))}}}
	begun := h.begin(t, "spa")
	w := h.refresh(begun.RefreshToken, prove(nil, tokenProof(t, key, nil)), "spa")
	nonce := w.Header().Get("DPoP-Nonce")
	if code := problemIn(t, w); w.Code != 400 || code != useDPoPNonce || nonce == "" {
		t.Fatalf("%d %s, nonce %q", w.Code, w.Body, nonce)
	}
	w = h.refresh(begun.RefreshToken, prove(nil, tokenProof(t, key, map[string]any{"nonce": nonce})), "spa")
	h.checkBinding(t, grantedIn(t, w), key)
	if w.Header().Get("DPoP-Nonce") == "" {
		t.Error("no nonce for the next request")
	}
	if w := h.refresh(h.begin(t, "spa").RefreshToken, nil, "spa"); w.Code != 200 || w.Header().Get("DPoP-Nonce") != "" {
		t.Errorf("a client without DPoP: %d, %v", w.Code, w.Header())
	}
}

func TestIntrospectionTellsOfTheKey(t *testing.T) {
	h := newFixture(t)
	key := dpoptest.New(t, "ES256")
	bound := grantedIn(t, h.refresh(h.begin(t, "spa").RefreshToken, prove(nil, tokenProof(t, key, nil)), "spa"))
	w := h.post("/introspect", basic("reports", secret), "token", bound.AccessToken)
	for _, want := range []string{`"active":true`, `"token_type":"DPoP"`, `"cnf":{"jkt":"` + key.Thumbprint + `"}`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s is missing in %s", want, w.Body)
		}
	}
}
