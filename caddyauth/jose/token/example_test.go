package token_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// A verifier answers whether a token is what its issuer signed. Times, audience and policy are the
// caller's questions, because their answers change between two requests with the same token.
func ExampleVerifier() {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	key, err := keyring.Generate("ES256", now)
	if err != nil {
		log.Fatal(err)
	}
	ring, err := keyring.NewRing([]*keyring.Key{key}, "")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := token.NewVerifier([]token.Issuer{{
		Name: "https://auth.example.com",
		Own:  true,
		Keys: func(_ context.Context, kid string) (*keyring.Key, error) { return ring.Key(kid), nil },
	}})
	if err != nil {
		log.Fatal(err)
	}

	raw, err := token.Mint(ring.Active(), "at+jwt", token.Claims{
		Issuer:   "https://auth.example.com",
		Subject:  "alice",
		Audience: []string{"web"},
		IssuedAt: now,
		Expiry:   now.Add(15 * time.Minute),
		Project:  "default",
		Extra:    map[string]any{"role": "admin"},
	})
	if err != nil {
		log.Fatal(err)
	}
	verified, err := verifier.Verify(context.Background(), raw)
	if err != nil {
		log.Fatal(err)
	}
	role, _ := verified.Claim("role")
	fmt.Println(verified.Subject, role)
	fmt.Println("an hour later:", verified.CheckTime(now.Add(time.Hour), 30*time.Second).(*token.Refusal).Reason)

	_, err = verifier.Verify(context.Background(), raw[:len(raw)-8]+"AAAAAAAA")
	fmt.Println("another signature:", err.(*token.Refusal).Reason)
	// Output:
	// alice admin
	// an hour later: expired
	// another signature: bad_signature
}
