package manage

import (
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// ownLifetimes are the lifetimes which a project or client has of its own, in seconds; null where
// it has none. Zero as refresh_token means that it has no refresh tokens.
type ownLifetimes struct {
	Access          *int64 `json:"access_token"`
	Refresh         *int64 `json:"refresh_token"`
	RefreshAbsolute *int64 `json:"refresh_absolute"`
	Code            *int64 `json:"authorization_code"`
	DeviceCode      *int64 `json:"device_code"`
	IDToken         *int64 `json:"id_token"`
}

// lifetimesInForce are all of them, with the ones that tokens are issued with now; null where there
// are no refresh tokens.
type lifetimesInForce struct {
	ownLifetimes
	InForce ownLifetimes `json:"in_force"`
}

func showLifetimes(l project.Lifetimes) ownLifetimes {
	return ownLifetimes{
		Access:          seconds(l.Access),
		Refresh:         seconds(l.Refresh),
		RefreshAbsolute: seconds(l.RefreshAbsolute),
		Code:            seconds(l.Code),
		DeviceCode:      seconds(l.DeviceCode),
		IDToken:         seconds(l.IDToken),
	}
}

// editLifetimes takes over what is set through the API; null takes it away. own are the lifetimes
// that the Caddyfile declares here, above those of the levels above.
func (c *call) editLifetimes(o *object, override *project.Lifetimes, own, above project.Lifetimes) error {
	least, utmost := c.Limits.Access()
	o.seconds("access_token", &override.Access, least, utmost)
	least, utmost = c.Limits.Refresh(project.MaxRefreshAbsolute)
	o.seconds("refresh_absolute", &override.RefreshAbsolute, least, utmost)
	absolute := override.Over(own).Over(above).Over(project.Defaults).RefreshAbsolute
	least, utmost = c.Limits.Refresh(absolute)
	o.seconds("refresh_token", &override.Refresh, least, utmost)
	o.seconds("authorization_code", &override.Code, project.MinCode, project.MaxCode)
	o.seconds("device_code", &override.DeviceCode, project.MinDeviceCode, project.MaxDeviceCode)
	o.seconds("id_token", &override.IDToken, project.MinIDToken, project.MaxIDToken)
	return o.done()
}

func (c *call) projectLifetimes(p project.Project) reply {
	inForce := project.Effective(c.Lifetimes, p.Own(), project.Lifetimes{}, c.Limits)
	body := lifetimesInForce{showLifetimes(p.Own()), showLifetimes(inForce)}
	return reply{status: http.StatusOK, body: body, version: p.Version}
}

func (c *call) getProjectLifetimes() (reply, error) {
	p, err := c.project(c.id)
	if err != nil {
		return reply{}, err
	}
	return c.projectLifetimes(p), nil
}

func (c *call) patchProjectLifetimes() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	p, err := c.changeProject(func(p *project.Project) error {
		return c.editLifetimes(o, &p.Override, p.Lifetimes, c.Lifetimes)
	})
	if err != nil {
		return reply{}, err
	}
	return c.projectLifetimes(p), nil
}

func (c *call) clientLifetimes(client clients.Client, p project.Project) reply {
	inForce := project.Effective(c.Lifetimes, p.Own(), client.Own(), c.Limits)
	body := lifetimesInForce{showLifetimes(client.Own()), showLifetimes(inForce)}
	return reply{status: http.StatusOK, body: body, version: client.Version}
}

func (c *call) getClientLifetimes() (reply, error) {
	client, err := c.client(c.id)
	if err != nil {
		return reply{}, err
	}
	p, err := c.Projects.FindProject(c.r.Context(), client.Project)
	if err != nil {
		return reply{}, err
	}
	return c.clientLifetimes(client, p), nil
}

func (c *call) patchClientLifetimes() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	var p project.Project
	client, err := c.changeClient(func(client *clients.Client) error {
		if p, err = c.Projects.FindProject(c.r.Context(), client.Project); err != nil {
			return err
		}
		err := c.editLifetimes(o, &client.Override, client.Lifetimes, p.Own().Over(c.Lifetimes))
		if err == nil && client.Validate() != nil { // a preset may bound them
			err = invalid("%v", client.Validate())
		}
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return c.clientLifetimes(client, p), nil
}
