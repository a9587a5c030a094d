package manage

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// Operator is what only the operator of the server may ask for. A Server that has one answers the
// routes of sessions, test tokens and signing keys as well: it must be mounted where only the
// operator has access.
type Operator interface {
	// ListSessions returns the chosen sessions in the order of their ids.
	ListSessions(ctx context.Context, f session.Filter) ([]session.Grant, error)

	// EndSession ends one session and denies its access tokens. One which has ended is no error.
	EndSession(ctx context.Context, id, reason string) error

	// EndSessions carries out a revocation and returns how many sessions it ended.
	EndSessions(ctx context.Context, o revocation.Revocation) (int, error)

	// MintToken makes an access token without a session and returns it with its id (`jti`).
	// ErrMayNotIssue.
	MintToken(ctx context.Context, m Mint, now time.Time) (token, id string, err error)

	// Keys returns the signing keys, oldest first.
	Keys(ctx context.Context) ([]Key, error)

	// RotateKeys announces the successor of the active key. ErrKeysConfigured.
	RotateKeys(ctx context.Context) error

	// RevokeKey revokes a key at once: tokens that it has signed are refused. Errors: ErrNoKey,
	// ErrKeysConfigured.
	RevokeKey(ctx context.Context, id string) error
}

// What an Operator answers when something cannot be done.
var (
	// ErrMayNotIssue says that nothing is issued to this user: they are disabled, or their project
	// is paused.
	ErrMayNotIssue = errors.New("nothing is issued to the user")

	// ErrNoKey says that no key has that id.
	ErrNoKey = errors.New("no such key")

	// ErrKeysConfigured says that the keys stand in the configuration and are changed there.
	ErrKeysConfigured = errors.New("the keys are configured")
)

// Mint is an access token to be made.
type Mint struct {
	// User is whom it is for.
	User *identity.User

	// ClientID is the client it is issued to, in that client's format and with its claims. Default:
	// the server's own login routes.
	ClientID string

	// Audience are the words it is for.
	Audience []string

	// Lifetime is how long it is good.
	Lifetime time.Duration
}

// Key is a signing key as people see it.
type Key struct {
	// ID is the `kid`, Algorithm the `alg`.
	ID, Algorithm string

	// Purpose is what the key signs: "access_token", or "id_token" alone.
	Purpose string

	// State is "announced", "active" or "retiring"; for keys of the configuration "active" or
	// "verifying".
	State string

	// Created is when the key was made, Since when the state began, Until when the next one begins.
	// Zero: unknown, or not planned.
	Created, Since, Until time.Time
}

// operatorRoutes are served where there is an Operator.
var operatorRoutes = endpoint.Routes[operation]{
	route(http.MethodGet, "/api/server", apitoken.Admin, "server.read", (*call).getServer),

	route(http.MethodGet, "/api/sessions", apitoken.Admin, "session.list", (*call).listSessions),
	route(http.MethodDelete, "/api/sessions/{id}", apitoken.Admin, "session.revoke", (*call).revokeSession),
	route(http.MethodPost, "/api/sessions/revoke", apitoken.Admin, "session.revoke", (*call).revokeSessions),

	route(http.MethodPost, "/api/mint", apitoken.Admin, "token.mint", (*call).mintToken),

	route(http.MethodGet, "/api/keys", apitoken.Admin, "key.list", (*call).listKeys),
	route(http.MethodPost, "/api/keys/rotate", apitoken.Admin, "key.rotate", (*call).rotateKeys),
	route(http.MethodDelete, "/api/keys/{id}", apitoken.Admin, "key.revoke", (*call).revokeKey),
}

// serverBody is what the settings of an application ask for of the server.
type serverBody struct {
	Issuer    string `json:"issuer"`
	PublicURL string `json:"public_url"`
	Discovery string `json:"discovery_url"`
}

func (c *call) getServer() (reply, error) {
	base := cmp.Or(c.PublicURL, c.Base).String()
	return reply{status: http.StatusOK, body: serverBody{
		Issuer:    cmp.Or(c.Issuer, base),
		PublicURL: base,
		Discovery: base + "/.well-known/openid-configuration",
	}}, nil
}

// sessionBody is a session as the API has it.
type sessionBody struct {
	ID         string   `json:"id"`
	Project    string   `json:"project"`
	User       string   `json:"user"`
	ClientID   string   `json:"client_id"`
	Kind       string   `json:"kind"`
	Audience   []string `json:"audience"`
	Scopes     []string `json:"scopes"`
	Device     string   `json:"device"`
	ClientIP   string   `json:"client_ip"`
	Active     bool     `json:"active"`
	Created    *string  `json:"created_at"`
	LastUsed   *string  `json:"last_used_at"`
	IdleEnds   *string  `json:"idle_ends_at"`
	Ends       *string  `json:"ends_at"`
	Revoked    *string  `json:"revoked_at"`
	RevokedFor string   `json:"revoked_for"`
}

func (c *call) showSession(g session.Grant) sessionBody {
	return sessionBody{
		ID:       g.ID,
		Project:  g.Project,
		User:     g.Subject,
		ClientID: g.ClientID,
		Kind:     g.Kind,
		Audience: nonNil(g.Audience),
		Scopes:   nonNil(g.Scopes),
		Device:   g.Device,
		ClientIP: g.ClientIP,
		Active:   g.Revoked.IsZero() && c.now.Before(g.IdleEnds) && c.now.Before(g.Ends),
		Created: rfc3339(
			g.Created,
		),
		LastUsed:   rfc3339(g.LastUsed),
		IdleEnds:   rfc3339(g.IdleEnds),
		Ends:       rfc3339(g.Ends),
		Revoked:    rfc3339(g.Revoked),
		RevokedFor: g.RevokedFor,
	}
}

func (c *call) listSessions() (reply, error) {
	q, err := c.query("project", "user", "client", "kind", "ended")
	if err != nil {
		return reply{}, err
	}
	slug, err := c.projectFilter(q)
	if err != nil {
		return reply{}, err
	}
	f := session.Filter{
		Project:  slug,
		ClientID: q.values.Get("client"),
		Kind:     q.values.Get("kind"),
		LiveAt:   c.now,
		After:    q.after,
		Limit:    q.limit + 1,
	}
	if f.Subject, err = c.subject(slug, q.values.Get("user")); err != nil {
		return reply{}, err
	}
	switch ended := q.values.Get("ended"); ended {
	case "", "false":
	case "true":
		f.LiveAt = time.Time{}
	default:
		return reply{}, invalid("ended: %.20q is neither true nor false", ended)
	}
	found, err := c.Operator.ListSessions(c.r.Context(), f)
	if err != nil {
		return reply{}, err
	}
	return listOf(found, q.limit, c.showSession, func(g session.Grant) string { return g.ID }), nil
}

// subject is a user's name as in tokens; for a user who no longer exists, the given name.
func (c *call) subject(slug, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	u, err := c.userNamed(slug, name)
	if errors.Is(err, identity.ErrNoUser) {
		return name, nil
	}
	if err != nil {
		return "", err
	}
	return u.Name, nil
}

// userNamed finds a user by the name they sign in with, in the default project when none is given.
func (c *call) userNamed(slug, name string) (*identity.User, error) {
	canonical, err := identity.CanonicalName(name)
	if err != nil {
		return nil, identity.ErrNoUser
	}
	return c.Users.FindUser(c.r.Context(), cmp.Or(slug, c.caller.Project, project.Default), canonical)
}

func (c *call) revokeSession() (reply, error) {
	found, err := c.Operator.ListSessions(c.r.Context(), session.Filter{ID: c.id, Limit: 1})
	if err != nil {
		return reply{}, err
	}
	if len(found) == 0 {
		return reply{}, noSession()
	}
	c.setTarget(found[0].ID, found[0].Subject, found[0].Project)
	if !c.caller.canSee(found[0].Project) {
		return reply{}, noSession()
	}
	return reply{status: http.StatusNoContent}, c.Operator.EndSession(c.r.Context(), c.id, "operator")
}

func noSession() error { return refuse(http.StatusNotFound, "not_found", "there is no such session") }

// revokeSessions ends everything of a user, a client or a project, and denies the access tokens
// issued before.
func (c *call) revokeSessions() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	var slug, user, client string
	o.text("project", &slug)
	o.text("user", &user)
	o.text("client", &client)
	if err := o.done(); err != nil {
		return reply{}, err
	}
	order, err := c.revocationFor(slug, user, client)
	if err != nil {
		return reply{}, err
	}
	n, err := c.Operator.EndSessions(c.r.Context(), order)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: map[string]int{"sessions": n}}, nil
}

func (c *call) revocationFor(slug, user, client string) (revocation.Revocation, error) {
	switch {
	case user != "" && client != "":
		return revocation.Revocation{}, invalid("user, client: only one of them can be given")
	case client != "":
		found, err := c.client(client)
		return revocation.Revocation{
			Kind:    revocation.ClientKind,
			Project: found.Project,
			ID:      found.ID,
			Reason:  "operator",
		}, err
	case user == "" && slug == "":
		return revocation.Revocation{}, invalid("project: it is required where neither user nor client is given")
	}
	p, err := c.project(cmp.Or(slug, project.Default))
	if err != nil || user == "" {
		return revocation.Revocation{Kind: revocation.ProjectKind, Project: p.Slug, Reason: "operator"}, err
	}
	u, err := c.userNamed(p.Slug, user)
	if err != nil {
		return revocation.Revocation{}, err
	}
	c.setTarget(u.ID, u.Name, u.Project)
	return revocation.Revocation{Kind: revocation.UserKind, Project: u.Project, ID: u.Name, Reason: "operator"}, nil
}

// The lifetimes of tokens that an operator has made for a test.
const (
	defaultMint = 5 * time.Minute
	longestMint = time.Hour
)

// mintBody is a new token. It is answered once and not stored.
type mintBody struct {
	Token     string   `json:"access_token"`
	ID        string   `json:"token_id"`
	Project   string   `json:"project"`
	User      string   `json:"user"`
	ClientID  string   `json:"client_id,omitempty"`
	Audience  []string `json:"audience"`
	ExpiresIn int64    `json:"expires_in"`
	Expires   *string  `json:"expires_at"`
}

func (c *call) mintToken() (reply, error) {
	o, err := c.body()
	if err != nil {
		return reply{}, err
	}
	var name, slug, client string
	o.text("project", &slug)
	o.text("client", &client)
	m, p, err := c.mintFor(slug, client)
	if err != nil {
		return reply{}, err
	}
	o.required("user", &name)
	o.allowed("audience", &m.Audience, c.audiencesOf(p))
	o.seconds("expires_in", &m.Lifetime, time.Minute, longestMint)
	if len(m.Audience) == 0 {
		o.fail(invalid("audience: it must not be empty"))
	}
	if err := o.done(); err != nil {
		return reply{}, err
	}
	if m.User, err = c.userNamed(p.Slug, name); err != nil {
		return reply{}, err
	}
	c.setTarget(m.User.ID, m.User.Name, m.User.Project)
	m.Lifetime = cmp.Or(m.Lifetime, defaultMint)
	return c.minted(m)
}

// mintFor returns a test token with the defaults of its client: audience and project.
func (c *call) mintFor(slug, clientID string) (Mint, project.Project, error) {
	m := Mint{ClientID: clientID, Audience: []string{"api"}}
	if clientID == "" {
		p, err := c.project(cmp.Or(slug, project.Default))
		return m, p, err
	}
	client, err := c.client(clientID)
	if err != nil {
		return m, project.Project{}, err
	}
	p, err := c.project(cmp.Or(slug, client.Project))
	if err == nil && p.Slug != client.Project {
		err = invalid("client: %.128q is not of the project %q", clientID, p.Slug)
	}
	if len(client.Audience) > 0 {
		m.Audience = client.Audience
	}
	return m, p, err
}

func (c *call) audiencesOf(p project.Project) []string {
	if len(p.Audiences) > 0 {
		return p.Audiences
	}
	return c.audiences()
}

func (c *call) minted(m Mint) (reply, error) {
	token, id, err := c.Operator.MintToken(c.r.Context(), m, c.now)
	if err != nil {
		return reply{}, err
	}
	of := ""
	if m.ClientID != "" {
		of = " of client " + m.ClientID
	}
	c.detail = "token " + id + of + " for " + strings.Join(
		m.Audience,
		" ",
	) + " until " + *rfc3339(c.now.Add(m.Lifetime))
	return reply{status: http.StatusCreated, body: mintBody{
		Token: token, ID: id, Project: m.User.Project, User: m.User.Name, ClientID: m.ClientID, Audience: m.Audience,
		ExpiresIn: int64(m.Lifetime / time.Second), Expires: rfc3339(c.now.Add(m.Lifetime)),
	}}, nil
}

// keyBody is a signing key as the API has it.
type keyBody struct {
	ID        string  `json:"id"`
	Algorithm string  `json:"algorithm"`
	Purpose   string  `json:"purpose"`
	State     string  `json:"state"`
	Created   *string `json:"created_at"`
	Since     *string `json:"since"`
	Until     *string `json:"until"`
}

func (c *call) listKeys() (reply, error) {
	if _, err := c.query(); err != nil {
		return reply{}, err
	}
	keys, err := c.Operator.Keys(c.r.Context())
	if err != nil {
		return reply{}, err
	}
	return listOf(keys, len(keys), func(k Key) keyBody {
		return keyBody{k.ID, k.Algorithm, k.Purpose, k.State, rfc3339(k.Created), rfc3339(k.Since), rfc3339(k.Until)}
	}, nil), nil
}

func (c *call) rotateKeys() (reply, error) {
	if err := c.Operator.RotateKeys(c.r.Context()); err != nil {
		return reply{}, err
	}
	return c.listKeys()
}

func (c *call) revokeKey() (reply, error) {
	keys, err := c.Operator.Keys(c.r.Context())
	if err != nil {
		return reply{}, err
	}
	if !slices.ContainsFunc(keys, func(k Key) bool { return k.ID == c.id }) {
		return reply{}, ErrNoKey
	}
	c.setTarget(c.id, "", "")
	return reply{status: http.StatusNoContent}, c.Operator.RevokeKey(c.r.Context(), c.id)
}
