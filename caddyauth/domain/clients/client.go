package clients

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

// Client is a program of a project that gets tokens. A zero option inherits the project's.
type Client struct {
	// ID is the client_id (RFC 6749, section 2.2): 1 to 128 letters, digits and -._~, unique in the
	// store.
	ID string

	// Project is the slug of the project the client belongs to.
	Project string

	// Name is what people read. Default: the id.
	Name string

	// SecretHash is secrets.Hash of the client's secret; empty for a public client, which has none.
	SecretHash string

	// TokenOptions are the client's own. Default: those of the project.
	project.TokenOptions

	// Audience is what its tokens are for when a request names nothing. Default: api.
	Audience []string

	// Scopes are those it may ask for. Default: none.
	Scopes []string

	// Claims are added to its tokens; identity.CheckClaims says which may be.
	Claims map[string]any

	// Lifetimes are the declared ones.
	Lifetimes project.Lifetimes

	// Override are the lifetimes set through the API. They go over the declared ones and survive a
	// reload.
	Override project.Lifetimes

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
func (c Client) Own() project.Lifetimes { return c.Override.Over(c.Lifetimes) }

// Public reports whether the client has no secret.
func (c Client) Public() bool { return c.SecretHash == "" }

// Authentic reports whether secret is the client's. It is never true of a public client.
func (c Client) Authentic(secret string) bool {
	return c.SecretHash != "" && subtle.ConstantTimeCompare([]byte(secrets.Hash(secret)), []byte(c.SecretHash)) == 1
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,128}$`)

// Validate refuses a client that cannot be; the error names the field, the value and the limit.
// Claims are not looked at.
func (c Client) Validate() error {
	return errors.Join(
		validateID(c.ID), project.ValidateName(c.Name), project.ValidateWords("audience", c.Audience),
		project.ValidateWords("scopes", c.Scopes), c.TokenOptions.Validate(),
	)
}

// FirstParty is the client_id of what is issued at the server's own login routes. It is a client
// without being stored, and no other may have its name.
const FirstParty = "caddyauth"

func validateID(id string) error {
	if id == FirstParty {
		return fmt.Errorf("id: %q belongs to the server's own login routes", id)
	}
	if !idForm.MatchString(id) || id == "." || id == ".." {
		return fmt.Errorf("id: %.140q is not 1 to 128 letters, digits and -._~", id)
	}
	return nil
}

// secretPrefix is what a client secret begins with.
const secretPrefix = "cacs_"

// NewSecret returns a client secret, to be shown once; secrets.Hash of it is what is stored.
func NewSecret() string { return secrets.New(secretPrefix) }
