package registration

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// own returns the client whose registration access token the request has. Every reason not to be
// sure of it has one answer, so that nobody learns which clients there are (RFC 7592, section 2.1).
func (c *call) own() (clients.Client, string, error) {
	token, unknown := c.bearer(), invalidToken("The registration access token is not valid for this client.")
	if token == "" {
		return clients.Client{}, "", unknown
	}
	client, registration, err := c.Store.FindRegistered(c.r.Context(), c.r.PathValue("client_id"))
	switch {
	case errors.Is(err, clients.ErrNotFound):
		return clients.Client{}, "", unknown
	case err != nil:
		return clients.Client{}, "", err
	case client.Source != clients.Registered || !registration.HasToken(token):
		return clients.Client{}, "", unknown
	}
	c.isAbout(client)
	if !client.Active {
		return clients.Client{}, "", &refusal{
			status: http.StatusForbidden,
			code:   "access_denied",
			text:   "The client is switched off.",
		}
	}
	return client, token, nil
}

// show answers GET /register/{client_id}. The secret was shown once, when it was made.
func (c *call) show() (int, any, error) {
	client, token, err := c.own()
	c.event.Recorded = false
	return http.StatusOK, c.information(client, "", token), err
}

// change answers PUT /register/{client_id}. The token stays the same. Changes count like registrations:
// where anybody may register, anybody may change what they have registered.
func (c *call) change() (int, any, error) {
	client, token, err := c.own()
	if err != nil {
		return 0, nil, err
	}
	if err := c.take(); err != nil {
		return 0, nil, err
	}
	members, err := c.body()
	if err != nil {
		return 0, nil, err
	}
	if err := c.checkOwn(client, members); err != nil {
		return 0, nil, err
	}
	secret, err := c.describe(&client, members)
	if err != nil {
		return 0, nil, err
	}
	changed, err := c.Store.ChangeRegistered(c.r.Context(), client, c.now)
	if errors.Is(err, project.ErrChanged) || errors.Is(err, clients.ErrNotFound) {
		err = &refusal{
			status: http.StatusConflict,
			code:   "conflict",
			text:   "The client was changed at the same time. Please read it again.",
		}
	}
	return http.StatusOK, c.information(changed, secret, token), err
}

// ownedMembers are those that only this server sets (RFC 7592, section 2.2).
var ownedMembers = []string{
	"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at",
}

// checkOwn refuses a change that is of another client, or sets what only this server sets.
func (c *call) checkOwn(client clients.Client, members map[string]json.RawMessage) error {
	for _, name := range ownedMembers {
		if _, ok := members[name]; ok {
			return wrong("%s: it is not the client's to set.", name)
		}
	}
	var id, secret string
	if json.Unmarshal(members["client_id"], &id) != nil || id != client.ID {
		return wrong("client_id: it is required, and must be that of the client.")
	}
	if text, ok := members["client_secret"]; ok {
		if json.Unmarshal(text, &secret) != nil || !client.Authentic(secret, c.now) {
			return wrong("client_secret: it is not the client's.")
		}
	}
	return nil
}

// remove answers DELETE /register/{client_id}. The client is paused first, so that nothing is issued
// between the revocation and the removal.
func (c *call) remove() (int, any, error) {
	client, _, err := c.own()
	if err != nil {
		return 0, nil, err
	}
	ctx := c.r.Context()
	client.Active = false
	if client, err = c.Store.ChangeRegistered(ctx, client, c.now); err != nil {
		return 0, nil, err
	}
	if err := c.Revoke(ctx, client.Project, client.ID, "deleted"); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, c.Store.RemoveClient(ctx, client.ID, client.Version)
}
