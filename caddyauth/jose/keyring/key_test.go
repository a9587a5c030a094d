package keyring

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jws"
)

var testInput = []byte("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9")

func TestEveryAlgorithmSignsAndVerifies(t *testing.T) {
	for _, name := range Algorithms() {
		t.Run(name, func(t *testing.T) {
			k, other := mustGenerate(t, name), mustGenerate(t, name)
			sig := mustSign(t, k, testInput)
			if err := k.Verify(testInput, sig); err != nil {
				t.Fatal(err)
			}
			if err := other.Verify(testInput, sig); err != ErrBadSignature {
				t.Fatalf("another key: %v", err)
			}
			if err := k.Verify([]byte("else"), sig); err != ErrBadSignature {
				t.Fatalf("another input: %v", err)
			}
			if k.Algorithm() != name || !k.CanSign() || k.Symmetric() != strings.HasPrefix(name, "HS") {
				t.Fatalf("%v: CanSign %v, Symmetric %v", k, k.CanSign(), k.Symmetric())
			}
		})
	}
}

// TestSignOnceRepeatsNoNonceForAnotherInput: its ECDSA signatures follow from key and input, and those
// of Sign do not.
func TestSignOnceRepeatsNoNonceForAnotherInput(t *testing.T) {
	for _, name := range Algorithms() {
		t.Run(name, func(t *testing.T) {
			k := mustGenerate(t, name)
			once := func(input string) []byte {
				sig, err := k.SignOnce([]byte(input))
				if err != nil || k.Verify([]byte(input), sig) != nil {
					t.Fatalf("%s: %v", input, err)
				}
				return sig
			}
			a, again, b := once("a"), once("a"), once("b")
			if bytes.Equal(a[:len(a)/2], b[:len(b)/2]) {
				t.Error("two inputs have a nonce in common")
			}
			if strings.HasPrefix(name, "ES") && !bytes.Equal(a, again) {
				t.Error("the same input has another signature")
			}
			if strings.HasPrefix(name, "ES") && bytes.Equal(mustSign(t, k, []byte("a")), a) {
				t.Error("Sign has no randomness")
			}
		})
	}
}

// TestSignOnceIsRFC6979 by the vector of its appendix A.2.5 with SHA-256.
func TestSignOnceIsRFC6979(t *testing.T) {
	x, _ := hex.DecodeString("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), x)
	if err != nil {
		t.Fatal(err)
	}
	alg, err := algorithmNamed("ES256")
	if err != nil {
		t.Fatal(err)
	}
	k, err := newPrivateKey("vector", alg, private, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	const want = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716" +
		"f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
	if sig, err := k.SignOnce([]byte("sample")); err != nil || hex.EncodeToString(sig) != want {
		t.Errorf("%x, %v; want %s", sig, err, want)
	}
}

func TestHMACsAreThoseOfJWX(t *testing.T) {
	for _, name := range []string{"HS256", "HS384", "HS512"} {
		for _, size := range []int{64, 300} { // no longer than a block of the hash, and longer
			secret := strings.Repeat("s", size)
			k, err := ParseSecretText("k", secret, name)
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { signLikeJWX(t, k, []byte(secret)) })
			}
			all.Wait()
		}
	}
}

// signLikeJWX signs one input after the other, of every length, so that nothing of one may be left
// for the next.
func signLikeJWX(t *testing.T, k *Key, secret []byte) {
	signer, err := jws.NewSigner(k.alg.jwa)
	if err != nil {
		t.Error(err)
		return
	}
	for i := range 300 {
		input := bytes.Repeat([]byte{'i'}, i*7%300)
		want, _ := signer.Sign(input, secret)
		if got, err := k.Sign(input); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v, %d bytes: %x, want %x, %v", k, len(input), got, want, err)
			return
		}
		if err := k.Verify(input, want); err != nil {
			t.Errorf("%v, %d bytes: %v", k, len(input), err)
		}
		want[i%len(want)] ^= 1
		if err := k.Verify(input, want); err != ErrBadSignature {
			t.Errorf("%v, %d bytes, a changed signature: %v", k, len(input), err)
		}
	}
}

func TestSignatureOfAnotherLengthIsRefused(t *testing.T) {
	for _, name := range Algorithms() {
		k := mustGenerate(t, name)
		sig := mustSign(t, k, testInput)
		for _, c := range []struct {
			what    string
			altered []byte
		}{
			{"empty", nil}, {"short", sig[1:]}, {"cut", sig[:len(sig)-1]},
			{"zero in front", append([]byte{0}, sig...)}, {"zero behind", append(sig[:len(sig):len(sig)], 0)},
			{"zeros", make([]byte, len(sig))},
		} {
			t.Run(c.what, func(t *testing.T) {
				if err := k.Verify(testInput, c.altered); err != ErrBadSignature {
					t.Errorf("%s, %s: %v", name, c.what, err)
				}
			})
		}
	}
}

func TestDERSignatureIsRefused(t *testing.T) {
	k := mustGenerate(t, "ES256")
	der, err := ecdsa.SignASN1(rand.Reader, k.private.(*ecdsa.PrivateKey), rawHash(k, testInput))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Verify(testInput, der); err != ErrBadSignature {
		t.Fatal(err)
	}
}

func TestPublicKeyAsHMACSecretVerifiesNothing(t *testing.T) {
	for _, name := range []string{"RS256", "ES256", "EdDSA"} {
		k := mustGenerate(t, name)
		text, err := k.MarshalPublicPEM()
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		for _, secret := range [][]byte{text, block.Bytes} {
			forger, err := newSecretKey(k.ID(), algorithms[0], secret, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Verify(testInput, mustSign(t, forger, testInput)); err != ErrBadSignature {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestKeyThatOnlyVerifiesCannotSign(t *testing.T) {
	k := publicOnly(t, mustGenerate(t, "ES256"))
	if _, err := k.Sign(testInput); !errors.Is(err, ErrCannotSign) || k.CanSign() {
		t.Fatalf("CanSign %v, %v", k.CanSign(), err)
	}
	if _, err := k.SignOnce(testInput); !errors.Is(err, ErrCannotSign) {
		t.Fatal(err)
	}
	if _, err := k.MarshalPrivatePEM(); err == nil {
		t.Fatal("wrote a private key it has not")
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	odd := new(big.Int).SetBit(big.NewInt(1), 2047, 1)
	p384 := mustGenerate(t, "ES384").public.(*ecdsa.PublicKey)
	for _, c := range []struct {
		alg, want string
		key       any
	}{
		{"RS256", "RSA key is 1024 bits, at least 2048", &short.PublicKey},
		{
			"RS256", "RSA key is 9001 bits, at most 8192",
			&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 9000, 1), E: 65537},
		},
		{"RS256", "RSA modulus is not an odd", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}},
		{"RS256", "RSA exponent 1 ", &rsa.PublicKey{N: odd, E: 1}},
		{"RS256", "RSA exponent 4 ", &rsa.PublicKey{N: odd, E: 4}},
		{"RS256", "RSA exponent -3 ", &rsa.PublicKey{N: odd, E: -3}},
		{"ES256", "algorithm ES256 does not fit a key of kind EC P-384", p384},
		{"EdDSA", "algorithm EdDSA does not fit a key of kind EC P-384", p384},
		{"RS256", "algorithm RS256 does not fit a key of kind EC P-384", p384},
		{"HS256", "algorithm HS256 does not fit a key of kind EC P-384", p384},
		{"ES256", "algorithm ES256 does not fit a key of kind RSA 1024 bits", &short.PublicKey},
	} {
		alg, err := algorithmNamed(c.alg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newPublicKey("k", alg, c.key, time.Time{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	k, err := ParseSecretText("k1", "canary-canary-canary-canary-canary", "")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := ParseSecretRing("canary-canary-canary-canary-canary")
	if err != nil {
		t.Fatal(err)
	}
	sub := ring.Derive("x")[0]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		got := fmt.Sprintf(verb+verb+verb+verb, k, ring, sub, []any{k, ring, sub})
		assertHolds(t, verb+" "+got, []byte("canary"), false)
		assertHolds(t, verb+" "+got, sub.Key, false)
	}
}

// assertHolds looks for bytes in a text, as they are and in the usual spellings.
func assertHolds(t *testing.T, text string, secret []byte, want bool) {
	t.Helper()
	decimal := strings.Trim(fmt.Sprint(secret), "[]")
	for _, form := range []string{
		string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
		base64.RawStdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret), decimal,
	} {
		if strings.Contains(text, form) != want {
			t.Errorf("%q in %q: not %v", form, text, want)
		}
	}
}

func TestEqualLooksAtIDAlgorithmAndMaterial(t *testing.T) {
	for _, name := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		k, other := mustGenerate(t, name), mustGenerate(t, name)
		same, renamed, replaced := *k, *k, *other
		renamed.id = "other"
		replaced.id = k.id
		if !k.Equal(&same) || k.Equal(&renamed) || k.Equal(&replaced) || k.Equal(nil) {
			t.Errorf("%s: %v %v %v", name, k.Equal(&same), k.Equal(&renamed), k.Equal(&replaced))
		}
		if name != "HS256" && !k.Equal(publicOnly(t, k)) {
			t.Errorf("%s: the public part is not equal", name)
		}
	}
	rs, ps := mustGenerate(t, "RS256"), &Key{}
	*ps = *rs
	ps.alg, _ = algorithmNamed("PS256")
	if rs.Equal(ps) || (*Key)(nil).Equal(rs) {
		t.Error("another algorithm is equal")
	}
}

func TestGenerateNamesKeysByDay(t *testing.T) {
	now := time.Date(2026, 3, 1, 1, 30, 0, 7, time.FixedZone("", 7200))
	a, err := Generate("", now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Generate("", now)
	if err != nil {
		t.Fatal(err)
	}
	if a.Algorithm() != "ES256" || !strings.HasPrefix(a.ID(), "20260228-") || a.ID() == b.ID() {
		t.Errorf("%v and %v", a, b)
	}
	if want := time.Date(2026, 2, 28, 23, 30, 0, 0, time.UTC); !a.Created().Equal(want) ||
		a.Created().Location() != time.UTC {
		t.Errorf("created %v", a.Created())
	}
	if _, err := Generate("ES512", now); err == nil || !strings.Contains(err.Error(), `unknown algorithm "ES512"`) {
		t.Error(err)
	}
}

func TestGeneratedKeysCanBeWrittenAndReadBack(t *testing.T) {
	for _, name := range Algorithms() {
		k := mustGenerate(t, name)
		var back []*Key
		if k.Symmetric() {
			entry, err := k.SecretEntry()
			if err != nil {
				t.Fatal(err)
			}
			back, err = ParseSecrets(entry, name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.MarshalPrivatePEM(); err == nil {
				t.Errorf("%s: a secret became PEM", name)
			}
		} else {
			text, err := k.MarshalPrivatePEM()
			if err != nil {
				t.Fatal(err)
			}
			back, err = ParseFile(k.ID(), text, name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.SecretEntry(); err == nil {
				t.Errorf("%s: a key pair became a secret", name)
			}
		}
		if len(back) != 1 || !back[0].Equal(k) || !back[0].CanSign() {
			t.Errorf("%s: %v", name, back)
		}
	}
}

// publicOnly is the key without its private part.
func publicOnly(tb testing.TB, k *Key) *Key {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := ParseFile(k.id, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), k.alg.name)
	if err != nil {
		tb.Fatal(err)
	}
	return keys[0]
}
