package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// MinPassword and MaxPassword bound a new password, in bytes of its NFC form (the latter also as it
// was typed).
const (
	MinPassword = 8
	MaxPassword = maxPassword
)

// ErrBadPassword says that a text cannot become a password. What wraps it names the limit, never
// the text.
var ErrBadPassword = errors.New("password")

// ValidatePassword refuses a new password of fewer than 8 or more than 1024 bytes, one that is not
// UTF-8, and one with a NUL. The error wraps ErrBadPassword. Characters are not prescribed (NIST SP
// 800-63B, section 5.1.1.2).
func ValidatePassword(password string) error {
	switch {
	case len(password) > MaxPassword:
		return fmt.Errorf("%w: %d bytes are above the limit of %d", ErrBadPassword, len(password), MaxPassword)
	case !utf8.ValidString(password) || strings.Contains(password, "\x00"):
		return fmt.Errorf("%w: it is not UTF-8 without NUL characters", ErrBadPassword)
	}
	if n := len(norm.NFC.String(password)); n < MinPassword {
		return fmt.Errorf("%w: %d bytes are below the limit of %d", ErrBadPassword, n, MinPassword)
	}
	return nil
}

// Hash makes the argon2id hash of a new password, with the parameters of `caddy hash-password
// --algorithm argon2id`; it takes its turn among the checks. The password is normalised as Check
// does. It returns what ValidatePassword refuses, ErrBusy when no turn came within 2 s, and the
// context's error when that ended first.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	if err := ValidatePassword(password); err != nil {
		return "", err
	}
	return p.hash(ctx, password)
}

// Renew makes a new hash, as Hash does, for a user who has just signed in with the password and
// whose hash is of another kind. It returns an empty one where none is due: the configuration holds
// the hash of a declared user, and argon2id of more work than that of new hashes is not replaced by
// less.
func (p *Passwords) Renew(ctx context.Context, u *User, password string) (string, error) {
	old, err := workOf(u.PasswordHash)
	if err != nil || u.Declared || old.bcryptCost == 0 && old.argonTraffic() >= defaultWork().argonTraffic() {
		return "", nil
	}
	return p.hash(ctx, password)
}

func (p *Passwords) hash(ctx context.Context, password string) (string, error) {
	params := defaultWork().argon
	if err := p.acquire(ctx, int64(params.Parallelism)); err != nil {
		return "", err
	}
	defer p.slots.Release(int64(params.Parallelism))
	p.computed.Add(1)
	salt := randomBytes(params.SaltLength)
	key := argon2.IDKey([]byte(norm.NFC.String(password)), salt, params.Iterations, params.Memory, params.Parallelism,
		params.KeyLength)
	p.addWork(defaultWork())
	return encodeArgon(&params, salt, key), nil
}
