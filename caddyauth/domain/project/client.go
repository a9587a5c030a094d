package project

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// The formats of access tokens.
const (
	// JWT is a signed token that a gate verifies by itself.
	JWT = "jwt"

	// Opaque is a reference that a gate looks up.
	Opaque = "opaque"
)

// MaxReuseInterval is the longest time for which a refresh token may be presented again.
const MaxReuseInterval = time.Minute

// Client is a program of a project that gets tokens. A zero option inherits the project's.
type Client struct {
	// ID is the client_id (RFC 6749, section 2.2): 1 to 128 letters, digits and -._~, unique in the
	// store.
	ID string

	// Project is the slug of the project the client belongs to.
	Project string

	// Name is what people read. Default: the id.
	Name string

	// SecretHash is HashSecret of the client's secret; empty for a public client, which has none.
	SecretHash string

	// TokenOptions are the client's own. Default: those of the project.
	TokenOptions

	// Audience is what its tokens are for when a request names nothing. Default: api.
	Audience []string

	// Scopes are those it may ask for. Default: none.
	Scopes []string

	// Claims are added to its tokens; identity.CheckClaims says which may be.
	Claims map[string]any

	// Lifetimes are the declared ones.
	Lifetimes Lifetimes

	// Override are the lifetimes set through the API. They go over the declared ones and survive a
	// reload.
	Override Lifetimes

	// Active clients get tokens; a paused one gets none, and what it had got is revoked.
	Active bool

	// Declared clients stand in the Caddyfile. The API changes their Override alone.
	Declared bool

	// Version counts the changes, from 1.
	Version int64

	// Created and Changed are when the client was added and last changed.
	Created, Changed time.Time
}

// Own returns the client's own lifetimes: those set through the API over the declared ones.
func (c Client) Own() Lifetimes { return c.Override.Over(c.Lifetimes) }

// Public reports whether the client has no secret.
func (c Client) Public() bool { return c.SecretHash == "" }

// Authentic reports whether secret is the client's. It is never true of a public client.
func (c Client) Authentic(secret string) bool {
	return c.SecretHash != "" && subtle.ConstantTimeCompare([]byte(HashSecret(secret)), []byte(c.SecretHash)) == 1
}

var clientForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,128}$`)

// Check refuses a client that cannot be; the error names the field, the value and the limit. Claims
// are not looked at.
func (c Client) Check() error {
	return errors.Join(
		checkClientID(c.ID), CheckName(c.Name), CheckWords("audience", c.Audience), CheckWords("scopes", c.Scopes),
		c.TokenOptions.Check(),
	)
}

// FirstParty is the client_id of what is issued at the server's own login routes. It is a client
// without being stored, and no other may have its name.
const FirstParty = "caddyauth"

func checkClientID(id string) error {
	if id == FirstParty {
		return fmt.Errorf("id: %q belongs to the server's own login routes", id)
	}
	if !clientForm.MatchString(id) || id == "." || id == ".." {
		return fmt.Errorf("id: %.140q is not 1 to 128 letters, digits and -._~", id)
	}
	return nil
}

// Check refuses options that cannot be; the error names the option, the value and the limit.
func (o TokenOptions) Check() error {
	return errors.Join(checkFormat(o.AccessTokenFormat), checkReuse(o.RefreshReuseInterval))
}

func checkFormat(format string) error {
	if format != "" && format != JWT && format != Opaque {
		return fmt.Errorf("access_token_format: %.70q is neither %s nor %s", format, JWT, Opaque)
	}
	return nil
}

func checkReuse(d time.Duration) error {
	if d == 0 || d == None {
		return nil
	}
	return CheckWithin("refresh_reuse_interval", d, 0, MaxReuseInterval)
}

// clientSecretPrefix tells people, and programs that look for leaked secrets, what it is.
const clientSecretPrefix = "cacs_"

// NewClientSecret returns a client secret of 256 random bits, to be shown once; HashSecret of it is
// what is stored.
func NewClientSecret() string { return NewSecret(clientSecretPrefix) }

// NewSecret returns a secret of 256 random bits with a prefix. It is not kept: HashSecret of it is
// what is stored.
func NewSecret(prefix string) string {
	var b [32]byte
	rand.Read(b[:])
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// HashSecret returns the base64url SHA-256 of a secret. It is right for secrets of 256 random bits,
// which nobody can guess; a password needs identity.Passwords instead.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
