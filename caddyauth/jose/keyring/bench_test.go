package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"
)

// benchInput is as long as the signing input of a token of ten claims.
var benchInput = []byte(strings.Repeat("eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0", 18))

func BenchmarkVerify(b *testing.B) {
	for _, name := range Algorithms() {
		b.Run(name, func(b *testing.B) {
			k := mustGenerate(b, name)
			sig := mustSign(b, k, benchInput)
			b.ReportAllocs()
			for b.Loop() {
				if err := k.Verify(benchInput, sig); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRawVerify is the floor of BenchmarkVerify: crypto alone.
func BenchmarkRawVerify(b *testing.B) {
	for _, name := range Algorithms() {
		b.Run(name, func(b *testing.B) {
			k := mustGenerate(b, name)
			sig := rawSign(b, k, benchInput)
			b.ReportAllocs()
			for b.Loop() {
				if !rawVerify(k, benchInput, sig) {
					b.Fatal("does not verify")
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	for _, name := range Algorithms() {
		b.Run(name, func(b *testing.B) {
			k := mustGenerate(b, name)
			b.ReportAllocs()
			for b.Loop() {
				if sig, err := k.Sign(benchInput); err != nil || len(sig) != k.signatureSize {
					b.Fatal(err, len(sig))
				}
			}
		})
	}
}

// BenchmarkRawSign is the floor of BenchmarkSign: crypto alone.
func BenchmarkRawSign(b *testing.B) {
	for _, name := range Algorithms() {
		b.Run(name, func(b *testing.B) {
			k := mustGenerate(b, name)
			b.ReportAllocs()
			for b.Loop() {
				if len(rawSign(b, k, benchInput)) == 0 {
					b.Fatal("no signature")
				}
			}
		})
	}
}

func BenchmarkRingKey(b *testing.B) {
	keys := []*Key{mustGenerate(b, "HS256"), mustGenerate(b, "ES256"), mustGenerate(b, "EdDSA")}
	ring, err := NewRing(keys, "")
	if err != nil {
		b.Fatal(err)
	}
	id := keys[2].ID()
	b.ReportAllocs()
	for b.Loop() {
		if ring.Key(id) != keys[2] {
			b.Fatal("wrong key")
		}
	}
}

func rawSign(tb testing.TB, k *Key, input []byte) []byte {
	tb.Helper()
	var sig []byte
	var err error
	switch private := k.private.(type) {
	case nil:
		mac := hmac.New(k.alg.hash.New, k.secret)
		mac.Write(input)
		return mac.Sum(nil)
	case *rsa.PrivateKey:
		if k.alg.name[0] == 'P' {
			sig, err = rsa.SignPSS(rand.Reader, private, k.alg.hash, rawHash(k, input),
				&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(nil, private, k.alg.hash, rawHash(k, input))
		}
	case *ecdsa.PrivateKey:
		sig, err = ecdsa.SignASN1(rand.Reader, private, rawHash(k, input))
	case ed25519.PrivateKey:
		sig, err = private.Sign(nil, input, crypto.Hash(0))
	}
	if err != nil {
		tb.Fatal(err)
	}
	return sig
}

func rawVerify(k *Key, input, sig []byte) bool {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		if k.alg.name[0] == 'P' {
			return rsa.VerifyPSS(public, k.alg.hash, rawHash(k, input), sig, nil) == nil
		}
		return rsa.VerifyPKCS1v15(public, k.alg.hash, rawHash(k, input), sig) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, rawHash(k, input), sig)
	case ed25519.PublicKey:
		return ed25519.Verify(public, input, sig)
	}
	mac := hmac.New(k.alg.hash.New, k.secret)
	mac.Write(input)
	return hmac.Equal(mac.Sum(nil), sig)
}

func rawHash(k *Key, input []byte) []byte {
	h := k.alg.hash.New()
	h.Write(input)
	return h.Sum(nil)
}

func mustGenerate(tb testing.TB, algorithm string) *Key {
	tb.Helper()
	k, err := Generate(algorithm, time.Unix(1_800_000_000, 0))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func mustSign(tb testing.TB, k *Key, input []byte) []byte {
	tb.Helper()
	sig, err := k.Sign(input)
	if err != nil {
		tb.Fatal(err)
	}
	return sig
}
