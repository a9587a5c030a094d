package identity

import (
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// BenchmarkPassword is the floor of a login: one comparison with a bcrypt hash of cost 10 by the
// library alone.
func BenchmarkPassword(b *testing.B) {
	hash, err := bcrypt.GenerateFromPassword([]byte("wonderland"), 10)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := bcrypt.CompareHashAndPassword(hash, []byte("wonderland")); err != nil {
			b.Fatal(err)
		}
	}
}
