package manage

import (
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// projectBody is a project as the API has it.
type projectBody struct {
	ID                            string   `json:"id"`
	Slug                          string   `json:"slug"`
	Name                          string   `json:"name"`
	Active                        bool     `json:"active"`
	Declared                      bool     `json:"declared"`
	Audiences                     []string `json:"audiences"`
	RefreshWindow                 *int64   `json:"refresh_window"`
	RefreshCheck                  *int64   `json:"refresh_check"`
	RevokeRefreshOnPasswordChange bool     `json:"revoke_refresh_on_password_change"`
	RevokeAllOnLogout             bool     `json:"revoke_all_on_logout"`
	tokenOptionsBody
	Lifetimes lifetimesBody `json:"lifetimes"`

	// Sources says where each option in force is set.
	Sources projectSources `json:"sources"`

	Version int64   `json:"version"`
	Created *string `json:"created_at"`
	Changed *string `json:"changed_at"`
}

// lifetimesBody are the lifetimes that tokens are issued with now, in seconds; null where there are
// no refresh tokens.
type lifetimesBody struct {
	Access          *int64 `json:"access_ttl"`
	Refresh         *int64 `json:"refresh_ttl"`
	RefreshAbsolute *int64 `json:"refresh_absolute_ttl"`
}

func lifetimesOf(l project.Lifetimes) lifetimesBody {
	return lifetimesBody{seconds(l.Access), seconds(l.Refresh), seconds(l.RefreshAbsolute)}
}

func (c *call) showProject(p project.Project) projectBody {
	effective := project.Effective(c.Lifetimes, p.Own(), project.Lifetimes{}, c.Limits)
	name := p.Name
	if name == "" {
		name = p.Slug
	}
	revocation := p.RevocationOptions.Over(c.Revocation)
	return projectBody{
		ID: p.ID, Slug: p.Slug, Name: name, Active: p.Active, Declared: p.Declared, Audiences: nonNil(p.Audiences),
		RefreshWindow: seconds(p.RefreshWindow), RefreshCheck: seconds(p.RefreshCheck),
		RevokeRefreshOnPasswordChange: revocation.OnPasswordChange(), RevokeAllOnLogout: revocation.OnLogout(),
		tokenOptionsBody: showTokenOptions(p.TokenOptions.Over(c.TokenOptions)), Sources: c.sourcesOf(p),
		Lifetimes: lifetimesOf(effective), Version: p.Version, Created: rfc3339(p.Created), Changed: rfc3339(p.Changed),
	}
}

func (c *call) sourcesOf(p project.Project) projectSources {
	return projectSources{
		tokenSources: tokenSourcesOf(project.TokenOptions{}, p.TokenOptions, c.TokenOptions),
		RevokeRefreshOnPasswordChange: levelOf(
			project.Inherit, p.RevokeRefreshOnPasswordChange, c.Revocation.RevokeRefreshOnPasswordChange),
		RevokeAllOnLogout: levelOf(project.Inherit, p.RevokeAllOnLogout, c.Revocation.RevokeAllOnLogout),
	}
}

// project finds a project that the caller may see, and makes it the target of the call.
func (c *call) project(idOrSlug string) (project.Project, error) {
	p, err := c.Projects.FindProject(c.r.Context(), idOrSlug)
	if err != nil {
		return project.Project{}, err
	}
	c.setTarget(p.ID, p.Slug, p.Slug)
	if !c.caller.canSee(p.Slug) {
		return project.Project{}, project.ErrNoProject
	}
	return p, nil
}

func (c *call) listProjects() (reply, error) {
	q, err := c.query()
	if err != nil {
		return reply{}, err
	}
	var found []project.Project
	if c.caller.Project == "" {
		found, err = c.Projects.ListProjects(c.r.Context(), project.Page{After: q.after, Limit: q.limit + 1})
	} else if q.after < c.caller.Project {
		var own project.Project
		own, err = c.project(c.caller.Project)
		found = []project.Project{own}
	}
	if err != nil {
		return reply{}, err
	}
	return listOf(found, q.limit, c.showProject, func(p project.Project) string { return p.Slug }), nil
}

func (c *call) createProject() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	if c.caller.Project != "" {
		return reply{}, refuse(http.StatusForbidden, "insufficient_ability",
			"the credential is for one project, and can make no other")
	}
	p := project.Project{ID: project.NewID(), Active: true, Version: 1, Created: c.now, Changed: c.now}
	o.required("slug", &p.Slug)
	if err := c.editProject(o, &p); err != nil {
		return reply{}, err
	}
	c.setTarget(p.ID, p.Slug, p.Slug)
	if err := c.Projects.AddProject(c.r.Context(), p); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: c.showProject(p), version: 1, location: "/api/projects/" + p.ID}, nil
}

// editProject applies the members that may be changed.
func (c *call) editProject(o *object, p *project.Project) error {
	o.text("name", &p.Name)
	o.allowed("audiences", &p.Audiences, c.audiences())
	o.optionalFlag("revoke_refresh_on_password_change", &p.RevokeRefreshOnPasswordChange)
	o.optionalFlag("revoke_all_on_logout", &p.RevokeAllOnLogout)
	o.editTokenOptions(&p.TokenOptions)
	o.seconds("refresh_window", &p.RefreshWindow, time.Second, 24*time.Hour)
	o.seconds("refresh_check", &p.RefreshCheck, time.Second, 24*time.Hour)
	o.fail(p.Validate())
	return o.done()
}

func (c *call) getProject() (reply, error) {
	p, err := c.project(c.id)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: c.showProject(p), version: p.Version}, nil
}

func (c *call) patchProject() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	p, err := c.changeProject(func(p *project.Project) error {
		if p.Declared {
			return project.ErrDeclared
		}
		o.flag("active", &p.Active)
		return c.editProject(o, p)
	})
	if err != nil {
		return reply{}, err
	}
	if _, given := o.members["active"]; given && !p.Active {
		if err := c.Revoker.RevokeProject(c.r.Context(), p.Slug, "paused"); err != nil {
			return reply{}, revocationFailed(err)
		}
	}
	return reply{status: http.StatusOK, body: c.showProject(p), version: p.Version}, nil
}

// changeProject changes the project of the path in one step, whoever else changes it.
func (c *call) changeProject(edit func(*project.Project) error) (project.Project, error) {
	var p project.Project
	err := c.change(func() (err error) {
		if p, err = c.project(c.id); err != nil {
			return err
		}
		if err = c.matches(p.Version); err != nil {
			return err
		}
		if err = edit(&p); err != nil {
			return err
		}
		p, err = c.Projects.ChangeProject(c.r.Context(), p, c.now)
		return err
	})
	return p, err
}

// deleteProject pauses the project first, so that nothing is issued between the revocation and the
// removal.
func (c *call) deleteProject() (reply, error) {
	p, err := c.changeProject(func(p *project.Project) error {
		if p.Declared {
			return project.ErrDeclared
		}
		p.Active = false
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	if err := c.Revoker.RevokeProject(c.r.Context(), p.Slug, "deleted"); err != nil {
		return reply{}, revocationFailed(err)
	}
	return reply{status: http.StatusNoContent}, c.Projects.RemoveProject(c.r.Context(), p.ID, p.Version)
}
