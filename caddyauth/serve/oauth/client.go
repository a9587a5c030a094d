package oauth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// FirstParty is the id of the client that tokens of the login routes belong to. It is public, is in
// every project, and exists without being declared or stored.
const FirstParty = clients.FirstParty

// credentials are what a client proves itself with: client_secret_basic or client_secret_post (RFC
// 6749, section 2.3.1), or only its name, which is enough for public clients.
type credentials struct {
	id, secret string
	header     bool // they came in the Authorization header
}

// authenticate makes sure of the client. Every reason not to be has one answer, so that a caller
// without a secret learns nothing.
func (c *call) authenticate() error {
	given, err := credentialsOf(c.r, c.form)
	if err != nil {
		return err
	}
	client, err := c.findClient(given.id)
	if errors.Is(err, clients.ErrNotFound) {
		return unknownClient(given.header)
	}
	if err != nil {
		return unavailable(err)
	}
	c.client = client
	c.event.ClientID, c.event.Project = client.ID, client.Project
	if !client.Active || !proves(client, given.secret) {
		return unknownClient(given.header)
	}
	return nil
}

// proves reports whether secret is what the client has to know; a public client has nothing to know
// and may not claim to.
func proves(c clients.Client, secret string) bool {
	if c.Public() {
		return secret == ""
	}
	return c.Authentic(secret)
}

// findClient asks the store only for what could be an id.
func (c *call) findClient(id string) (clients.Client, error) {
	if id == FirstParty {
		return clients.Client{ID: FirstParty, Active: true}, nil
	}
	if (clients.Client{ID: id}).Validate() != nil {
		return clients.Client{}, clients.ErrNotFound
	}
	return c.FindClient(c.r.Context(), id)
}

// credentialsOf finds exactly one set of credentials (RFC 6749, section 2.3). Beside the header a
// client may repeat its id.
func credentialsOf(r *http.Request, f form) (credentials, error) {
	lines := r.Header["Authorization"]
	if len(lines) == 0 {
		return credentials{id: f["client_id"], secret: f["client_secret"]}, nil
	}
	if len(lines) > 1 || f["client_secret"] != "" {
		return credentials{}, refuse(invalidRequest, "The client authenticates in more than one way.")
	}
	id, secret, ok := parseBasic(lines[0])
	if !ok {
		return credentials{}, unknownClient(true)
	}
	if named := f["client_id"]; named != "" && named != id {
		return credentials{}, refuse(invalidRequest, "The body names another client than the Authorization header.")
	}
	return credentials{id: id, secret: secret, header: true}, nil
}

// parseBasic reads `Basic base64(id:secret)`, where id and secret were encoded as in a form before
// (RFC 6749, section 2.3.1). The secret may be empty.
func parseBasic(line string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(line, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimLeft(encoded, " "))
	if err != nil {
		return "", "", false
	}
	first, second, found := strings.Cut(string(text), ":")
	id, errID := url.QueryUnescape(first)
	secret, errSecret := url.QueryUnescape(second)
	return id, secret, found && errID == nil && errSecret == nil
}
