package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// clientSet is what a change may set, in the order of clientRow.
const clientSet = `name, secrets, settings, access_token_format, fixed_refresh, reuse_interval, audience, scopes,
	claims, active, declared, ` + lifetimeColumns

const clientColumns = `id, project, version, created, changed, ` + clientSet

const clientKey = clientSet + `, id, project, created, changed`

var addClient = `INSERT INTO client (` + clientKey + `, version) VALUES (` + parameters(clientKey) + `, 1)
	ON CONFLICT (id) DO NOTHING`

var changeClient = changeRow("client", clientSet)

// clientRow are the values of clientSet.
func clientRow(c clients.Client) ([]any, error) {
	claims, errClaims := claimsText(c.Claims)
	settings, errSettings := settingsText(c.Settings)
	format, fixed, reuse := tokenOptionColumns(c.TokenOptions)
	row := []any{
		c.Name, secretsText(c.Secrets), settings, format, fixed, reuse,
		listText(c.Audience), listText(c.Scopes), claims,
		switchOf(c.Active), switchOf(c.Declared),
	}
	return append(row, lifetimeValues(c.Lifetimes, c.Override)...), errors.Join(errClaims, errSettings)
}

// clientScan is a row of clients on its way to a clients.Client.
type clientScan struct {
	clients.Client
	secrets, settings                  string
	audience, scopes, claims           string
	lifetimes                          lifetimeRow
	tokens                             tokenRow
	active, declared, created, changed int64
}

// into are the targets of clientColumns.
func (r *clientScan) into() []any {
	return append([]any{
		&r.ID, &r.Client.Project, &r.Version, &r.created, &r.changed, &r.Name, &r.secrets, &r.settings,
		&r.tokens.format, &r.tokens.fixed, &r.tokens.reuse, &r.audience, &r.scopes, &r.claims, &r.active, &r.declared,
	}, r.lifetimes.into()...)
}

func (r *clientScan) client() (clients.Client, error) {
	c := r.Client
	c.TokenOptions, c.Active, c.Declared = r.tokens.options(), r.active > 0, r.declared > 0
	c.Lifetimes, c.Override = r.lifetimes.lifetimes()
	c.Created, c.Changed = instant(r.created), instant(r.changed)
	var errs [5]error
	c.Audience, errs[0] = textList(r.audience)
	c.Scopes, errs[1] = textList(r.scopes)
	c.Claims, errs[2] = textClaims(r.claims)
	c.Secrets, errs[3] = textSecrets(r.secrets)
	c.Settings, errs[4] = textSettings(r.settings)
	if err := errors.Join(errs[:]...); err != nil {
		return clients.Client{}, err
	}
	return c, nil
}

// secretRow is a secret of a client in the column secrets. Times are unix milliseconds.
type secretRow struct {
	Number  int    `json:"number"`
	Hash    string `json:"hash"`
	Created int64  `json:"created,omitempty"`
	Expires int64  `json:"expires,omitempty"`
}

func secretsText(all []clients.Secret) string {
	if len(all) == 0 {
		return ""
	}
	rows := make([]secretRow, len(all))
	for i, s := range all {
		rows[i] = secretRow{s.Number, s.Hash, millis(s.Created), millis(s.Expires)}
	}
	text, _ := json.Marshal(rows) // numbers and strings
	return string(text)
}

func textSecrets(text string) ([]clients.Secret, error) {
	if text == "" {
		return nil, nil
	}
	var rows []secretRow
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		return nil, errors.New("the secrets of a client are not a list")
	}
	all := make([]clients.Secret, len(rows))
	for i, r := range rows {
		all[i] = clients.Secret{
			Number:  r.Number,
			Hash:    r.Hash,
			Created: instant(r.Created),
			Expires: instant(r.Expires),
		}
	}
	return all, nil
}

// settingsText is empty where a client says nothing.
func settingsText(s clients.Settings) (string, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("the settings of a client: %w", err)
	}
	if string(text) == "{}" {
		return "", nil
	}
	return string(text), nil
}

func textSettings(text string) (s clients.Settings, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
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
	n, err := t.exec(addClient, append(row, c.ID, c.Project, millis(c.Created), millis(c.Created))...)
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

// anyAsserting finds an active client with identity assertions. The quotes cannot match inside a
// value of the JSON object, where they are escaped.
const anyAsserting = `SELECT 1 FROM client WHERE active = 1 AND settings LIKE '%"identity_assertions":[{"%' LIMIT 1`

// AnyAsserting reports whether a client gets identity assertions; see clients.AssertionStore.
func (s *Store) AnyAsserting(ctx context.Context) (bool, error) {
	db, err := s.database()
	if err != nil {
		return false, err
	}
	var found int
	return one(ctx, db, anyAsserting, nil, &found)
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
		if err != nil {
			return err
		}
		if n > 0 {
			return forgetClient(t, id)
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

// forgetClient removes what belongs to a client that is being removed: another client that gets its
// id has not been allowed anything, and whoever registered it has nothing to change.
func forgetClient(t tx, id string) error {
	if _, err := t.exec(`DELETE FROM registration WHERE client = $1`, id); err != nil {
		return err
	}
	return forgetConsents(t, id)
}
