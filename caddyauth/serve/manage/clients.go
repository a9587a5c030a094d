package manage

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

// clientBody is a client as the API has it.
type clientBody struct {
	ID       string `json:"id"`
	Project  string `json:"project"`
	Name     string `json:"name"`
	Public   bool   `json:"public"`
	Active   bool   `json:"active"`
	Declared bool   `json:"declared"`
	tokenOptionsBody
	// Sources says where each option in force is set.
	Sources tokenSources `json:"sources"`
	clientSettings
	Audience []string       `json:"audience"`
	Scopes   []string       `json:"scopes"`
	Claims   map[string]any `json:"claims"`
	Version  int64          `json:"version"`
	Created  *string        `json:"created_at"`
	Changed  *string        `json:"changed_at"`

	// Secret is there once, when it was made.
	Secret string `json:"client_secret,omitempty"`
}

// showClient shows a client with the options in force.
func (c *call) showClient(client clients.Client) (clientBody, error) {
	above, err := c.optionsAbove(client)
	return bodyOf(client, above, c.TokenOptions), err
}

// optionsAbove returns the options of a client's project, which are read once per call.
func (c *call) optionsAbove(client clients.Client) (project.TokenOptions, error) {
	if above, known := c.projectOptions[client.Project]; known {
		return above, nil
	}
	p, err := c.Projects.FindProject(c.r.Context(), client.Project)
	if err != nil {
		return project.TokenOptions{}, err
	}
	if c.projectOptions == nil {
		c.projectOptions = map[string]project.TokenOptions{}
	}
	c.projectOptions[client.Project] = p.TokenOptions
	return p.TokenOptions, nil
}

func bodyOf(c clients.Client, above, server project.TokenOptions) clientBody {
	return clientBody{
		ID:               c.ID,
		Project:          c.Project,
		Name:             cmp.Or(c.Name, c.ID),
		Public:           c.Public(),
		Active:           c.Active,
		Declared:         c.Declared,
		tokenOptionsBody: showTokenOptions(c.TokenOptions.Over(above).Over(server)),
		Sources:          tokenSourcesOf(c.TokenOptions, above, server),
		clientSettings:   showSettings(c),
		Audience:         nonNil(c.Audience), Scopes: nonNil(c.Scopes),
		Claims: claimsOf(c.Claims), Version: c.Version, Created: rfc3339(c.Created), Changed: rfc3339(c.Changed),
	}
}

// claimsOf returns the claims, or an empty object: the API never answers with null.
func claimsOf(claims map[string]any) map[string]any {
	if claims == nil {
		return map[string]any{}
	}
	return claims
}

// client finds a client that the caller may see, and makes it the target of the call.
func (c *call) client(id string) (clients.Client, error) {
	client, err := c.Clients.FindClient(c.r.Context(), id)
	if err != nil {
		return clients.Client{}, err
	}
	c.setTarget(client.ID, client.Name, client.Project)
	if !c.caller.canSee(client.Project) {
		return clients.Client{}, clients.ErrNotFound
	}
	return client, nil
}

// projectFilter is the project whose clients, users or entries are listed; empty for all.
func (c *call) projectFilter(q query) (string, error) {
	named := q.values.Get("project")
	if named == "" {
		return c.caller.Project, nil
	}
	p, err := c.project(named)
	return p.Slug, err
}

func (c *call) listClients() (reply, error) {
	return listOfProject(c, c.Clients.ListClients, c.showClient, func(b clientBody) string { return b.ID })
}

// projectForNew returns the project of a new object: the named one, or else the caller's own or the
// default one.
func (c *call) projectForNew(o *object) (slug string, err error) {
	o.text("project", &slug)
	p, err := c.project(cmp.Or(slug, c.caller.Project, project.Default))
	if errors.Is(err, project.ErrNoProject) {
		err = invalid("project: %.70q not found", slug)
	}
	return p.Slug, err
}

func (c *call) createClient() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	client := clients.Client{ID: project.NewID(), Active: true, Version: 1, Created: c.now, Changed: c.now}
	if client.Project, err = c.projectForNew(o); err != nil {
		return reply{}, err
	}
	public, secret := false, ""
	o.text("id", &client.ID)
	o.flag("public", &public)
	editClient(o, &client, c.audiences())
	if !public && hasSecrets(client) {
		secret = clients.NewSecret()
		client.Secrets = []clients.Secret{{Number: 1, Hash: secrets.Hash(secret), Created: c.now}}
	}
	o.fail(client.Validate())
	if err := o.done(); err != nil {
		return reply{}, err
	}
	c.setTarget(client.ID, client.Name, client.Project)
	// What the answer needs is read first: an error after the client was added would lose its
	// secret.
	body, err := c.showClient(client)
	if err != nil {
		return reply{}, err
	}
	if err := c.Clients.AddClient(c.r.Context(), client); err != nil {
		return reply{}, err
	}
	body.Secret = secret
	return reply{status: http.StatusCreated, body: body, version: 1, location: "/api/clients/" + client.ID}, nil
}

// editClient applies the members that may be changed. Whether they fit together is for
// clients.Validate.
func editClient(o *object, client *clients.Client, audiences []string) {
	o.text("name", &client.Name)
	o.editTokenOptions(&client.TokenOptions)
	o.allowed("audience", &client.Audience, audiences)
	o.stringList("scopes", &client.Scopes)
	o.claims("claims", &client.Claims)
	editSettings(o, client)
}

func (c *call) getClient() (reply, error) {
	client, err := c.client(c.id)
	if err != nil {
		return reply{}, err
	}
	body, err := c.showClient(client)
	return reply{status: http.StatusOK, body: body, version: client.Version}, err
}

// changeClient changes the client of the path in one step, whoever else changes it.
func (c *call) changeClient(edit func(*clients.Client) error) (clients.Client, error) {
	var client clients.Client
	err := c.change(func() (err error) {
		if client, err = c.client(c.id); err != nil {
			return err
		}
		if err = c.matches(client.Version); err != nil {
			return err
		}
		if err = edit(&client); err != nil {
			return err
		}
		client, err = c.Clients.ChangeClient(c.r.Context(), client, c.now)
		return err
	})
	return client, err
}

func (c *call) patchClient() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	client, err := c.changeClient(func(client *clients.Client) error {
		if client.Declared {
			return project.ErrDeclared
		}
		o.flag("active", &client.Active)
		editClient(o, client, c.audiences())
		o.fail(client.Validate())
		return o.done()
	})
	if err != nil {
		return reply{}, err
	}
	if _, given := o.members["active"]; given && !client.Active {
		if err := c.Revoker.RevokeClient(c.r.Context(), client.Project, client.ID, "paused"); err != nil {
			return reply{}, revocationFailed(err)
		}
	}
	body, err := c.showClient(client)
	return reply{status: http.StatusOK, body: body, version: client.Version}, err
}

// deleteClient pauses the client first, so that nothing is issued between the revocation and the
// removal.
func (c *call) deleteClient() (reply, error) {
	client, err := c.changeClient(func(client *clients.Client) error {
		if client.Declared {
			return project.ErrDeclared
		}
		client.Active = false
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	if err := c.Revoker.RevokeClient(c.r.Context(), client.Project, client.ID, "deleted"); err != nil {
		return reply{}, revocationFailed(err)
	}
	return reply{status: http.StatusNoContent}, c.Clients.RemoveClient(c.r.Context(), client.ID, client.Version)
}
