package keyring

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"testing"
	"time"
)

func TestPSSSaltMustBeAsLongAsTheHash(t *testing.T) {
	key, err := Generate("PS256", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a.b"))
	for salt, good := range map[int]bool{32: true, rsa.PSSSaltLengthAuto: false, 20: false, 64: false} {
		signature, err := rsa.SignPSS(rand.Reader, key.private.(*rsa.PrivateKey), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Verify([]byte("a.b"), signature); good != (err == nil) || !good && !errors.Is(err, ErrBadSignature) {
			t.Errorf("salt of %d bytes: %v", salt, err)
		}
	}
}
