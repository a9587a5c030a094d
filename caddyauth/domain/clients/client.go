package clients

import (
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// Client is a program of a project that gets tokens. A zero option inherits the project's.
type Client struct {
	// ID is the client_id (RFC 6749, section 2.2): 1 to 128 letters, digits and -._~, unique in the
	// store. For a client of a metadata document it is the document's URL.
	ID string

	// Project is the slug of the project the client belongs to.
	Project string

	// Name is what people read. Default: the id.
	Name string

	// Secrets are what the client proves itself with, at most MaxSecrets. Default: none.
	Secrets []Secret

	// TokenOptions are the client's own: format, rotation, reuse interval. Default: those of the
	// project.
	project.TokenOptions

	// Settings are what OAuth and OpenID Connect know of a client besides.
	Settings

	// Audience is what its tokens are for when a request names nothing. Default: api.
	Audience []string

	// Scopes are those it may ask for. Default: none.
	Scopes []string

	// Claims are added to its tokens; identity.ValidateClaims says which may be.
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

// FirstParty is the client_id of what is issued at the server's own login routes. It is a client
// without being stored, and no other may have its name.
const FirstParty = "caddyauth"

// Web is the client_id of the sessions that browsers have at applications on other hosts than the
// server's. It is a client without being stored, too, and gets nothing at /token: gates redeem its
// codes themselves.
const Web = "caddyauth-web"

// IsBuiltIn reports whether a client exists without being stored.
func IsBuiltIn(id string) bool { return id == FirstParty || id == Web }

// Own returns the client's own lifetimes: those set through the API over the declared ones.
func (c Client) Own() project.Lifetimes { return c.Override.Over(c.Lifetimes) }

// Public reports whether the client has nothing to prove itself with. One whose secrets have all
// ended is not public: it cannot authenticate.
func (c Client) Public() bool {
	return c.AuthMethod == AuthNone || c.AuthMethod == "" && len(c.Secrets) == 0
}
