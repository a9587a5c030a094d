package possession

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/jose/token/tokentest"
)

const (
	issuer = "https://auth.example.com"
	target = "https://app.example.com/v1/items"
)

var now = time.Unix(1_790_000_000, 0)

// fixture is a gate whose bound tokens need proofs, and a client with a bound token.
type fixture struct {
	*Checker
	gate   *gate.Gate
	tokens *tokentest.Fixture
	client *dpoptest.Client
	bound  string
	used   map[string]bool
	fail   error // of the store
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{
		tokens: tokentest.New(t, tokentest.Issuer{Issuer: token.Issuer{Name: issuer, Own: true}}),
		client: dpoptest.New(t, "ES256"),
		used:   map[string]bool{},
	}
	f.Checker = &Checker{
		URL:     func(r *http.Request) string { return "https://" + r.Host + r.URL.RequestURI() },
		UseOnce: f.useOnce,
	}
	f.gate = &gate.Gate{
		Audiences:  []string{"api"},
		Project:    "default",
		Issuers:    map[string][]string{issuer: nil},
		Sources:    []gate.Source{{Kind: gate.Bearer}},
		Owned:      new(gate.Owned),
		Verify:     f.tokens.Verifier.Verify,
		Revoked:    func(*token.Token, time.Time) error { return nil },
		Possession: f.Check,
	}
	if err := f.gate.Validate(); err != nil {
		t.Fatal(err)
	}
	f.bound = f.mint(t, f.client, "alice")
	return f
}

func (f *fixture) useOnce(_ context.Context, u replay.Use, _ time.Time) error {
	switch {
	case f.fail != nil:
		return f.fail
	case f.used[u.Key()]:
		return replay.ErrUsed
	}
	f.used[u.Key()] = true
	return nil
}

func (f *fixture) mint(t *testing.T, to *dpoptest.Client, subject string) string {
	t.Helper()
	return f.tokens.Mint(t, token.Claims{
		Issuer:   issuer,
		Subject:  subject,
		Audience: []string{"api"},
		IssuedAt: now,
		Expiry:   now.Add(time.Minute),
		ID:       "j",
		Project:  "default",
		Protocol: map[string]any{"cnf": map[string]any{"jkt": to.Thumbprint}},
	})
}

// send asks the gate about a GET with a token and DPoP header lines.
func (f *fixture) send(access string, proofs ...string) (*http.Request, error) {
	r := httptest.NewRequest("GET", target+"?page=2", nil)
	r.Header.Set("Authorization", "DPoP "+access)
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	_, err := f.gate.Admit(r, nil, now)
	return r, err
}

func TestRequestsThatProveNothing(t *testing.T) {
	f := newFixture(t)
	other := dpoptest.New(t, "EdDSA")
	proof := func(c *dpoptest.Client, method, url, access string, more map[string]any) string {
		return c.Proof(t, method, url, access, now, more)
	}
	good := proof(f.client, "GET", target, f.bound, nil)
	for _, c := range []struct {
		name   string
		proofs []string
		want   token.Reason
	}{
		{"no proof", nil, gate.InvalidProof},
		{"empty proof", []string{""}, gate.InvalidProof},
		{"two proofs", []string{good, good}, gate.InvalidProof},
		{"the access token as proof", []string{f.bound}, gate.InvalidProof},
		{"another method", []string{proof(f.client, "POST", target, f.bound, nil)}, gate.InvalidProof},
		{"another URL", []string{proof(f.client, "GET", target+"/7", f.bound, nil)}, gate.InvalidProof},
		{"another token", []string{proof(f.client, "GET", target, f.mint(t, f.client, "bob"), nil)}, gate.InvalidProof},
		{"of a token endpoint", []string{proof(f.client, "GET", target, "", nil)}, gate.InvalidProof},
		{"another key", []string{proof(other, "GET", target, f.bound, nil)}, gate.WrongBinding},
		{"old", []string{proof(f.client, "GET", target, f.bound, map[string]any{"iat": now.Unix() - 100})},
			gate.InvalidProof},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := f.send(f.bound, c.proofs...)
			if gate.ReasonOf(err) != c.want || len(r.Header) > 0 || len(f.used) > 0 {
				t.Errorf("%v, want %s; the request has %v, %d proofs are used up", err, c.want, r.Header, len(f.used))
			}
		})
	}
	if _, err := f.send(f.bound, good); err != nil {
		t.Errorf("the proof that is good: %v", err)
	}
}

func TestAProofIsGoodOnce(t *testing.T) {
	f := newFixture(t)
	proof := f.client.Proof(t, "GET", target, f.bound, now, map[string]any{"jti": "one"})
	if _, err := f.send(f.bound, proof); err != nil {
		t.Fatal(err)
	}
	if _, err := f.send(f.bound, proof); gate.ReasonOf(err) != gate.InvalidProof {
		t.Errorf("again: %v", err)
	}
	// Another client cannot use up the ids of this one, which may be guessed.
	other := dpoptest.New(t, "ES256")
	theirs := f.mint(t, other, "bob")
	if _, err := f.send(theirs, other.Proof(t, "GET", target, theirs, now, map[string]any{"jti": "one"})); err != nil {
		t.Errorf("the same id of another key: %v", err)
	}
}

func TestWithoutTheStoreNoProofIsGood(t *testing.T) {
	f := newFixture(t)
	f.fail = errors.New("the disk is full")
	_, err := f.send(f.bound, f.client.Proof(t, "GET", target, f.bound, now, nil))
	if reason := gate.ReasonOf(err); reason != gate.ReplayNotChecked || gate.Status(reason) != 503 ||
		!errors.Is(err, f.fail) {
		t.Error(err)
	}
}

func TestNoncesOnDemand(t *testing.T) {
	f := newFixture(t)
	f.Nonces = &dpop.Nonces{Keys: []keyring.Subkey{{ID: "1", Key: make([]byte, 32)}}}
	if _, err := f.send(f.bound, f.client.Proof(t, "GET", target, f.bound, now, nil)); gate.ReasonOf(err) !=
		gate.NonceRequired {
		t.Error(err)
	}
	proof := f.client.Proof(t, "GET", target, f.bound, now, map[string]any{"nonce": f.Nonces.Current(now)})
	if _, err := f.send(f.bound, proof); err != nil {
		t.Error(err)
	}
	if _, err := f.send(f.bound, proof); gate.ReasonOf(err) != gate.InvalidProof {
		t.Errorf("again, with its nonce: %v", err)
	}
}
