package sqlstore

import (
	"context"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

const clientColumns = `id, project, name, secret_hash, access_token_format, fixed_refresh, reuse_interval, audience,
	scopes, claims, access, refresh, refresh_absolute, own_access, own_refresh, own_refresh_absolute, active, declared,
	version, created, changed`

const addClient = `INSERT INTO client (name, secret_hash, access_token_format, fixed_refresh, reuse_interval,
	audience, scopes, claims, access, refresh, refresh_absolute, own_access, own_refresh, own_refresh_absolute,
	active, declared, id, project, version, created, changed)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 1, $19, $19)
	ON CONFLICT (id) DO NOTHING`

const changeClient = `UPDATE client SET name = $1, secret_hash = $2, access_token_format = $3, fixed_refresh = $4,
	reuse_interval = $5, audience = $6, scopes = $7, claims = $8, access = $9, refresh = $10, refresh_absolute = $11,
	own_access = $12, own_refresh = $13, own_refresh_absolute = $14, active = $15, declared = $16,
	version = version + 1, changed = $17
	WHERE id = $18 AND version = $19`

// clientRow is what a change may set, in the order of changeClient from $1 on.
func clientRow(c clients.Client) ([]any, error) {
	claims, err := claimsText(c.Claims)
	format, fixed, reuse := tokenOptionColumns(c.TokenOptions)
	return []any{
		c.Name, c.SecretHash, format, fixed, reuse,
		listText(c.Audience), listText(c.Scopes), claims,
		c.Lifetimes.Access.Milliseconds(), idleOf(c.Lifetimes), c.Lifetimes.RefreshAbsolute.Milliseconds(),
		c.Override.Access.Milliseconds(), idleOf(c.Override), c.Override.RefreshAbsolute.Milliseconds(),
		switchOf(c.Active), switchOf(c.Declared),
	}, err
}

// clientScan is a row of clients on its way to a clients.Client.
type clientScan struct {
	clients.Client
	audience, scopes, claims           string
	lifetimes                          lifetimeRow
	tokens                             tokenRow
	active, declared, created, changed int64
}

// into are the targets of clientColumns.
func (r *clientScan) into() []any {
	ms := &r.lifetimes
	return []any{
		&r.ID, &r.Client.Project, &r.Name, &r.SecretHash, &r.tokens.format, &r.tokens.fixed, &r.tokens.reuse,
		&r.audience, &r.scopes, &r.claims, &ms[0], &ms[1], &ms[2], &ms[3], &ms[4], &ms[5], &r.active, &r.declared,
		&r.Version, &r.created, &r.changed,
	}
}

func (r *clientScan) client() (clients.Client, error) {
	c := r.Client
	c.TokenOptions, c.Active, c.Declared = r.tokens.options(), r.active > 0, r.declared > 0
	c.Lifetimes, c.Override = r.lifetimes.lifetimes()
	c.Created, c.Changed = instant(r.created), instant(r.changed)
	var err error
	if c.Audience, err = textList(r.audience); err != nil {
		return clients.Client{}, err
	}
	if c.Scopes, err = textList(r.scopes); err != nil {
		return clients.Client{}, err
	}
	c.Claims, err = textClaims(r.claims)
	return c, err
}

func scanClient(row rows) (clients.Client, error) {
	var r clientScan
	if err := row.Scan(r.into()...); err != nil {
		return clients.Client{}, failure(err)
	}
	return r.client()
}

// AddClient stores a new client; see clients.Store.
func (s *Store) AddClient(ctx context.Context, c clients.Client) error {
	return s.write(ctx, func(t tx) error { return insertClient(t, c) })
}

func insertClient(t tx, c clients.Client) error {
	row, err := clientRow(c)
	if err != nil {
		return err
	}
	found, err := holdProject(t, c.Project)
	if err == nil && !found {
		err = project.ErrNoProject
	}
	if err != nil {
		return err
	}
	n, err := t.exec(addClient, append(row, c.ID, c.Project, millis(c.Created))...)
	if err == nil && n == 0 {
		err = project.ErrTaken
	}
	return err
}

// FindClient returns the client of that id; see clients.Store.
func (s *Store) FindClient(ctx context.Context, id string) (clients.Client, error) {
	db, err := s.database()
	if err != nil {
		return clients.Client{}, err
	}
	return findClient(ctx, db, id)
}

func findClient(ctx context.Context, q querier, id string) (clients.Client, error) {
	return oneRow(ctx, q, scanClient, clients.ErrNotFound, `SELECT `+clientColumns+` FROM client WHERE id = $1`, id)
}

// ListClients returns clients by id; see clients.Store.
func (s *Store) ListClients(ctx context.Context, slug string, page project.Page) ([]clients.Client, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	return eachRow(ctx, db, scanClient, `SELECT `+clientColumns+` FROM client
		WHERE (project = $1 OR $1 = '') AND id > $2 ORDER BY id LIMIT $3`, slug, page.After, page.Limit)
}

// ChangeClient stores c over the version it was read at; see clients.Store. Access tokens with
// other claims than the new ones are denied in the same transaction.
func (s *Store) ChangeClient(ctx context.Context, c clients.Client, now time.Time) (clients.Client, error) {
	var after clients.Client
	err := s.write(ctx, func(t tx) error {
		standing, err := findClient(ctx, t, c.ID)
		if err != nil {
			return err
		}
		c.Project, c.Declared = standing.Project, standing.Declared
		c.Lifetimes, c.Created = standing.Lifetimes, standing.Created
		if after, err = updateClient(t, c, now); err != nil || sameClaims(standing.Claims, after.Claims) {
			return err
		}
		return renewTokens(ctx, t, revocation.ClientKind, after.Project, after.ID, now)
	})
	return after, err
}

// updateClient sets the row of c if it still has c's version.
func updateClient(t tx, c clients.Client, now time.Time) (clients.Client, error) {
	row, err := clientRow(c)
	if err != nil {
		return clients.Client{}, err
	}
	n, err := t.exec(changeClient, append(row, millis(now), c.ID, c.Version)...)
	if err != nil {
		return clients.Client{}, err
	}
	if n == 0 {
		return clients.Client{}, project.ErrChanged
	}
	c.Version++
	c.Changed = instant(millis(now))
	return c, nil
}

// RemoveClient removes a client; see clients.Store.
func (s *Store) RemoveClient(ctx context.Context, id string, version int64) error {
	return s.write(ctx, func(t tx) error {
		n, err := t.exec(`DELETE FROM client WHERE id = $1 AND declared = 0 AND (version = $2 OR $2 = 0)`, id, version)
		if err != nil || n > 0 {
			return err
		}
		c, err := findClient(ctx, t, id)
		switch {
		case err != nil:
			return err
		case c.Declared:
			return project.ErrDeclared
		}
		return project.ErrChanged
	})
}
