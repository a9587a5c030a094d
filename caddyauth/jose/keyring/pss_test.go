package keyring

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestPSSSaltMustBeAsLongAsTheHash(t *testing.T) {
	key, err := Generate("PS256", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a.b"))
	for _, c := range []struct {
		salt int
		good bool
	}{{32, true}, {rsa.PSSSaltLengthAuto, false}, {20, false}, {64, false}} {
		t.Run(fmt.Sprint(c.salt), func(t *testing.T) {
			signature, err := rsa.SignPSS(rand.Reader, key.private.(*rsa.PrivateKey), crypto.SHA256, digest[:],
				&rsa.PSSOptions{SaltLength: c.salt})
			if err != nil {
				t.Fatal(err)
			}
			if err := key.Verify([]byte("a.b"), signature); c.good != (err == nil) ||
				!c.good && !errors.Is(err, ErrBadSignature) {
				t.Errorf("salt of %d bytes: %v", c.salt, err)
			}
		})
	}
}
