package manage

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// tokenBody is an API token as the API has it.
type tokenBody struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Project   *string  `json:"project"`
	Abilities []string `json:"abilities"`
	Created   *string  `json:"created_at"`
	Expires   *string  `json:"expires_at"`
	LastUsed  *string  `json:"last_used_at"`
	Revoked   *string  `json:"revoked_at"`

	// Token is the token itself, only in the answer to its creation.
	Token string `json:"token,omitempty"`
}

func showToken(t apitoken.Token) tokenBody {
	body := tokenBody{
		ID: t.ID, Name: t.Name, Abilities: t.Abilities, Created: rfc3339(t.Created), Expires: rfc3339(t.Expires),
		LastUsed: rfc3339(t.LastUsed), Revoked: rfc3339(t.Revoked),
	}
	if t.Project != "" {
		body.Project = &t.Project
	}
	return body
}

func (c *call) listTokens() (reply, error) {
	show := func(t apitoken.Token) (tokenBody, error) { return showToken(t), nil }
	return listOfProject(c, c.Tokens.ListAPITokens, show, func(b tokenBody) string { return b.ID })
}

// longestToken is the longest lifetime that an API token can be given; one without any does not
// expire.
const longestToken = 10 * 365 * 24 * time.Hour

func (c *call) createToken() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	var name string
	var abilities []string
	var lifetime time.Duration
	slug, err := c.tokenProject(o)
	if err != nil {
		return reply{}, err
	}
	o.required("name", &name)
	o.stringList("abilities", &abilities)
	o.seconds("expires_in", &lifetime, time.Minute, longestToken)
	t, secret, err := apitoken.New(name, slug, abilities, lifetime, c.now)
	o.fail(err)
	if err := o.done(); err != nil {
		return reply{}, err
	}
	c.setTarget(t.ID, t.Name, t.Project)
	if err := c.Tokens.AddAPIToken(c.r.Context(), t); err != nil {
		return reply{}, err
	}
	body := showToken(t)
	body.Token = secret
	return reply{status: http.StatusCreated, body: body, location: "/api/tokens/" + t.ID}, nil
}

// tokenProject returns the project that a new token is for; empty for all, which a caller for one
// project cannot create.
func (c *call) tokenProject(o *object) (slug string, err error) {
	if raw, there := o.take("project"); there && string(raw) != "null" {
		o.required("project", &slug)
	}
	if slug == "" {
		slug = c.caller.Project
	}
	if slug == "" || o.err != nil {
		return "", nil
	}
	p, err := c.project(slug)
	if errors.Is(err, project.ErrNoProject) {
		err = invalid("project: %.70q not found", slug)
	}
	return p.Slug, err
}

// token finds the API token of the path, and makes it the target of the call.
func (c *call) token() (apitoken.Token, error) {
	t, err := c.Tokens.FindAPIToken(c.r.Context(), c.id)
	if err != nil {
		return apitoken.Token{}, err
	}
	c.setTarget(t.ID, t.Name, t.Project)
	if !c.caller.canSee(t.Project) {
		return apitoken.Token{}, apitoken.ErrNotFound
	}
	return t, nil
}

func (c *call) getToken() (reply, error) {
	t, err := c.token()
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: showToken(t)}, nil
}

func (c *call) revokeToken() (reply, error) {
	t, err := c.token()
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, c.Tokens.RevokeAPIToken(c.r.Context(), t.ID, c.now)
}
