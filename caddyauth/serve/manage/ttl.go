package manage

import (
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// ttlBody are the lifetimes which a project or client has of its own, in seconds; null where it has
// none. Zero as jwt_refresh_ttl means that the Caddyfile gives it no refresh tokens.
type ttlBody struct {
	Access  *int64 `json:"jwt_access_ttl"`
	Refresh *int64 `json:"jwt_refresh_ttl"`
}

// ttlWithDefaults is ttlBody with what holds where it says null: the server's for a project, the
// project's for a client.
type ttlWithDefaults struct {
	ttlBody
	Defaults ttlDefaults `json:"defaults"`
}

type ttlDefaults struct {
	Access  int64 `json:"access_ttl"`
	Refresh int64 `json:"refresh_ttl"`
}

func ttlOf(own project.Lifetimes) ttlBody {
	return ttlBody{Access: seconds(own.Access), Refresh: seconds(own.Refresh)}
}

func withDefaults(own, effective project.Lifetimes) ttlWithDefaults {
	return ttlWithDefaults{
		ttlOf(own), ttlDefaults{int64(effective.Access.Seconds()), int64(effective.Refresh.Seconds())},
	}
}

// editTTL takes the lifetimes over into what is set through the API. above are the lifetimes of the
// levels above, own those which the Caddyfile declares here: together they say how long a sign-in
// lasts at most, which an idle lifetime cannot exceed.
func (c *call) editTTL(o *object, override *project.Lifetimes, own, above project.Lifetimes) error {
	least, utmost := c.Limits.Access()
	o.seconds("jwt_access_ttl", &override.Access, least, utmost)
	absolute := override.Over(own).Over(above).Over(project.Defaults).RefreshAbsolute
	least, utmost = c.Limits.Refresh(absolute)
	o.seconds("jwt_refresh_ttl", &override.Refresh, least, utmost)
	return o.done()
}

func (c *call) getProjectTTL() (reply, error) {
	p, err := c.project(c.id)
	if err != nil {
		return reply{}, err
	}
	effective := project.Effective(c.Lifetimes, project.Lifetimes{}, project.Lifetimes{}, c.Limits)
	return reply{status: http.StatusOK, body: withDefaults(p.Own(), effective), version: p.Version}, nil
}

func (c *call) patchProjectTTL() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	p, err := c.changeProject(func(p *project.Project) error {
		return c.editTTL(o, &p.Override, p.Lifetimes, c.Lifetimes)
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: ttlOf(p.Own()), version: p.Version}, nil
}

func (c *call) getClientTTL() (reply, error) {
	client, err := c.client(c.id)
	if err != nil {
		return reply{}, err
	}
	p, err := c.Projects.FindProject(c.r.Context(), client.Project)
	if err != nil {
		return reply{}, err
	}
	effective := project.Effective(c.Lifetimes, p.Own(), project.Lifetimes{}, c.Limits)
	return reply{status: http.StatusOK, body: withDefaults(client.Own(), effective), version: client.Version}, nil
}

func (c *call) patchClientTTL() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	client, err := c.changeClient(func(client *clients.Client) error {
		p, err := c.Projects.FindProject(c.r.Context(), client.Project)
		if err != nil {
			return err
		}
		return c.editTTL(o, &client.Override, client.Lifetimes, p.Own().Over(c.Lifetimes))
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: ttlOf(client.Own()), version: client.Version}, nil
}
