package clients

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

// MaxSecrets is how many secrets a client can have at once: the one in use, and the one that
// replaces it.
const MaxSecrets = 2

// Secret is one secret of a client.
type Secret struct {
	// Number tells the secrets of a client apart, from 1.
	Number int

	// Hash is secrets.Hash of the secret.
	Hash string

	// Created is when the API made it. Default: not known, as of a declared one.
	Created time.Time

	// Expires is when it stops working. Default: never.
	Expires time.Time
}

// secretPrefix is what a client secret begins with.
const secretPrefix = "cacs_"

// NewSecret returns a client secret, to be shown once; secrets.Hash of it is what is stored.
func NewSecret() string { return secrets.New(secretPrefix) }

// Authentic reports whether secret is one of the client's that has not ended. It is never true of a
// public client. The work is the same whether the client has no secret, one or two, and whichever
// of them fits.
func (c Client) Authentic(secret string, now time.Time) bool {
	hash, fits := secrets.Hash(secret), 0
	for i := range MaxSecrets {
		var s Secret
		if i < len(c.Secrets) {
			s = c.Secrets[i]
		}
		fits |= equal(hash, s.Hash) & s.works(now)
	}
	return fits == 1 && !c.Public()
}

// HadSecret reports whether secret is one of the client's that has ended.
func (c Client) HadSecret(secret string, now time.Time) bool {
	hash := secrets.Hash(secret)
	return slices.ContainsFunc(c.Secrets, func(s Secret) bool {
		return equal(hash, s.Hash) == 1 && s.works(now) == 0
	})
}

// equal is 1 for two hashes that are the same. A missing hash is compared as zeros, because
// ConstantTimeCompare returns early if the lengths differ.
func equal(hash, stored string) int {
	var a, b [secrets.HashLength]byte
	copy(a[:], hash)
	copy(b[:], stored)
	return subtle.ConstantTimeCompare(a[:], b[:]) & subtle.ConstantTimeEq(int32(len(hash)), int32(len(stored)))
}

// works is 1 for a secret that has not ended, and 0 for one that has, or that does not exist.
func (s Secret) works(now time.Time) int {
	if s.Hash == "" || !s.Expires.IsZero() && !now.Before(s.Expires) {
		return 0
	}
	return 1
}

// AddSecret adds the hash of a secret, behind the others; a zero end is none. Those that have ended
// make room. It refuses one above MaxSecrets.
func (c *Client) AddSecret(hash string, now, expires time.Time) (Secret, error) {
	kept := slices.DeleteFunc(slices.Clone(c.Secrets), func(s Secret) bool { return s.works(now) == 0 })
	if len(kept) >= MaxSecrets {
		return Secret{}, fmt.Errorf("secret: the client has %d, which is the limit; remove one first", len(kept))
	}
	s := Secret{Number: c.nextNumber(), Hash: hash, Created: now, Expires: expires}
	c.Secrets = append(kept, s)
	return s, nil
}

// EndSecrets gives an end to the secrets that would work for longer.
func (c *Client) EndSecrets(end time.Time) {
	c.Secrets = slices.Clone(c.Secrets)
	for i := range c.Secrets {
		if s := &c.Secrets[i]; s.Expires.IsZero() || s.Expires.After(end) {
			s.Expires = end
		}
	}
}

// nextNumber is above the numbers of all secrets, those that have ended too.
func (c *Client) nextNumber() int {
	highest := 0
	for _, s := range c.Secrets {
		highest = max(highest, s.Number)
	}
	return highest + 1
}

// What is wrong with the removal of a secret.
var (
	ErrNoSecret   = errors.New("the client has no secret of that number")
	ErrLastSecret = errors.New("it is the only secret of the client, which would become public without it")
)

// RemoveSecret takes away the secret of that number. ErrNoSecret, ErrLastSecret.
func (c *Client) RemoveSecret(number int) error {
	kept := slices.DeleteFunc(slices.Clone(c.Secrets), func(s Secret) bool { return s.Number == number })
	switch {
	case len(kept) == len(c.Secrets):
		return ErrNoSecret
	case len(kept) == 0:
		return ErrLastSecret
	}
	c.Secrets = kept
	return nil
}

func validateSecrets(all []Secret) error {
	if len(all) > MaxSecrets {
		return fmt.Errorf("secret: %d are above the limit of %d", len(all), MaxSecrets)
	}
	return nil
}
