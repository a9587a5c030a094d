package apitoken

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

// The abilities of an API token. Each permits one kind of call; Admin permits all of them, and is
// needed for API tokens, for the audit trail and for users who may administer.
const (
	Create = "create"
	Read   = "read"
	Update = "update"
	Delete = "delete"
	Admin  = "admin"
)

// ErrNotFound says that there is no such API token.
var ErrNotFound = errors.New("no such API token")

// secretPrefix tells people, and programs that look for leaked secrets, what it is.
const secretPrefix = "caat_"

// maxLifetime is the longest lifetime of a token that expires.
const maxLifetime = 10 * 365 * 24 * time.Hour

// Abilities returns all abilities.
func Abilities() []string { return []string{Create, Read, Update, Delete, Admin} }

// ValidateAbilities refuses an empty list, an unknown ability and a duplicate.
func ValidateAbilities(abilities []string) error {
	if len(abilities) == 0 {
		return fmt.Errorf("abilities: required, one or more of %s", strings.Join(Abilities(), ", "))
	}
	for i, a := range abilities {
		if !slices.Contains(Abilities(), a) {
			return fmt.Errorf("abilities: %.70q is unknown, want some of %s", a, strings.Join(Abilities(), ", "))
		}
		if slices.Contains(abilities[:i], a) {
			return fmt.Errorf("abilities: %q is a duplicate", a)
		}
	}
	return nil
}

// Token lets a program call the management API. Its secret is shown once, when it is made.
type Token struct {
	// ID names the token in lists and in the audit trail; it is not secret.
	ID string

	// Name is what people read.
	Name string

	// Project is the slug of the one project that the token may administer. Empty: all, and the
	// server's own matters.
	Project string

	// Abilities say which calls it may make.
	Abilities []string

	// Hash is secrets.Hash of the secret.
	Hash string

	// Created is when it was made; Expires when it ends, zero for never; LastUsed when it was used,
	// to within a minute, zero for never; Revoked when it was revoked, zero as long as it is not.
	Created, Expires, LastUsed, Revoked time.Time
}

// New makes a token with a secret of 256 random bits. The secret is not kept: show it to
// the caller, once. A zero lifetime means that the token does not expire. An error names the field,
// the value and the limit.
func New(name, slug string, abilities []string, lifetime time.Duration,
	now time.Time) (t Token, secret string, err error) {
	if err := project.ValidateName(name); err != nil {
		return Token{}, "", err
	}
	if err := ValidateAbilities(abilities); err != nil {
		return Token{}, "", err
	}
	secret = secrets.New(secretPrefix)
	t = Token{
		ID:        project.NewID(),
		Name:      name,
		Project:   slug,
		Abilities: abilities,
		Hash:      secrets.Hash(secret),
		Created:   now,
	}
	if lifetime != 0 {
		if err := project.ValidateWithin("expires_in", lifetime, time.Minute, maxLifetime); err != nil {
			return Token{}, "", err
		}
		t.Expires = now.Add(lifetime)
	}
	return t, secret, nil
}

// LooksLikeSecret reports whether a credential has the form of an API token's secret, so that
// nothing else is looked up.
func LooksLikeSecret(credential string) bool {
	return strings.HasPrefix(credential, secretPrefix) && len(credential) == len(secretPrefix)+43
}

// Good reports whether the token is neither revoked nor expired.
func (t Token) Good(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires))
}

// Store keeps API tokens. Every method is one atomic step; times are kept in milliseconds.
type Store interface {
	// AddAPIToken stores a new token. project.ErrNoProject when it is for a project which does not
	// exist.
	AddAPIToken(ctx context.Context, t Token) error

	// UseAPIToken returns the token whose secret has that hash, revoked and expired ones too, or
	// ErrNotFound. It notes the time of use when the last one noted is a minute old; where that
	// cannot be written the token is returned even so.
	UseAPIToken(ctx context.Context, hash string, now time.Time) (Token, error)

	// FindAPIToken returns the token of that id, or ErrNotFound.
	FindAPIToken(ctx context.Context, id string) (Token, error)

	// ListAPITokens returns tokens by id: those of the project, or all when project is empty;
	// revoked ones too.
	ListAPITokens(ctx context.Context, slug string, page project.Page) ([]Token, error)

	// RevokeAPIToken ends a token. A token which is revoked stays as it is. ErrNotFound.
	RevokeAPIToken(ctx context.Context, id string, now time.Time) error

	// DeleteAPITokens deletes at most n tokens that ended before a time, and returns how many it
	// deleted (janitor).
	DeleteAPITokens(ctx context.Context, before time.Time, n int) (int, error)
}
