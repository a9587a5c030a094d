package keyring_test

import (
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// A ring has one active key, which signs; all of its keys verify. A key is pinned to one algorithm.
func ExampleRing() {
	old, err := keyring.ParseSecretText("2026a", strings.Repeat("a", 32), "HS256")
	if err != nil {
		log.Fatal(err)
	}
	next, err := keyring.ParseSecretText("2026b", strings.Repeat("b", 32), "HS256")
	if err != nil {
		log.Fatal(err)
	}
	ring, err := keyring.NewRing([]*keyring.Key{old, next}, "2026b")
	if err != nil {
		log.Fatal(err)
	}
	signature, err := ring.Active().Sign([]byte("text"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ring.Active().ID(), ring.Active().Algorithm())
	fmt.Println(ring.Key("2026b").Verify([]byte("text"), signature))
	fmt.Println(errors.Is(ring.Key("2026a").Verify([]byte("text"), signature), keyring.ErrBadSignature))

	// Secrets are never published.
	fmt.Println(string(ring.JWKS()))
	// Output:
	// 2026b HS256
	// <nil>
	// true
	// {"keys":[]}
}
