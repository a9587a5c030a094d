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
		defaultDecoy,
		"$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG",
		strings.Replace(bcryptHash(t, "x"), "$2a$", "$2y$", 1),
		strings.Replace(bcryptHash(t, "x"), "$2a$", "$2b$", 1),
		argonText("m=262144,t=4,p=16"),
		argonText("m=65536,t=16,p=1"),
	} {
		if err := CheckHash(hash); err != nil {
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
		{strings.Replace(defaultDecoy, "v=19", "v=16", 1), "neither"},
		{strings.Replace(defaultDecoy, "argon2id", "argon2i", 1), "neither"},
		{"$argon2id$v=19$m=65536,t=1,p=1$c2FsdA$" + key32, "salt length"},
		{"$argon2id$v=19$m=65536,t=1,p=1$" + salt16 + "$c2FsdA", "key length"},
		{"$argon2id$v=19$m=65536,t=1,p=1$" + salt16 + "$" + strings.Repeat("A", 100), "key length"},
		{strings.Repeat("$", 1000), "longer than 512"},
	} {
		err := CheckHash(c.hash)
		if !errors.Is(err, ErrBadHash) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%q: %v, want words %q", c.hash, err, c.want)
		}
		if len(c.hash) > 8 && strings.Contains(fmt.Sprint(err), c.hash) {
			t.Errorf("the error shows the hash: %v", err)
		}
	}
}

func TestDecoyHasTheWorkOfMostHashes(t *testing.T) {
	one, two := bcryptHash(t, "a"), argonHash(t, "b")
	for name, c := range map[string]struct {
		hashes []string
		like   string
	}{
		"none":             {nil, defaultDecoy},
		"unusable":         {[]string{"", "plain", "also plain"}, defaultDecoy},
		"bcrypt":           {[]string{one, bcryptHash(t, "b"), two}, one},
		"argon2id":         {[]string{two, argonHash(t, "c"), one}, two},
		"even, costlier":   {[]string{defaultDecoy, two}, defaultDecoy},
		"even, bcrypt":     {[]string{defaultDecoy, one}, one},
		"empty is no vote": {[]string{"", "", two}, two},
	} {
		want, _ := workOf(c.like)
		got, err := workOf(DecoyHash(c.hashes))
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

func TestDecoyIsNoUsersHash(t *testing.T) {
	for _, hash := range []string{bcryptHash(t, "a"), argonHash(t, "a")} {
		if decoy := DecoyHash([]string{hash}); decoy == hash || matches(decoy, "a") {
			t.Errorf("the decoy for %s accepts its password", hash)
		}
	}
}

func FuzzCheckHash(f *testing.F) {
	f.Add(defaultDecoy)
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
		if again, err := workOf(w.decoy()); err != nil || again != w && w != (work{}) {
			t.Errorf("decoy of %q: %+v, %v", hash, again, err)
		}
	})
}
