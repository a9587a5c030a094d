package keyring

import (
	"strings"
	"testing"
	"time"
)

// storedKey is a generated key as the store has it.
func storedKey(t *testing.T, secret *SecretRing, purpose Purpose, algorithm string, state State) Record {
	t.Helper()
	rule := Lifecycle{Secret: secret, Purpose: purpose, Algorithm: algorithm}
	rec, err := rule.First(dawn)
	if err != nil {
		t.Fatal(err)
	}
	rec.State, rec.Until = state, dawn.Add(time.Hour)
	return rec
}

// TestWhichKeySignsIDTokens: one that is for them alone goes first; the active key does where it has
// the algorithm; a shared secret never does, because whoever verifies with it could sign, too.
func TestWhichKeySignsIDTokens(t *testing.T) {
	secret, _, err := NewSecretRing()
	if err != nil {
		t.Fatal(err)
	}
	access := storedKey(t, secret, AccessTokens, "ES256", Active)
	own := storedKey(t, secret, IDTokens, "ES256", Active)
	announced := storedKey(t, secret, IDTokens, "EdDSA", Announced)
	secrets, err := ParseSecrets("env:"+strings.Repeat("QUJD", 11), "")
	if err != nil {
		t.Fatal(err)
	}
	configured, err := NewRing(secrets, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		records    []Record
		configured *Ring
		algorithm  string
		want       string // the id of the key
		active     string
	}{
		{"none", nil, nil, "RS256", "", ""},
		{"the active key", []Record{access}, nil, "ES256", access.ID, access.ID},
		{"another algorithm", []Record{access}, nil, "RS256", "", access.ID},
		{"one of its own", []Record{access, own}, nil, "ES256", own.ID, access.ID},
		{"announced", []Record{access, announced}, nil, "EdDSA", "", access.ID},
		{"beside configured keys", []Record{access, own}, configured, "ES256", own.ID, "env"},
		{"a configured key", []Record{access}, configured, "ES256", "", "env"},
		{"a secret", nil, configured, "HS256", "", "env"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ring, err := secret.Ring(Set{Records: c.records}, dawn, c.configured, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := ring.IDToken(c.algorithm)
			if got == nil && c.want != "" || got != nil && got.ID() != c.want {
				t.Errorf("%v signs, want %q", got, c.want)
			}
			if active := ring.Active(); active == nil && c.active != "" || active != nil && active.ID() != c.active {
				t.Errorf("access tokens: %v signs, want %q", active, c.active)
			}
			if c.configured != nil && ring.Key(access.ID) != nil {
				t.Error("a generated key for access tokens is in use beside configured ones")
			}
			if strings.Contains(string(ring.JWKS()), "env") {
				t.Errorf("a secret is published: %s", ring.JWKS())
			}
		})
	}
}

// A generated key with the id of a configured one is left out and told: the others go on.
func TestIDsAreDistinct(t *testing.T) {
	secret, _, err := NewSecretRing()
	if err != nil {
		t.Fatal(err)
	}
	own := storedKey(t, secret, IDTokens, "ES256", Active)
	key, err := secret.Open(own)
	if err != nil {
		t.Fatal(err)
	}
	configured, err := NewRing([]*Key{key}, "")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secret.Ring(Set{Records: []Record{own}}, dawn, configured, nil)
	if err == nil || !strings.Contains(err.Error(), own.ID) || len(ring.Keys()) != 1 || ring.Active() != key {
		t.Errorf("%v, %v", ring.Keys(), err)
	}
}
