package manage

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// memory keeps everything in memory, as the contracts of the stores say, and records what was
// revoked.
type memory struct {
	mu       sync.Mutex
	projects map[string]project.Project // by slug
	clients  map[string]clients.Client
	users    map[string]identity.User // by id
	tokens   map[string]apitoken.Token
	consents []consent.Consent
	entries  []audit.Entry
	revoked  []string

	err       error  // of every verb
	revokeErr error  // of the revoker
	meanwhile func() // runs once before a change is stored
}

func newMemory() *memory {
	return &memory{
		projects: map[string]project.Project{
			"default": {ID: project.NewID(), Slug: "default", Active: true, Version: 1, Created: time.Now()},
		},
		clients: map[string]clients.Client{}, users: map[string]identity.User{}, tokens: map[string]apitoken.Token{},
	}
}

// lock begins a verb.
func (m *memory) lock() (unlock func(), err error) {
	m.mu.Lock()
	return m.mu.Unlock, m.err
}

// overtake lets somebody else be faster, once.
func (m *memory) overtake() {
	m.mu.Lock()
	f := m.meanwhile
	m.meanwhile = nil
	m.mu.Unlock()
	if f != nil {
		f()
	}
}

func (m *memory) AddProject(_ context.Context, p project.Project) error {
	unlock, err := m.lock()
	defer unlock()
	if _, taken := m.projects[p.Slug]; taken && err == nil {
		return project.ErrTaken
	}
	m.projects[p.Slug] = p
	return err
}

func (m *memory) FindProject(_ context.Context, id string) (project.Project, error) {
	unlock, err := m.lock()
	defer unlock()
	for _, p := range m.projects {
		if err == nil && (p.ID == id || p.Slug == id) {
			return p, nil
		}
	}
	return project.Project{}, cmp.Or(err, project.ErrNoProject)
}

func (m *memory) ListProjects(_ context.Context, page project.Page) ([]project.Project, error) {
	unlock, err := m.lock()
	defer unlock()
	return part(maps.Values(m.projects), page, func(p project.Project) string { return p.Slug }), err
}

// part is a page of what has a name.
func part[T any](all func(func(T) bool), page project.Page, name func(T) string) []T {
	var list []T
	for element := range all {
		if name(element) > page.After {
			list = append(list, element)
		}
	}
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	return list[:min(len(list), page.Limit)]
}

func (m *memory) ChangeProject(_ context.Context, p project.Project, now time.Time) (project.Project, error) {
	m.overtake()
	unlock, err := m.lock()
	defer unlock()
	standing, found := m.projects[p.Slug]
	switch {
	case err != nil:
		return p, err
	case !found:
		return p, project.ErrNoProject
	case standing.Version != p.Version:
		return p, project.ErrChanged
	case p.Slug == "default" && !p.Active:
		return p, project.ErrIsDefault
	}
	p.Version, p.Changed = p.Version+1, now
	m.projects[p.Slug] = p
	return p, nil
}

func (m *memory) RemoveProject(_ context.Context, id string, version int64) error {
	unlock, err := m.lock()
	defer unlock()
	for slug, p := range m.projects {
		if p.ID == id && p.Version == version {
			delete(m.projects, slug)
			return err
		}
	}
	return cmp.Or(err, project.ErrChanged)
}

func (m *memory) AddClient(_ context.Context, c clients.Client) error {
	unlock, err := m.lock()
	defer unlock()
	if _, taken := m.clients[c.ID]; taken && err == nil {
		return project.ErrTaken
	}
	m.clients[c.ID] = c
	return err
}

func (m *memory) FindClient(_ context.Context, id string) (clients.Client, error) {
	unlock, err := m.lock()
	defer unlock()
	c, found := m.clients[id]
	if !found {
		return c, cmp.Or(err, clients.ErrNotFound)
	}
	return c, err
}

func (m *memory) ListClients(_ context.Context, slug string, page project.Page) ([]clients.Client, error) {
	unlock, err := m.lock()
	defer unlock()
	of := maps.Clone(m.clients)
	maps.DeleteFunc(of, func(_ string, c clients.Client) bool { return slug != "" && c.Project != slug })
	return part(maps.Values(of), page, func(c clients.Client) string { return c.ID }), err
}

func (m *memory) ChangeClient(_ context.Context, c clients.Client, now time.Time) (clients.Client, error) {
	m.overtake()
	unlock, err := m.lock()
	defer unlock()
	standing, found := m.clients[c.ID]
	switch {
	case err != nil:
		return c, err
	case !found:
		return c, clients.ErrNotFound
	case standing.Version != c.Version:
		return c, project.ErrChanged
	}
	c.Version, c.Changed = c.Version+1, now
	m.clients[c.ID] = c
	return c, nil
}

func (m *memory) RemoveClient(_ context.Context, id string, version int64) error {
	unlock, err := m.lock()
	defer unlock()
	if m.clients[id].Version != version {
		return cmp.Or(err, project.ErrChanged)
	}
	delete(m.clients, id)
	return err
}

func (m *memory) AddUser(_ context.Context, u identity.User) error {
	unlock, err := m.lock()
	defer unlock()
	for _, other := range m.users {
		if err == nil && userKey(other) == userKey(u) {
			return identity.ErrNameTaken
		}
	}
	m.users[u.ID] = u
	return err
}

func (m *memory) FindUser(_ context.Context, slug, name string) (*identity.User, error) {
	unlock, err := m.lock()
	defer unlock()
	for _, u := range m.users {
		if err == nil && userKey(u) == slug+"\x00"+name {
			return &u, nil
		}
	}
	return nil, cmp.Or(err, identity.ErrNoUser)
}

func (m *memory) FindUserByID(_ context.Context, id string) (*identity.User, error) {
	unlock, err := m.lock()
	defer unlock()
	u, found := m.users[id]
	if !found || err != nil {
		return nil, cmp.Or(err, identity.ErrNoUser)
	}
	return &u, nil
}

func (m *memory) ListUsers(_ context.Context, page identity.UserPage) ([]identity.User, error) {
	unlock, err := m.lock()
	defer unlock()
	of := maps.Clone(m.users)
	maps.DeleteFunc(of, func(_ string, u identity.User) bool { return page.Project != "" && u.Project != page.Project })
	after := ""
	if page.AfterProject != "" {
		after = page.AfterProject + "\x00" + page.AfterName
	}
	return part(maps.Values(of), project.Page{After: after, Limit: page.Limit}, userKey), err
}

func (m *memory) ChangeUser(_ context.Context, u identity.User, now time.Time) (*identity.User, error) {
	return m.editUser(u.ID, u.Version, now,
		func(standing *identity.User) { standing.Disabled, standing.Claims = u.Disabled, u.Claims })
}

func (m *memory) SetPassword(_ context.Context, id string, version int64, hash string,
	now time.Time) (*identity.User, error) {
	return m.editUser(id, version, now,
		func(standing *identity.User) { standing.PasswordHash, standing.PasswordChanged = hash, now })
}

func (m *memory) editUser(id string, version int64, now time.Time, edit func(*identity.User)) (*identity.User, error) {
	m.overtake()
	unlock, err := m.lock()
	defer unlock()
	u, found := m.users[id]
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, identity.ErrNoUser
	case u.Version != version:
		return nil, identity.ErrUserChanged
	}
	edit(&u)
	u.Version, u.Changed = u.Version+1, now
	m.users[id] = u
	return &u, nil
}

func (m *memory) RemoveUser(_ context.Context, id string, version int64) error {
	unlock, err := m.lock()
	defer unlock()
	if m.users[id].Version != version {
		return cmp.Or(err, identity.ErrUserChanged)
	}
	delete(m.users, id)
	return err
}

func (m *memory) AddAPIToken(_ context.Context, t apitoken.Token) error {
	unlock, err := m.lock()
	defer unlock()
	m.tokens[t.ID] = t
	return err
}

func (m *memory) UseAPIToken(_ context.Context, hash string, now time.Time) (apitoken.Token, error) {
	unlock, err := m.lock()
	defer unlock()
	for _, t := range m.tokens {
		if err == nil && t.Hash == hash {
			t.LastUsed = now
			m.tokens[t.ID] = t
			return t, nil
		}
	}
	return apitoken.Token{}, cmp.Or(err, apitoken.ErrNotFound)
}

func (m *memory) FindAPIToken(_ context.Context, id string) (apitoken.Token, error) {
	unlock, err := m.lock()
	defer unlock()
	t, found := m.tokens[id]
	if !found {
		return t, cmp.Or(err, apitoken.ErrNotFound)
	}
	return t, err
}

func (m *memory) ListConsents(_ context.Context, f consent.Filter) (found []consent.Consent, err error) {
	unlock, err := m.lock()
	defer unlock()
	for _, c := range m.consents {
		if (f.ID == "" || c.ID == f.ID) && (f.Project == "" || c.Project == f.Project) && c.ID > f.After &&
			(f.UserID == "" || c.UserID == f.UserID) && (f.ClientID == "" || c.ClientID == f.ClientID) &&
			len(found) < f.Limit {
			found = append(found, c)
		}
	}
	return found, err
}

func (m *memory) Withdraw(_ context.Context, id string, _ time.Time) error {
	unlock, err := m.lock()
	defer unlock()
	before := len(m.consents)
	m.consents = slices.DeleteFunc(m.consents, func(c consent.Consent) bool { return c.ID == id })
	if err == nil && len(m.consents) == before {
		err = consent.ErrNotFound
	}
	return err
}

func (m *memory) ListAPITokens(_ context.Context, slug string, page project.Page) ([]apitoken.Token, error) {
	unlock, err := m.lock()
	defer unlock()
	of := maps.Clone(m.tokens)
	maps.DeleteFunc(of, func(_ string, t apitoken.Token) bool { return slug != "" && t.Project != slug })
	return part(maps.Values(of), page, func(t apitoken.Token) string { return t.ID }), err
}

func (m *memory) RevokeAPIToken(_ context.Context, id string, now time.Time) error {
	unlock, err := m.lock()
	defer unlock()
	t := m.tokens[id]
	t.Revoked = now
	m.tokens[id] = t
	return err
}

func (m *memory) DeleteAPITokens(context.Context, time.Time, int) (int, error) {
	panic("for the janitor")
}

func (m *memory) AddEntry(_ context.Context, e audit.Entry) error {
	unlock, err := m.lock()
	defer unlock()
	e.ID = audit.NewID(e.At)
	m.entries = append(m.entries, e)
	return err
}

func (m *memory) ListEntries(_ context.Context, f audit.Filter) ([]audit.Entry, error) {
	unlock, err := m.lock()
	defer unlock()
	var found []audit.Entry
	for _, e := range m.entries {
		if (f.Project == "" || f.Project == e.Project) && (f.Action == "" || f.Action == e.Action) &&
			(f.Actor == "" || f.Actor == e.Actor) &&
			(f.Target == "" || f.Target == e.Target) && (f.Result == "" || f.Result == e.Result) &&
			(f.Before == "" || e.ID < f.Before) &&
			!e.At.Before(f.Since) && (f.Until.IsZero() || e.At.Before(f.Until)) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b audit.Entry) int { return cmp.Compare(b.ID, a.ID) })
	return found[:min(len(found), f.Limit)], err
}

func (m *memory) DeleteEntries(context.Context, time.Time, int) (int, error) {
	panic("for the janitor")
}

func (m *memory) RevokeUser(_ context.Context, slug, subject, reason string) error {
	return m.revoke("user " + slug + " " + subject + " " + reason)
}

func (m *memory) RevokeClient(_ context.Context, slug, id, reason string) error {
	return m.revoke("client " + slug + " " + id + " " + reason)
}

func (m *memory) RevokeProject(_ context.Context, slug, reason string) error {
	return m.revoke("project " + slug + " " + reason)
}

func (m *memory) revoke(what string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revokeErr == nil {
		m.revoked = append(m.revoked, what)
	}
	return m.revokeErr
}
