package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/bench/cputime"
)

// benchAlgorithms are one of each kind of signature.
var benchAlgorithms = []string{"HS256", "RS256", "PS256", "ES256", "EdDSA"}

// BenchmarkVerify is the miss path of a gate: everything from the text to the shared claims.
func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range benchAlgorithms {
		b.Run(algorithm, func(b *testing.B) {
			key := newMaterial(b, "key-2026-09", algorithm).key
			v := ownVerifier(b, key)
			raw, err := Mint(key, "at+jwt", fullClaims())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if tok, err := v.Verify(b.Context(), raw); err != nil || tok.Subject != "alice" {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRawVerify is the floor: the signature of the same bytes by the standard library alone.
func BenchmarkRawVerify(b *testing.B) {
	for _, algorithm := range benchAlgorithms {
		b.Run(algorithm, func(b *testing.B) {
			m := newMaterial(b, "key-2026-09", algorithm)
			raw, err := Mint(m.key, "at+jwt", fullClaims())
			if err != nil {
				b.Fatal(err)
			}
			dot := strings.LastIndexByte(raw, '.')
			input := []byte(raw[:dot])
			signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !rawVerify(m, algorithm, input, signature) {
					b.Fatal("does not verify")
				}
			}
		})
	}
}

func rawVerify(m material, algorithm string, input, signature []byte) bool {
	if m.private == nil {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(input)
		return hmac.Equal(mac.Sum(nil), signature)
	}
	digest := sha256.Sum256(input)
	switch public := m.private.Public().(type) {
	case *rsa.PublicKey:
		if algorithm == "PS256" {
			return rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature,
				&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(public, digest[:], r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(public, input, signature)
	}
	return false
}

// BenchmarkRawDecode is the other part of the floor: one decoding of the same claims from JSON by
// the standard library, into a struct that fits them and into a map.
func BenchmarkRawDecode(b *testing.B) {
	c := fullClaims()
	payload, err := c.appendTo(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("struct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var into struct {
				Iss, Sub, Aud, Jti, Project, Sid, Scope, Role, Email string
				ClientID                                             string `json:"client_id"`
				Exp, Iat                                             int64
			}
			if err := json.Unmarshal(payload, &into); err != nil || into.Sub != "alice" {
				b.Fatal(err)
			}
		}
	})
	b.Run("map", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var into map[string]any
			if err := json.Unmarshal(payload, &into); err != nil || into["sub"] != "alice" {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMint is a token from its claims.
func BenchmarkMint(b *testing.B) {
	for _, algorithm := range benchAlgorithms {
		b.Run(algorithm, func(b *testing.B) {
			key := newMaterial(b, "key-2026-09", algorithm).key
			c := fullClaims()
			b.ReportAllocs()
			for b.Loop() {
				if raw, err := Mint(key, "at+jwt", c); err != nil || raw == "" {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRawSign is the floor: the signature of the same bytes by the standard library alone, of
// ECDSA with the nonces of RFC 6979, which take the least time.
func BenchmarkRawSign(b *testing.B) {
	for _, algorithm := range benchAlgorithms {
		b.Run(algorithm, func(b *testing.B) {
			m := newMaterial(b, "key-2026-09", algorithm)
			raw, err := Mint(m.key, "at+jwt", fullClaims())
			if err != nil {
				b.Fatal(err)
			}
			input := []byte(raw[:strings.LastIndexByte(raw, '.')])
			b.ReportAllocs()
			before, n := cputime.Now(), 0
			for b.Loop() {
				n++
				if signature := rawSign(b, m, algorithm, input); len(signature) == 0 {
					b.Fatal("does not sign")
				}
			}
			b.ReportMetric(float64(cputime.Now()-before)/float64(n), "cpu-ns/op")
		})
	}
}

func rawSign(b *testing.B, m material, algorithm string, input []byte) []byte {
	if m.private == nil {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(input)
		return mac.Sum(nil)
	}
	random := rand.Reader
	if algorithm == "ES256" {
		random = nil
	}
	digest, options := input, crypto.SignerOpts(crypto.Hash(0))
	if algorithm != "EdDSA" {
		sum := sha256.Sum256(input)
		digest, options = sum[:], crypto.SHA256
	}
	if algorithm == "PS256" {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := m.private.Sign(random, digest, options)
	if err != nil {
		b.Fatal(err)
	}
	return signature
}

// BenchmarkRefuse is what a hostile token costs before it is refused.
func BenchmarkRefuse(b *testing.B) {
	key := newMaterial(b, "k", "HS256").key
	v := ownVerifier(b, key)
	for _, c := range []struct{ name, raw string }{
		{"megabyte of dots", strings.Repeat(".", 1<<20)},
		{"garbage", strings.Repeat("A", 700)},
		{"unknown kid", sign(b, key, `{"alg":"HS256","kid":"z","typ":"at+jwt"}`, goodClaims)},
		{"deep", sign(b, key, headerOf(key), strings.Repeat(`{"a":`, 1000))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), c.raw); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

// BenchmarkClaim is what policies and headers ask of a token.
func BenchmarkClaim(b *testing.B) {
	key := newMaterial(b, "k", "HS256").key
	tok, err := ownVerifier(b, key).Verify(b.Context(), sign(b, key, headerOf(key), richClaims))
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range []string{"sub", "role", "realm_access.roles", "absent"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := tok.Claim(path); ok != (path != "absent") {
					b.Fatal(path)
				}
			}
		})
	}
}
