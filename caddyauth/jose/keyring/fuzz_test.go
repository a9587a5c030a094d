package keyring

import (
	"strings"
	"testing"
)

func FuzzParseSecrets(f *testing.F) {
	good := strings.Repeat("QUJD", 11)
	for _, s := range []string{
		"", ",", ":", "k1:" + good, "k1:" + good + ", k2:" + good, "k1:" + good + ",k1:" + good, " \nk1:" + good + "\n",
		"k1:" + good[:43] + "=", "k1:" + strings.Repeat("-_", 22), "k1:" + strings.Repeat("+/", 22), "{env.X}",
		"k1:{env.X}", good + ":k1", "\xff:" + good, "k\x00:" + good, strings.Repeat("k", 300) + ":" + good,
	} {
		f.Add(s, "")
		f.Add(s, "HS512")
	}
	f.Fuzz(func(t *testing.T, s, algorithm string) {
		keys, err := ParseSecrets(s, algorithm)
		if err != nil {
			assertKeepsQuiet(t, err, s)
			return
		}
		ring, err := NewRing(keys, "")
		if err != nil {
			t.Fatalf("read, but makes no ring: %v", err)
		}
		if string(ring.JWKS()) != `{"keys":[]}` {
			t.Fatalf("published: %s", ring.JWKS())
		}
		for _, k := range keys {
			assertSound(t, k)
		}
	})
}

// assertKeepsQuiet fails when an error quotes a long piece of what follows a
// colon, which is where secrets stand.
func assertKeepsQuiet(t *testing.T, err error, s string) {
	t.Helper()
	for _, part := range strings.Split(s, ",") {
		_, secret, _ := strings.Cut(part, ":")
		if len(secret) >= 24 && strings.Contains(err.Error(), secret) {
			t.Fatalf("%q tells of the secret", err)
		}
	}
}

// assertSound checks what must be true of every key that was accepted.
func assertSound(t *testing.T, k *Key) {
	t.Helper()
	if checkID(k.id) != nil || (k.secret == nil) == (k.public == nil) {
		t.Fatalf("unsound key %v", k)
	}
	if k.secret != nil && len(k.secret) < k.alg.minSecret {
		t.Fatalf("%v has %d bytes", k, len(k.secret))
	}
	if k.public != nil {
		if _, err := k.alg.check(k.public); err != nil {
			t.Fatalf("%v: %v", k, err)
		}
	}
	if err := k.Verify(testInput, make([]byte, k.signatureSize)); err != ErrBadSignature {
		t.Fatalf("%v verifies zeros: %v", k, err)
	}
	if !k.CanSign() {
		return
	}
	sig, err := k.Sign(testInput)
	if err != nil || k.Verify(testInput, sig) != nil {
		t.Fatalf("%v does not verify its own signature: %v", k, err)
	}
}

func FuzzParseFile(f *testing.F) {
	es := mustGenerate(f, "ES256")
	for _, name := range []string{"HS256", "RS256", "ES256", "ES384", "EdDSA"} {
		k := mustGenerate(f, name)
		f.Add("", []byte(privateJWK(k)), "")
		f.Add("k1", []byte(`{"keys":[`+privateJWK(k)+`]}`), name)
		f.Add("", []byte(`{"keys":[`+privateJWK(k)+","+privateJWK(es)+`]}`), "")
		if text, err := k.MarshalPrivatePEM(); err == nil {
			f.Add("k1", text, "")
			f.Add("", []byte(pkix(f, k.public)), name)
		}
	}
	for _, s := range []string{
		"", "{", "{}", "[]", `{"keys":null}`, `{"keys":[{}]}`, `{"kty":"RSA","n":"AQ","e":"AQ"}`,
		`{"kty":"EC","crv":"P-256","x":"","y":""}`, `{"kty":"OKP","crv":"Ed25519","x":"AA"}`,
		"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "\ufeff{}", strings.Repeat(`{"a":`, 20_000),
		`{"keys":` + strings.Repeat("[", 20_000),
	} {
		f.Add("", []byte(s), "")
		f.Add("k1", []byte(s), "RS256")
	}
	f.Fuzz(func(t *testing.T, kid string, data []byte, algorithm string) {
		keys, err := ParseFile(kid, data, algorithm)
		if err != nil {
			return
		}
		if _, err := NewRing(keys, ""); err != nil {
			t.Fatalf("read, but makes no ring: %v", err)
		}
		for _, k := range keys {
			assertSound(t, k)
			if kid != "" && k.id != kid || algorithm != "" && k.alg.name != algorithm {
				t.Fatalf("%v, asked for %q %q", k, kid, algorithm)
			}
		}
	})
}
