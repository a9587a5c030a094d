package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/consent"
)

// Consents lists and withdraws what people have allowed clients.
type Consents interface {
	// ListConsents returns the chosen consents in the order of their ids.
	ListConsents(ctx context.Context, f consent.Filter) ([]consent.Consent, error)

	// Withdraw removes a consent, and ends what the client has been granted by that person.
	// consent.ErrNotFound.
	Withdraw(ctx context.Context, id string, now time.Time) error
}

// consentBody is a consent as the API has it.
type consentBody struct {
	ID        string   `json:"id"`
	Project   string   `json:"project"`
	UserID    string   `json:"user_id"`
	User      string   `json:"user"`
	ClientID  string   `json:"client_id"`
	Scopes    []string `json:"scopes"`
	Resources []string `json:"resources"`
	Since     *string  `json:"since"`
}

func showConsent(c consent.Consent) consentBody {
	return consentBody{
		ID:        c.ID,
		Project:   c.Project,
		UserID:    c.UserID,
		User:      c.User,
		ClientID:  c.ClientID,
		Scopes:    nonNil(c.Scopes),
		Resources: nonNil(c.Resources),
		Since:     rfc3339(c.Since),
	}
}

func (c *call) listConsents() (reply, error) {
	q, err := c.query("project", "user", "client")
	if err != nil {
		return reply{}, err
	}
	slug, err := c.projectFilter(q)
	if err != nil {
		return reply{}, err
	}
	f := consent.Filter{Project: slug, ClientID: q.values.Get("client"), After: q.after, Limit: q.limit + 1}
	if name := q.values.Get("user"); name != "" {
		u, err := c.userNamed(slug, name)
		if err != nil {
			return reply{}, err
		}
		f.UserID = u.ID
	}
	found, err := c.Consents.ListConsents(c.r.Context(), f)
	if err != nil {
		return reply{}, err
	}
	return listOf(found, q.limit, showConsent, func(c consent.Consent) string { return c.ID }), nil
}

func (c *call) withdrawConsent() (reply, error) {
	found, err := c.Consents.ListConsents(c.r.Context(), consent.Filter{ID: c.id, Limit: 1})
	if err != nil {
		return reply{}, err
	}
	if len(found) == 0 || !c.caller.canSee(found[0].Project) {
		return reply{}, consent.ErrNotFound
	}
	c.setTarget(found[0].ID, found[0].User, found[0].Project)
	c.detail = "client " + found[0].ClientID
	return reply{status: http.StatusNoContent}, c.Consents.Withdraw(c.r.Context(), found[0].ID, c.now)
}
