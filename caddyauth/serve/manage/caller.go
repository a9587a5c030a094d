package manage

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

// What Server.Session answers when there is no administrator.
var (
	// ErrNoSession says that the request carries no living session.
	ErrNoSession = errors.New("no session")

	// ErrNotAdmin says that whoever is signed in may not administer.
	ErrNotAdmin = errors.New("not an administrator")
)

// Caller is who calls, and what they may do.
type Caller struct {
	// Actor names the caller in the audit trail: "api_token:<id>", "user:<name>", "command".
	Actor string

	// Name is what people call the caller: a user's name, an API token's. Default: none.
	Name string

	// Abilities are those of apitoken.Abilities; apitoken.Admin holds all.
	Abilities []string

	// Project is the slug of the one project that the caller may administer. Empty: all.
	Project string
}

// can says whether the caller has an ability.
func (c Caller) can(ability string) bool {
	return slices.Contains(c.Abilities, ability) || slices.Contains(c.Abilities, apitoken.Admin)
}

// isUnrestricted reports whether the caller may do everything in all projects.
func (c Caller) isUnrestricted() bool { return c.Project == "" && c.can(apitoken.Admin) }

// canSee reports whether the caller may know about a project. Objects of other projects are
// answered as if they did not exist, so that a caller for one project cannot learn which names
// others use.
func (c Caller) canSee(slug string) bool { return c.Project == "" || c.Project == slug }

// identify says who calls. If there is an Authorization header, no other credential is read.
// Browsers send cookies on their own, so a session is accepted only for requests of this origin's
// pages.
func (c *call) identify() error {
	var err error
	switch headers := c.r.Header.Values("Authorization"); {
	case len(headers) > 1:
		return refuse(http.StatusBadRequest, "invalid_request", "there are %d Authorization headers", len(headers))
	case len(headers) == 1:
		c.caller, err = c.tokenCaller(headers[0])
	default:
		c.caller, err = c.sessionCaller()
	}
	c.event.Actor = c.caller.Actor
	return err
}

func (c *call) tokenCaller(header string) (Caller, error) {
	scheme, credential, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || !apitoken.LooksLikeSecret(credential) {
		return Caller{}, badToken()
	}
	t, err := c.Tokens.UseAPIToken(c.r.Context(), secrets.Hash(credential), c.now)
	switch {
	case errors.Is(err, apitoken.ErrNotFound) || err == nil && !t.Good(c.now):
		return Caller{}, badToken()
	case err != nil:
		return Caller{}, err
	}
	return Caller{Actor: "api_token:" + t.ID, Name: t.Name, Abilities: t.Abilities, Project: t.Project}, nil
}

func badToken() error {
	e := refuse(http.StatusUnauthorized, "invalid_token", "the API token is unknown, expired or revoked")
	e.challenge = `Bearer error="invalid_token"`
	return e
}

func (c *call) sessionCaller() (Caller, error) {
	if c.Session == nil {
		return Caller{}, noCredential()
	}
	caller, err := c.Session(c.r)
	switch {
	case errors.Is(err, ErrNoSession):
		return Caller{}, noCredential()
	case errors.Is(err, ErrNotAdmin):
		return caller, refuse(http.StatusForbidden, "insufficient_ability",
			"whoever is signed in is not an administrator")
	case err != nil:
		return Caller{}, err
	case c.ofAnotherSite():
		return caller, refuse(http.StatusForbidden, "cross_origin", "the request was sent by another site")
	}
	return caller, nil
}

// ofAnotherSite says whether a browser sent the request for a page of another origin, whatever its
// method: what an administrator reads is not for other sites either. CrossOriginProtection passes
// every method that should change nothing, so it is asked about one that may.
func (c *call) ofAnotherSite() bool {
	asked := *c.r
	asked.Method = http.MethodPost
	return c.protection.Check(&asked) != nil
}

func noCredential() error {
	e := refuse(http.StatusUnauthorized, "no_credential",
		"an API token (Authorization: Bearer) or an administrator's session is required")
	e.challenge = "Bearer"
	return e
}

// missingAbility is the refusal of a known caller without the ability (RFC 6750, section 3.1).
func missingAbility(ability string) error {
	e := refuse(http.StatusForbidden, "insufficient_ability", "the ability %q is required", ability)
	e.challenge = `Bearer error="insufficient_scope"`
	return e
}
