package keyring

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func mustSecretRing(tb testing.TB, s string) *SecretRing {
	tb.Helper()
	r, err := ParseSecretRing(s)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func newSecretRing(tb testing.TB) (*SecretRing, string) {
	tb.Helper()
	r, text, err := NewSecretRing()
	if err != nil {
		tb.Fatal(err)
	}
	return r, text
}

func mustSeal(tb testing.TB, r *SecretRing, k *Key) Record {
	tb.Helper()
	rec, err := r.Seal(k)
	if err != nil {
		tb.Fatal(err)
	}
	return rec
}

func TestSealedKeysOpenAgain(t *testing.T) {
	ring, text := newSecretRing(t)
	again := mustSecretRing(t, text+"\n")
	for _, name := range Algorithms() {
		k := mustGenerate(t, name)
		rec := mustSeal(t, ring, k)
		back, err := again.Open(rec)
		if err != nil {
			t.Fatal(err)
		}
		if !back.Equal(k) || !back.CanSign() || !back.Created().Equal(k.Created()) {
			t.Errorf("%v came back as %v", k, back)
		}
		if k.secret != nil && bytes.Contains(rec.Sealed, k.secret) {
			t.Errorf("%s: the record holds the secret", name)
		}
		if other := mustSeal(t, ring, k); bytes.Equal(other.Sealed, rec.Sealed) {
			t.Errorf("%s: sealed twice alike", name)
		}
	}
}

func TestSecretsCanBeReplaced(t *testing.T) {
	old := "old:" + strings.Repeat("b2xk", 11)
	rec := mustSeal(t, mustSecretRing(t, old), mustGenerate(t, "ES256"))
	both := mustSecretRing(t, "new:"+strings.Repeat("bmV3", 11)+",\n"+old)
	if _, err := both.Open(rec); err != nil {
		t.Error(err)
	}
	if !both.Matches(mustSecretRing(t, old).Fingerprint()) {
		t.Error("the fingerprint of the older secret does not match")
	}
	if fresh := mustSeal(t, both, mustGenerate(t, "ES256")); !bytes.Contains(fresh.Sealed, []byte("new")) {
		t.Error("the first secret does not seal")
	}
	if keys := both.Derive("x"); len(keys) != 2 || keys[0].ID != "new" || keys[1].ID != "old" {
		t.Errorf("%v", keys)
	}
}

func TestRecordsThatDoNotOpen(t *testing.T) {
	ring, _ := newSecretRing(t)
	sameID, _ := newSecretRing(t)
	otherID := mustSecretRing(t, "other:"+strings.Repeat("b3Ro", 11))
	k := mustGenerate(t, "RS256")
	rec := mustSeal(t, ring, k)
	altered := func(change func(*Record)) Record {
		r := rec
		r.Sealed = bytes.Clone(rec.Sealed)
		change(&r)
		return r
	}
	for _, c := range []struct {
		name  string
		ring  *SecretRing
		rec   Record
		want  string
		wrong bool
	}{
		{"another secret of the same id", sameID, rec, `with secret "1"`, true},
		{"secret not in the ring", otherID, rec, `secret "1" is not in the ring`, true},
		{"another id", ring, altered(func(r *Record) { r.ID = "k2" }), "", true},
		{"another algorithm", ring, altered(func(r *Record) { r.Algorithm = "PS256" }), "", true},
		{"another family", ring, altered(func(r *Record) { r.Algorithm = "HS256" }), "", true},
		{"unknown algorithm", ring, altered(func(r *Record) { r.Algorithm = "none" }), "unknown algorithm", false},
		{"last byte", ring, altered(func(r *Record) { r.Sealed[len(r.Sealed)-1] ^= 1 }), "", true},
		{"nonce", ring, altered(func(r *Record) { r.Sealed[4] ^= 1 }), "", true},
		{"cut", ring, altered(func(r *Record) { r.Sealed = r.Sealed[:5] }), "", true},
		{"version", ring, altered(func(r *Record) { r.Sealed[0] = 9 }), "unknown form", false},
		{"no bytes", ring, altered(func(r *Record) { r.Sealed = nil }), "unknown form", false},
		{
			"length past the end", ring, altered(func(r *Record) { r.Sealed = []byte{1, 200, 'x'} }), "unknown form",
			false,
		},
	} {
		_, err := c.ring.Open(c.rec)
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrWrongSecret) != c.wrong {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := ring.Seal(publicOnly(t, k)); !errors.Is(err, ErrCannotSign) {
		t.Errorf("sealed a public key: %v", err)
	}
}

func TestLoneSecretIsReadAsBase64OrText(t *testing.T) {
	text := "a text of thirty-two bytes or so!"
	if r := mustSecretRing(t, " "+text+"\n"); string(r.entries[0].secret) != text || r.entries[0].id != "1" {
		t.Error("text")
	}
	if r := mustSecretRing(t, strings.Repeat("QUJD", 11)); string(r.entries[0].secret) != strings.Repeat("ABC", 11) {
		t.Error("base64")
	}
	if r := mustSecretRing(t, strings.Repeat("QUJD", 8)); string(r.entries[0].secret) != strings.Repeat("QUJD", 8) {
		t.Error("base64 of too few bytes is its own text")
	}
}

func TestSecretRingsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "secret: none given"},
		{"CANARY", "secret: is 6 bytes, at least 32"},
		{"{env.AUTH_SECRET}", "a placeholder that was not resolved"},
		{"k1:Q0FOQVJZ", `entry 1, kid "k1": is 6 bytes, at least 32`},
		{":" + strings.Repeat("Q", 44), "entry 1: key id is empty"},
		{
			"k1:" + strings.Repeat("Q0FOQVJZ", 6) + ",k1:" + strings.Repeat("Q0FOQVJZ", 6),
			`kid "k1": the id is given to more than one key`,
		},
		{"k1:" + strings.Repeat("Q0FOQVJZ", 6) + ",CANARY", "entry 2: has no kid"},
	} {
		t.Run(c.in, func(t *testing.T) {
			_, err := ParseSecretRing(c.in)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "CANARY") ||
				strings.Contains(err.Error(), "Q0FO") {
				t.Errorf("%q: got %v, want %q", c.in, err, c.want)
			}
		})
	}
}

func TestDerivedKeysDependOnSecretLabelAndSalt(t *testing.T) {
	a, text := newSecretRing(t)
	b, _ := newSecretRing(t)
	key := a.Derive("refresh")[0].Key
	if len(key) != 32 || !bytes.Equal(key, mustSecretRing(t, text).Derive("refresh")[0].Key) {
		t.Error("not the same again")
	}
	if bytes.Equal(key, a.Derive("cookies")[0].Key) || bytes.Equal(key, b.Derive("refresh")[0].Key) {
		t.Error("the same for another label or secret")
	}
	salted := a.DeriveWith("refresh", []byte("salt"))[0].Key
	if bytes.Equal(key, salted) || bytes.Equal(salted, a.DeriveWith("refresh", []byte("another"))[0].Key) ||
		bytes.Equal(salted, b.DeriveWith("refresh", []byte("salt"))[0].Key) ||
		!bytes.Equal(salted, a.DeriveWith("refresh", []byte("salt"))[0].Key) {
		t.Error("with a salt")
	}
	if a.Fingerprint() == b.Fingerprint() || !a.Matches(a.Fingerprint()) || a.Matches(b.Fingerprint()) ||
		a.Matches("") {
		t.Error("fingerprints")
	}
}
