package identity

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Limits of a stored hash. They bound what one attempt may cost the server, whoever wrote the hash:
// about a second and a half of one processor, and 256 MiB of memory.
const (
	maxHashText      = 512
	maxBcryptCost    = 16
	maxArgonMemory   = 256 * 1024 // KiB
	maxArgonPasses   = 16
	maxArgonLanes    = 16
	maxArgonTraffic  = 1024 * 1024 // KiB: memory times passes
	minSalt, maxSalt = 8, 64       // bytes
	minKey, maxKey   = 16, 64      // bytes
)

// defaultHash has the parameters of `caddy hash-password --algorithm argon2id`, which are those of
// new hashes.
const defaultHash = "$argon2id$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg"

// ErrBadHash says that a stored password hash cannot be used. Its text never holds the hash.
var ErrBadHash = errors.New("password hash")

var bcryptForm = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// bcryptEncoding is the alphabet of bcrypt's salt and hash.
var bcryptEncoding = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").
	WithPadding(base64.NoPadding)

// work is what it takes to compute a hash: two hashes of equal work take equal time.
type work struct {
	bcryptCost int // 0 for argon2id
	argon      argon2id.Params
}

// argonTraffic is how much memory an argon2id hash writes, in KiB.
func (w work) argonTraffic() uint64 { return uint64(w.argon.Memory) * uint64(w.argon.Iterations) }

// ValidateHash says whether a stored hash can be used: bcrypt (`$2a$`, `$2b$`, `$2y$`) of cost 4 to
// 16, or argon2id version 19 with at most 256 MiB of memory, 16 passes, 16 lanes, memory times
// passes of at most 1 GiB, 8 to 64 bytes of salt and 16 to 64 bytes of key. Everything else is an
// error that wraps ErrBadHash and names the parameter and the limit, never the hash.
func ValidateHash(hash string) error {
	_, err := workOf(hash)
	return err
}

func workOf(hash string) (work, error) {
	if len(hash) > maxHashText {
		return work{}, badHash("longer than %d bytes", maxHashText)
	}
	if bcryptForm.MatchString(hash) {
		return bcryptWork(hash)
	}
	return argonWork(hash)
}

// defaultWork is the work of new hashes.
var defaultWork = sync.OnceValue(func() work {
	w, err := workOf(defaultHash)
	if err != nil {
		panic(err) // it is a constant
	}
	return w
})

func badHash(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadHash, fmt.Sprintf(format, args...))
}

func bcryptWork(hash string) (work, error) {
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil {
		return work{}, badHash("bcrypt cost is not between %d and %d", bcrypt.MinCost, maxBcryptCost)
	}
	if cost > maxBcryptCost {
		return work{}, badHash("bcrypt cost %d is above the limit of %d", cost, maxBcryptCost)
	}
	return work{bcryptCost: cost}, nil
}

func argonWork(hash string) (work, error) {
	params, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil || encodeArgon(params, salt, key) != hash {
		return work{}, badHash("neither bcrypt nor argon2id as `caddy hash-password` prints them")
	}
	for _, p := range []struct {
		name          string
		value         uint64
		least, atMost uint64
	}{
		{"memory (m, KiB)", uint64(params.Memory), 8, maxArgonMemory},
		{"passes (t)", uint64(params.Iterations), 1, maxArgonPasses},
		{"lanes (p)", uint64(params.Parallelism), 1, maxArgonLanes},
		{"memory times passes (KiB)", uint64(params.Memory) * uint64(params.Iterations), 8, maxArgonTraffic},
		{"salt length (bytes)", uint64(len(salt)), minSalt, maxSalt},
		{"key length (bytes)", uint64(len(key)), minKey, maxKey},
	} {
		if p.value < p.least || p.value > p.atMost {
			return work{}, badHash("argon2id %s is %d, not between %d and %d", p.name, p.value, p.least, p.atMost)
		}
	}
	return work{argon: *params}, nil
}

// encodeArgon writes the one spelling of an argon2id hash. DecodeHash reads more than that: text
// after a number, for one.
func encodeArgon(p *argon2id.Params, salt, key []byte) string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Iterations, p.Parallelism,
		enc.EncodeToString(salt), enc.EncodeToString(key))
}

// decoy returns a hash of this work that nobody has a password for. It is written, not computed, so
// it costs nothing.
func (w work) decoy() string {
	if w.bcryptCost > 0 {
		random := randomBytes(39)
		return fmt.Sprintf("$2a$%02d$%s%s", w.bcryptCost, bcryptEncoding.EncodeToString(random[:16]),
			bcryptEncoding.EncodeToString(random[16:]))
	}
	return encodeArgon(&w.argon, randomBytes(w.argon.SaltLength), randomBytes(w.argon.KeyLength))
}

func randomBytes(n uint32) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// matches computes the hash of password and compares. The hash has passed workOf.
func matches(hash, password string) bool {
	if bcryptForm.MatchString(hash) {
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	}
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	return ok && err == nil
}
