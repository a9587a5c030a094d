package identity

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/bcrypt"
)

var cheapParams = &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

func argonHash(t *testing.T, password string) string {
	t.Helper()
	hash, err := argon2id.CreateHash(password, cheapParams)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func bcryptHash(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

const (
	salt16 = "P2nzckEdTZ3bxCiBCkRTyA"
	key32  = "xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg"
)

func argonText(params string) string { return "$argon2id$v=19$" + params + "$" + salt16 + "$" + key32 }

// The forms that `caddy hash-password` prints, its defaults among them.
func TestHashesOfCaddyAreAccepted(t *testing.T) {
	for _, hash := range []string{
		defaultHash,
		"$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG",
		strings.Replace(bcryptHash(t, "x"), "$2a$", "$2y$", 1),
		strings.Replace(bcryptHash(t, "x"), "$2a$", "$2b$", 1),
		argonText("m=262144,t=4,p=16"),
		argonText("m=65536,t=16,p=1"),
	} {
		if err := ValidateHash(hash); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
	}
}

func TestCostlyAndMalformedHashesAreRefusedWithWords(t *testing.T) {
	for _, c := range []struct{ hash, want string }{
		{"", "neither"},
		{"wonderland", "neither"},
		{"$1$abc$def", "neither"},
		{"$2x$10$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG", "neither"},
		{"$2a$17$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG", "cost 17 is above the limit of 16"},
		{"$2a$31$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG", "cost 31"},
		{"$2a$03$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG", "between 4 and 16"},
		{"$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvGx", "neither"},
		{"$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n", "neither"},
		{argonText("m=262145,t=1,p=1"), "memory"},
		{argonText("m=4294967295,t=1,p=1"), "memory"},
		{argonText("m=65536,t=17,p=1"), "passes"},
		{argonText("m=262144,t=5,p=1"), "memory times passes"},
		{argonText("m=65536,t=1,p=17"), "lanes"},
		{argonText("m=65536,t=0,p=1"), "passes"},
		{argonText("m=65536,t=1,p=0"), "lanes"},
		{argonText("m=65536,t=1,p=300"), "neither"},
		{argonText("m=65536,t=1,p=1x"), "neither"},
		{argonText("m=65536,t=1"), "neither"},
		{strings.Replace(defaultHash, "v=19", "v=16", 1), "neither"},
		{strings.Replace(defaultHash, "argon2id", "argon2i", 1), "neither"},
		{"$argon2id$v=19$m=65536,t=1,p=1$c2FsdA$" + key32, "salt length"},
		{"$argon2id$v=19$m=65536,t=1,p=1$" + salt16 + "$c2FsdA", "key length"},
		{"$argon2id$v=19$m=65536,t=1,p=1$" + salt16 + "$" + strings.Repeat("A", 100), "key length"},
		{strings.Repeat("$", 1000), "longer than 512"},
	} {
		err := ValidateHash(c.hash)
		if !errors.Is(err, ErrBadHash) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%q: %v, want words %q", c.hash, err, c.want)
		}
		if len(c.hash) > 8 && strings.Contains(fmt.Sprint(err), c.hash) {
			t.Errorf("the error shows the hash: %v", err)
		}
	}
}

func TestDecoyIsNoUsersHash(t *testing.T) {
	for _, hash := range []string{bcryptHash(t, "a"), argonHash(t, "a")} {
		w, err := workOf(hash)
		if err != nil {
			t.Fatal(err)
		}
		if decoy := w.decoy(); decoy == hash || matches(decoy, "a") {
			t.Errorf("the decoy for %s accepts its password", hash)
		}
	}
}

func FuzzCheckHash(f *testing.F) {
	f.Add(defaultHash)
	f.Add(argonText("m=64,t=1,p=1"))
	f.Add("$2a$04$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG")
	f.Fuzz(func(t *testing.T, hash string) {
		w, err := workOf(hash)
		if err != nil {
			return
		}
		if w.bcryptCost > maxBcryptCost || w.argon.Memory > maxArgonMemory || w.argon.Iterations > maxArgonPasses {
			t.Errorf("%q costs too much: %+v", hash, w)
		}
		if again, err := workOf(w.decoy()); err != nil || again != w {
			t.Errorf("decoy of %q: %+v, %v", hash, again, err)
		}
		kind := HashKind(hash)
		if of, err := kindWork(kind); err != nil || of.bcryptCost != w.bcryptCost ||
			compareClass(of.argon, w.argon) != 0 {
			t.Errorf("kind %q of %q: %+v, %v", kind, hash, of, err)
		}
	})
}
