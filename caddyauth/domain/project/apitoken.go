package project

import (
	"fmt"
	"slices"
	"strings"
	"time"
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

// Abilities returns all abilities.
func Abilities() []string { return []string{Create, Read, Update, Delete, Admin} }

// CheckAbilities refuses an empty list, an unknown ability, and one that is there twice.
func CheckAbilities(abilities []string) error {
	if len(abilities) == 0 {
		return fmt.Errorf("abilities: there is none, want some of %s", strings.Join(Abilities(), ", "))
	}
	for i, a := range abilities {
		if !slices.Contains(Abilities(), a) {
			return fmt.Errorf("abilities: %.70q is unknown, want some of %s", a, strings.Join(Abilities(), ", "))
		}
		if slices.Contains(abilities[:i], a) {
			return fmt.Errorf("abilities: %q is there twice", a)
		}
	}
	return nil
}

// APIToken lets a program call the management API. Its secret is shown once, when it is made.
type APIToken struct {
	// ID names the token in lists and in the audit trail; it is no secret.
	ID string

	// Name is what people read.
	Name string

	// Project is the slug of the one project that the token may administer. Empty: all, and the
	// server's own matters.
	Project string

	// Abilities say which calls it may make.
	Abilities []string

	// Hash is HashSecret of the secret.
	Hash string

	// Created is when it was made; Expires when it ends, zero for never; LastUsed when it was used,
	// to within a minute, zero for never; Revoked when it was revoked, zero as long as it is not.
	Created, Expires, LastUsed, Revoked time.Time
}

// NewAPIToken makes a token with a secret of 256 random bits. The secret is not kept: show it to
// the caller, once. A zero lifetime means that the token does not expire. An error names the field,
// the value and the limit.
func NewAPIToken(name, project string, abilities []string, lifetime time.Duration, now time.Time) (t APIToken, secret string, err error) {
	if err := checkName(name); err != nil {
		return APIToken{}, "", err
	}
	if err := CheckAbilities(abilities); err != nil {
		return APIToken{}, "", err
	}
	secret = newSecret(apiTokenPrefix)
	t = APIToken{ID: NewID(), Name: name, Project: project, Abilities: abilities, Hash: HashSecret(secret), Created: now}
	if lifetime != 0 {
		if err := within("expires_in", lifetime, time.Minute, 10*year); err != nil {
			return APIToken{}, "", err
		}
		t.Expires = now.Add(lifetime)
	}
	return t, secret, nil
}

// LooksLikeAPIToken reports whether a credential has the form of an API token's secret, so that
// nothing else is looked up.
func LooksLikeAPIToken(credential string) bool {
	return strings.HasPrefix(credential, apiTokenPrefix) && len(credential) == len(apiTokenPrefix)+43
}

// Good reports whether the token is neither revoked nor expired.
func (t APIToken) Good(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires))
}
