package manage

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

// longestSecret is the longest lifetime that a client secret can be given; one without any does not
// end.
const longestSecret = 10 * 365 * 24 * time.Hour

// renewClientSecret replaces all secrets of the client. They stop working; the client's tokens and
// sessions stay valid.
func (c *call) renewClientSecret() (reply, error) {
	return c.newClientSecret(http.StatusOK, func(client *clients.Client, hash string) error {
		client.Secrets = nil
		_, err := client.AddSecret(hash, c.now, time.Time{})
		return err
	})
}

// addClientSecret adds a secret beside the one that the client uses, which may be given an end.
func (c *call) addClientSecret() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	var lifetime, others time.Duration
	o.seconds("expires_in", &lifetime, time.Minute, longestSecret)
	o.seconds("others_expire_in", &others, time.Minute, longestSecret)
	if err := o.done(); err != nil {
		return reply{}, err
	}
	return c.newClientSecret(http.StatusCreated, func(client *clients.Client, hash string) error {
		if end := c.after(others); !end.IsZero() {
			client.EndSecrets(end)
		}
		if _, err := client.AddSecret(hash, c.now, c.after(lifetime)); err != nil {
			return refuse(http.StatusConflict, "too_many_secrets", "%v", err)
		}
		return nil
	})
}

// after is the time after a lifetime; never for none.
func (c *call) after(lifetime time.Duration) time.Time {
	if lifetime == 0 {
		return time.Time{}
	}
	return c.now.Add(lifetime)
}

// newClientSecret makes a secret, which the answer shows.
func (c *call) newClientSecret(status int, add func(client *clients.Client, hash string) error) (reply, error) {
	secret := clients.NewSecret()
	client, err := c.changeClient(func(client *clients.Client) error {
		if err := withSecrets(client); err != nil {
			return err
		}
		if err := add(client, secrets.Hash(secret)); err != nil {
			return err
		}
		_, err := c.optionsAbove(*client) // before the change: an error after it would lose the secret
		return err
	})
	if err != nil {
		return reply{}, err
	}
	body, err := c.showClient(client)
	if err != nil {
		return reply{}, err
	}
	body.Secret = secret
	return reply{status: status, body: body, version: client.Version}, nil
}

// withSecrets refuses a client whose secrets are not changed here.
func withSecrets(client *clients.Client) error {
	switch {
	case client.Declared:
		return project.ErrDeclared
	case client.Public():
		return refuse(http.StatusConflict, "public_client", "a public client has no secret")
	case !hasSecrets(*client):
		return refuse(http.StatusConflict, "no_secret", "the client authenticates with %s, not with a secret",
			client.AuthMethod)
	}
	return nil
}

// removeClientSecret takes away one of two secrets.
func (c *call) removeClientSecret() (reply, error) {
	values := c.r.URL.Query()
	number, err := strconv.Atoi(values.Get("number"))
	if err != nil || len(values) != 1 || len(values["number"]) != 1 {
		return reply{}, invalid("number: it must be the number of a secret, and the only parameter")
	}
	_, err = c.changeClient(func(client *clients.Client) error {
		if err := withSecrets(client); err != nil {
			return err
		}
		return client.RemoveSecret(number)
	})
	switch {
	case errors.Is(err, clients.ErrNoSecret):
		err = refuse(http.StatusNotFound, "not_found", "%v", err)
	case errors.Is(err, clients.ErrLastSecret):
		err = refuse(http.StatusConflict, "last_secret", "%v", err)
	}
	return reply{status: http.StatusNoContent}, err
}
