package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// Declaration is what a configuration declares. Of projects and clients, ID of projects, Active,
// Declared, Override, Version and the times are not read: what is declared is active. Of users, ID,
// Declared, Version and the times are not read. What names no project belongs to the default one.
type Declaration struct {
	// Revocation are the server's options, under those of the projects.
	Revocation project.RevocationOptions

	Projects []project.Project
	Clients  []clients.Client
	Users    []identity.User
}

// The reasons of Ended.
const (
	Undeclared      = "undeclared"
	Disabled        = "disabled"
	PasswordChanged = "password_changed"
	TakenOver       = "taken_over"
	AdminGranted    = "admin_granted"
	ClaimsChanged   = "claims_changed"
	AdminRevoked    = "admin_revoked"
)

// Ended is something whose sessions and tokens a new configuration ended.
type Ended struct {
	// Kind is revocation.ProjectKind, revocation.ClientKind or revocation.UserKind.
	Kind revocation.Kind

	// Project is the slug; ID is the client's id or the user's name, empty for a project.
	Project, ID string

	// Reason is Undeclared, TakenOver or ClaimsChanged, or of users also Disabled, PasswordChanged,
	// AdminGranted or AdminRevoked.
	Reason string
}

// TokensOnly reports whether the access tokens ended and the sessions go on: their next renewal
// makes tokens that say what is true now.
func (e Ended) TokensOnly() bool { return e.Reason == ClaimsChanged || e.Reason == AdminRevoked }

// Reconcile makes the store hold what the configuration declares, in one transaction, and makes the
// project `default` if there is none yet. With nothing new it writes nothing.
//
// What is declared for the first time is added. Where it stands in the store already, because the
// API made it or because it was declared once, the declaration takes it over: whoever had something
// of it before is not whom the declaration means, so everything that was issued before ends,
// whatever the project says. So does what was issued to a user who becomes an administrator. What
// is declared already is changed where it differs; lifetimes set through the API stay over the
// declared ones. What is no longer declared stays in the store but is inactive: projects and
// clients are paused, users disabled, the declared lifetimes forgotten; the API may remove it, or
// bring it back as its own. The default project is never paused.
//
// The sessions and tokens of what can do nothing any more, and of users with another password
// (unless the project or the server says otherwise), and the access tokens of users and clients
// with other claims are ended in the same transaction, and named in the result; the nodes learn of
// it as of every order (Store.Wake, Denials).
//
// Every change is an entry of the audit trail, with the actor "configuration". Nodes on one store
// must declare the same: each undoes what the other declares alone.
func (s *Store) Reconcile(ctx context.Context, d Declaration, now time.Time) ([]Ended, error) {
	return s.reconcile(ctx, d, now, nil)
}

// errTried undoes the transaction of CheckDeclaration.
var errTried = errors.New("tried")

// CheckDeclaration returns the error that Reconcile would, and changes nothing.
func (s *Store) CheckDeclaration(ctx context.Context, d Declaration, now time.Time) error {
	if _, err := s.reconcile(ctx, d, now, errTried); !errors.Is(err, errTried) {
		return err
	}
	return nil
}

// reconcile ends its transaction with an error of the caller; nil commits it.
func (s *Store) reconcile(ctx context.Context, d Declaration, now time.Time, end error) ([]Ended, error) {
	r := reconciler{ctx: ctx, now: instant(millis(now)), revocation: d.Revocation}
	err := s.write(ctx, func(t tx) error {
		// The lock of this row makes other nodes that start wait until the transaction ends.
		if _, err := t.exec(`UPDATE meta SET value = value WHERE name = 'schema'`); err != nil {
			return err
		}
		r.tx, r.ended = t, nil
		if err := r.projects(d.Projects); err != nil {
			return err
		}
		if err := r.clients(d.Clients); err != nil {
			return err
		}
		if err := r.users(d.Users); err != nil {
			return err
		}
		return errors.Join(r.revoke(), end)
	})
	if err != nil {
		return nil, err
	}
	return r.ended, nil
}

// reconciler is one run of Reconcile.
type reconciler struct {
	ctx   context.Context
	tx    tx
	now   time.Time
	ended []Ended

	revocation project.RevocationOptions // the server's
}

func (r *reconciler) end(kind revocation.Kind, slug, id, reason string) {
	r.ended = append(r.ended, Ended{Kind: kind, Project: slug, ID: id, Reason: reason})
}

// revoke revokes everything that was ended: first all grants, then all
// denials, as the order of the locks demands (grants.go).
func (r *reconciler) revoke() error {
	denials := make([]revocation.Denial, len(r.ended))
	for i, e := range r.ended {
		epoch, err := nextNumber(r.ctx, r.tx, "epoch", r.now)
		if err != nil {
			return err
		}
		if e.TokensOnly() {
			err = keepGrants(r.tx, e.Kind, e.Project, e.ID, epoch)
		} else {
			_, err = r.tx.exec(`UPDATE grants SET `+revoke+` WHERE revoked = 0 AND `+owned[e.Kind], millis(r.now),
				e.Reason, e.Project, e.ID)
			if err == nil {
				err = addNoticesOfAll(r.tx, e.Kind, e.Project, e.ID, e.Reason, r.now)
			}
		}
		if err != nil {
			return err
		}
		denials[i] = revocation.Denial{
			Kind:  e.Kind,
			Scope: e.Project,
			ID:    e.ID,
			Epoch: epoch,
			Until: r.now.Add(revocation.LongestAccess + revocation.Margin),
		}
	}
	for _, d := range denials {
		if _, err := deny(r.ctx, r.tx, d, r.now); err != nil {
			return err
		}
	}
	return nil
}

func (r *reconciler) note(action, target, name, slug, detail string) error {
	return insertEntry(r.tx, audit.Entry{
		At:         r.now,
		Actor:      "configuration",
		Action:     action,
		Target:     target,
		TargetName: name,
		Project:    slug,
		Result:     "success",
		Detail:     detail,
	})
}

func (r *reconciler) projects(declared []project.Project) error {
	for _, p := range declared {
		p.Declared = true
		if err := r.project(p); err != nil {
			return fmt.Errorf("project %q: %w", p.Slug, err)
		}
	}
	standing, err := eachRow(r.ctx, r.tx, scanProject,
		`SELECT `+projectColumns+` FROM project WHERE declared = 1 ORDER BY slug`)
	if err != nil {
		return err
	}
	for _, p := range standing {
		if slices.ContainsFunc(declared, func(d project.Project) bool { return d.Slug == p.Slug }) {
			continue
		}
		if err := r.forgetProject(p); err != nil {
			return err
		}
	}
	return r.defaultProject()
}

// project adds a declared project, or updates the existing one.
func (r *reconciler) project(p project.Project) error {
	standing, err := findProject(r.ctx, r.tx, p.Slug)
	p.Active = true
	if errors.Is(err, project.ErrNoProject) {
		p.ID, p.Override, p.Created = project.NewID(), project.Lifetimes{}, r.now
		return errors.Join(insertProject(r.tx, p), r.note("project.declare", p.ID, p.Slug, p.Slug, "added"))
	}
	if err != nil {
		return err
	}
	p.ID, p.Override, p.Version, p.Created = standing.ID, standing.Override, standing.Version, standing.Created
	if slices.Equal(projectRow(p), projectRow(standing)) {
		return nil
	}
	takenOver := !standing.Declared && p.Slug != project.Default
	if takenOver {
		r.end(revocation.ProjectKind, p.Slug, "", TakenOver)
	}
	if _, err := updateProject(r.tx, p, r.now); err != nil {
		return err
	}
	if takenOver { // behind the lock of the project's row, which whoever makes a token holds
		if err := r.endAPITokens(p); err != nil {
			return err
		}
	}
	return r.note("project.declare", p.ID, p.Slug, p.Slug, "changed")
}

// endAPITokens revokes the API tokens that are bound to a project: whoever had the project before
// could make users in it with them.
func (r *reconciler) endAPITokens(p project.Project) error {
	n, err := r.tx.exec(`UPDATE api_token SET revoked = $1 WHERE project = $2 AND revoked = 0`, millis(r.now), p.Slug)
	if err != nil || n == 0 {
		return err
	}
	return r.note("api_token.revoke", p.ID, p.Slug, p.Slug, fmt.Sprint(TakenOver, ": ", n))
}

// forgetProject pauses a project that is no longer declared. The default project stays active
// without its declared settings.
func (r *reconciler) forgetProject(p project.Project) error {
	p.Declared, p.Lifetimes = false, project.Lifetimes{}
	if p.Slug == project.Default {
		p = project.Project{
			ID:       p.ID,
			Slug:     p.Slug,
			Active:   true,
			Override: p.Override,
			Version:  p.Version,
			Created:  p.Created,
		}
	} else {
		p.Active = false
		r.end(revocation.ProjectKind, p.Slug, "", Undeclared)
	}
	if _, err := updateProject(r.tx, p, r.now); err != nil {
		return err
	}
	return r.note("project.undeclare", p.ID, p.Slug, p.Slug, "")
}

func (r *reconciler) defaultProject() error {
	_, err := findProject(r.ctx, r.tx, project.Default)
	if !errors.Is(err, project.ErrNoProject) {
		return err
	}
	p := project.Project{ID: project.NewID(), Slug: project.Default, Active: true, Created: r.now}
	return errors.Join(insertProject(r.tx, p), r.note("project.declare", p.ID, p.Slug, p.Slug, "added"))
}

func (r *reconciler) clients(declared []clients.Client) error {
	for _, c := range declared {
		c.Declared, c.Active = true, true
		if c.Project == "" {
			c.Project = project.Default
		}
		if err := r.client(c); err != nil {
			return fmt.Errorf("client %q: %w", c.ID, err)
		}
	}
	standing, err := eachRow(r.ctx, r.tx, scanClient,
		`SELECT `+clientColumns+` FROM client WHERE declared = 1 ORDER BY id`)
	if err != nil {
		return err
	}
	for _, c := range standing {
		if slices.ContainsFunc(declared, func(d clients.Client) bool { return d.ID == c.ID }) {
			continue
		}
		c.Declared, c.Active, c.Lifetimes = false, false, project.Lifetimes{}
		r.end(revocation.ClientKind, c.Project, c.ID, Undeclared)
		if _, err := updateClient(r.tx, c, r.now); err != nil {
			return err
		}
		if err := r.note("client.undeclare", c.ID, c.ID, c.Project, ""); err != nil {
			return err
		}
	}
	return nil
}

// client adds a declared client, or updates the existing one. A client that moves to another
// project counts as new.
func (r *reconciler) client(c clients.Client) error {
	standing, err := findClient(r.ctx, r.tx, c.ID)
	if err == nil && standing.Project != c.Project {
		r.end(revocation.ClientKind, standing.Project, c.ID, Undeclared)
		if _, err := r.tx.exec(`DELETE FROM client WHERE id = $1`, c.ID); err != nil {
			return err
		}
		if err := forgetConsents(r.tx, c.ID); err != nil {
			return err
		}
		err = clients.ErrNotFound
	}
	if errors.Is(err, clients.ErrNotFound) {
		c.Override, c.Created = project.Lifetimes{}, r.now
		return errors.Join(insertClient(r.tx, c), r.note("client.declare", c.ID, c.ID, c.Project, "added"))
	}
	if err != nil {
		return err
	}
	c.Override, c.Version, c.Created = standing.Override, standing.Version, standing.Created
	before, errBefore := clientRow(standing)
	after, errAfter := clientRow(c)
	if err := errors.Join(errBefore, errAfter); err != nil || slices.Equal(before, after) {
		return err
	}
	switch {
	case !standing.Declared:
		r.end(revocation.ClientKind, c.Project, c.ID, TakenOver)
	case !sameClaims(standing.Claims, c.Claims):
		r.end(revocation.ClientKind, c.Project, c.ID, ClaimsChanged)
	}
	if _, err := updateClient(r.tx, c, r.now); err != nil {
		return err
	}
	return r.note("client.declare", c.ID, c.ID, c.Project, "changed")
}

func (r *reconciler) users(declared []identity.User) error {
	kept := make(map[string]bool, len(declared))
	for _, u := range declared {
		u.Declared = true
		if u.Project == "" {
			u.Project = project.Default
		}
		id, err := r.user(u)
		if err != nil {
			return fmt.Errorf("user %q: %w", u.Name, err)
		}
		kept[id] = true
	}
	standing, err := eachRow(r.ctx, r.tx, scanUser,
		`SELECT `+userColumns+` FROM account WHERE declared = 1 ORDER BY project, canonical`)
	if err != nil {
		return err
	}
	for _, u := range standing {
		if kept[u.ID] {
			continue
		}
		u.Declared, u.Admin, u.Disabled = false, false, true
		r.end(revocation.UserKind, u.Project, u.Name, Undeclared)
		if _, err := updateUser(r.tx, *u, r.now); err != nil {
			return err
		}
		if err := r.note("user.undeclare", u.ID, u.Name, u.Project, ""); err != nil {
			return err
		}
	}
	return nil
}

// user adds a declared user, or updates the existing one, and returns the id.
func (r *reconciler) user(u identity.User) (id string, err error) {
	standing, err := findUserByName(r.ctx, r.tx, u.Project, u.Name)
	if errors.Is(err, identity.ErrNoUser) {
		u.ID, u.Created = project.NewID(), r.now
		if u.PasswordHash != "" {
			u.PasswordChanged = r.now
		}
		if u.Admin {
			r.end(revocation.UserKind, u.Project, u.Name, AdminGranted) // a user of that name may have been removed
		}
		return u.ID, errors.Join(insertUser(r.tx, u), r.note("user.declare", u.ID, u.Name, u.Project, "added"))
	}
	if err != nil {
		return "", err
	}
	u.ID, u.Version = standing.ID, standing.Version
	u.Created, u.PasswordChanged = standing.Created, standing.PasswordChanged
	if u.PasswordHash != standing.PasswordHash {
		u.PasswordChanged = r.now
	}
	before, errBefore := userRow(*standing)
	after, errAfter := userRow(u)
	if err := errors.Join(errBefore, errAfter); err != nil || slices.Equal(before, after) {
		return u.ID, err
	}
	if err := r.endUser(*standing, u); err != nil {
		return "", err
	}
	if _, err := updateUser(r.tx, u, r.now); err != nil {
		return "", err
	}
	return u.ID, r.note("user.declare", u.ID, u.Name, u.Project, "changed")
}

// endUser notes that a user's sessions end if the change requires it. A name in another spelling is
// another subject.
func (r *reconciler) endUser(before, after identity.User) error {
	if before.Name != after.Name {
		r.end(revocation.UserKind, before.Project, before.Name, Undeclared)
	}
	reason, err := r.endOf(before, after)
	if reason != "" {
		r.end(revocation.UserKind, after.Project, after.Name, reason)
	}
	return err
}

// endOf returns why what was issued to a user ends, or nothing if it stays valid. The reason that
// ends most comes first.
func (r *reconciler) endOf(before, after identity.User) (reason string, err error) {
	switch {
	case !before.Declared:
		return TakenOver, nil
	case after.Admin && (!before.Admin || before.Name != after.Name):
		return AdminGranted, nil
	case before.Name != after.Name:
		return "", nil // nothing was issued to the new spelling
	case after.Disabled && !before.Disabled:
		return Disabled, nil
	}
	if after.PasswordHash != before.PasswordHash {
		p, err := findProject(r.ctx, r.tx, after.Project)
		if err != nil || p.RevocationOptions.Over(r.revocation).OnPasswordChange() {
			return PasswordChanged, err
		}
	}
	switch {
	case before.Admin && !after.Admin:
		return AdminRevoked, nil
	case !sameClaims(before.Claims, after.Claims):
		return ClaimsChanged, nil
	}
	return "", nil
}
