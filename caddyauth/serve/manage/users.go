package manage

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// userBody is a user as the API has it.
type userBody struct {
	ID              string         `json:"id"`
	Project         string         `json:"project"`
	Name            string         `json:"name"`
	Disabled        bool           `json:"disabled"`
	Declared        bool           `json:"declared"`
	Admin           bool           `json:"admin"`
	HasPassword     bool           `json:"has_password"`
	Claims          map[string]any `json:"claims"`
	Version         int64          `json:"version"`
	Created         *string        `json:"created_at"`
	Changed         *string        `json:"changed_at"`
	PasswordChanged *string        `json:"password_changed_at"`
}

func showUser(u identity.User) userBody {
	return userBody{
		ID:          u.ID,
		Project:     u.Project,
		Name:        u.Name,
		Disabled:    u.Disabled,
		Declared:    u.Declared,
		Admin:       u.Admin,
		HasPassword: u.PasswordHash != "",
		Claims:      claimsOf(u.Claims), Version: u.Version, Created: rfc3339(u.Created), Changed: rfc3339(u.Changed),
		PasswordChanged: rfc3339(u.PasswordChanged),
	}
}

// user finds the user of the path, makes them the target of the call, and refuses a caller who may
// not change them.
func (c *call) user() (*identity.User, error) {
	u, err := c.Users.FindUserByID(c.r.Context(), c.id)
	if err != nil {
		return nil, err
	}
	c.setTarget(u.ID, u.Name, u.Project)
	if !c.caller.canSee(u.Project) {
		return nil, identity.ErrNoUser
	}
	if c.unsafe() {
		return u, c.mayTouch(*u)
	}
	return u, nil
}

// mayTouch refuses a caller who would gain rights: whoever can set the password or the claims of an
// administrator can become one.
func (c *call) mayTouch(u identity.User) error {
	u.Disabled = false
	if c.Privileged == nil || c.caller.isUnrestricted() || !c.Privileged(&u) {
		return nil
	}
	return refuse(http.StatusForbidden, "insufficient_ability",
		"the user may administer: the ability %q for all projects is required", apitoken.Admin)
}

func (c *call) listUsers() (reply, error) {
	q, err := c.query("project", "name")
	if err != nil {
		return reply{}, err
	}
	slug, err := c.projectFilter(q)
	if err != nil {
		return reply{}, err
	}
	if name := q.values.Get("name"); name != "" {
		return c.listUserNamed(slug, name, q.limit)
	}
	page := identity.UserPage{Project: slug, Limit: q.limit + 1}
	page.AfterProject, page.AfterName, _ = strings.Cut(q.after, "\x00")
	found, err := c.Users.ListUsers(c.r.Context(), page)
	if err != nil {
		return reply{}, err
	}
	return listOf(found, q.limit, showUser, userKey), nil
}

// listUserNamed is the list of the one user of a name, or of nobody.
func (c *call) listUserNamed(slug, name string, limit int) (reply, error) {
	u, err := c.userNamed(slug, name)
	switch {
	case errors.Is(err, identity.ErrNoUser):
		return listOf(nil, limit, showUser, userKey), nil
	case err != nil:
		return reply{}, err
	}
	return listOf([]identity.User{*u}, limit, showUser, userKey), nil
}

func userKey(u identity.User) string {
	canonical, err := identity.CanonicalName(u.Name)
	if err != nil {
		canonical = u.Name // the store takes no such name
	}
	return u.Project + "\x00" + canonical
}

func (c *call) createUser() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	u := identity.User{ID: project.NewID(), Version: 1, Created: c.now, Changed: c.now}
	if u.Project, err = c.projectForNew(o); err != nil {
		return reply{}, err
	}
	o.required("name", &u.Name)
	if _, err := identity.CanonicalName(u.Name); u.Name != "" && err != nil {
		o.fail(invalid("name: %.70q is %s", u.Name, err))
	}
	password := ""
	o.text("password", &password)
	_, withPassword := o.members["password"]
	if err := c.editUser(o, &u); err != nil {
		return reply{}, err
	}
	c.setTarget(u.ID, u.Name, u.Project)
	if err := c.mayTouch(u); err != nil {
		return reply{}, err
	}
	if withPassword {
		if u.PasswordHash, err = c.hash(password); err != nil {
			return reply{}, err
		}
		u.PasswordChanged = c.now
	}
	if err := c.Users.AddUser(c.r.Context(), u); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: showUser(u), version: 1, location: "/api/users/" + u.ID}, nil
}

// editUser applies the members that may be changed. The name may not: it is the subject of tokens.
func (c *call) editUser(o *object, u *identity.User) error {
	o.flag("disabled", &u.Disabled)
	o.claims("claims", &u.Claims)
	if _, given := o.members["claims"]; given && o.err == nil && c.CheckUser != nil {
		o.fail(c.CheckUser(*u))
	}
	return o.done()
}

// hash hashes a new password.
func (c *call) hash(password string) (string, error) {
	hash, err := c.Passwords.Hash(c.r.Context(), password)
	if errors.Is(err, identity.ErrBadPassword) {
		return "", invalid("%s", err)
	}
	return hash, err
}

func (c *call) getUser() (reply, error) {
	u, err := c.user()
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: showUser(*u), version: u.Version}, nil
}

// changeUser changes the user of the path atomically. store is the verb that writes the change.
func (c *call) changeUser(edit func(*identity.User) error,
	store func(identity.User) (*identity.User, error)) (identity.User, error) {
	var after identity.User
	err := c.change(func() error {
		u, err := c.user()
		if err != nil {
			return err
		}
		if err := c.matches(u.Version); err != nil {
			return err
		}
		if u.Declared {
			return identity.ErrUserDeclared
		}
		changed := *u
		if err := edit(&changed); err != nil {
			return err
		}
		if u, err = store(changed); err != nil {
			return err
		}
		after = *u
		return nil
	})
	return after, err
}

func (c *call) storeUser(u identity.User) (*identity.User, error) {
	return c.Users.ChangeUser(c.r.Context(), u, c.now)
}

func (c *call) patchUser() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	u, err := c.changeUser(func(u *identity.User) error {
		if err := c.editUser(o, u); err != nil {
			return err
		}
		return c.mayTouch(*u)
	}, c.storeUser)
	if err != nil {
		return reply{}, err
	}
	if _, given := o.members["disabled"]; given && u.Disabled {
		if err := c.Revoker.RevokeUser(c.r.Context(), u.Project, u.Name, "disabled"); err != nil {
			return reply{}, revocationFailed(err)
		}
	}
	return reply{status: http.StatusOK, body: showUser(u), version: u.Version}, nil
}

// deleteUser disables the user first, so that nothing is issued between the revocation and the
// removal.
func (c *call) deleteUser() (reply, error) {
	u, err := c.changeUser(func(u *identity.User) error {
		u.Disabled = true
		return nil
	}, c.storeUser)
	if err != nil {
		return reply{}, err
	}
	if err := c.Revoker.RevokeUser(c.r.Context(), u.Project, u.Name, "deleted"); err != nil {
		return reply{}, revocationFailed(err)
	}
	return reply{status: http.StatusNoContent}, c.Users.RemoveUser(c.r.Context(), u.ID, u.Version)
}

// putPassword sets a password and, unless the project says otherwise, ends the sessions that the
// one before began.
func (c *call) putPassword() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	password, hash := "", ""
	o.required("password", &password)
	u, err := c.changeUser(func(*identity.User) (err error) {
		if err := o.done(); err != nil || hash != "" {
			return err
		}
		hash, err = c.hash(password)
		return err
	}, func(u identity.User) (*identity.User, error) {
		return c.Users.SetPassword(c.r.Context(), u.ID, u.Version, hash, c.now)
	})
	if err != nil {
		return reply{}, err
	}
	p, err := c.Projects.FindProject(c.r.Context(), u.Project)
	if err == nil && !p.RevocationOptions.Over(c.Revocation).OnPasswordChange() {
		return reply{status: http.StatusNoContent, version: u.Version}, nil
	}
	if err := errors.Join(err, c.Revoker.RevokeUser(c.r.Context(), u.Project, u.Name, "password_changed")); err != nil {
		return reply{}, revocationFailed(err)
	}
	return reply{status: http.StatusNoContent, version: u.Version}, nil
}
