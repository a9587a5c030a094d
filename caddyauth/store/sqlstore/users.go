package sqlstore

import (
	"context"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

var _ identity.UserStore = (*Store)(nil)

const userColumns = `id, project, name, password_hash, password_changed, disabled, declared, admin, claims, version,` +
	` created, changed`

const addUser = `INSERT INTO account (name, password_hash, hash_kind, password_changed, disabled, declared, admin,
	claims,
	id, project, canonical, version, created, changed)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $12)
	ON CONFLICT DO NOTHING`

const changeUser = `UPDATE account SET name = $1, password_hash = $2, hash_kind = $3, password_changed = $4, disabled
	= $5,
	declared = $6, admin = $7, claims = $8, version = version + 1, changed = $9
	WHERE id = $10 AND version = $11`

// userRow are the columns that a change may set, in the order of changeUser from $1 on.
func userRow(u identity.User) ([]any, error) {
	claims, err := claimsText(u.Claims)
	return []any{
		u.Name, u.PasswordHash, identity.HashKind(u.PasswordHash), millis(u.PasswordChanged), switchOf(u.Disabled),
		switchOf(u.Declared), switchOf(u.Admin), claims,
	}, err
}

// userScan is a row of accounts on its way to an identity.User.
type userScan struct {
	identity.User
	claims                                                string
	password, disabled, declared, admin, created, changed int64
}

// into are the targets of userColumns.
func (r *userScan) into() []any {
	return []any{
		&r.ID, &r.Project, &r.Name, &r.PasswordHash, &r.password, &r.disabled, &r.declared, &r.admin, &r.claims,
		&r.Version, &r.created, &r.changed,
	}
}

func (r *userScan) user() (*identity.User, error) {
	u := r.User
	u.Disabled, u.Declared, u.Admin = r.disabled > 0, r.declared > 0, r.admin > 0
	u.PasswordChanged, u.Created, u.Changed = instant(r.password), instant(r.created), instant(r.changed)
	var err error
	u.Claims, err = textClaims(r.claims)
	return &u, err
}

func scanUser(row rows) (*identity.User, error) {
	var r userScan
	if err := row.Scan(r.into()...); err != nil {
		return nil, failure(err)
	}
	return r.user()
}

// AddUser stores a new user; see identity.UserStore.
func (s *Store) AddUser(ctx context.Context, u identity.User) error {
	return s.write(ctx, func(t tx) error { return insertUser(t, u) })
}

func insertUser(t tx, u identity.User) error {
	canonical, err := identity.CanonicalName(u.Name)
	if err != nil {
		return err
	}
	row, err := userRow(u)
	if err != nil {
		return err
	}
	found, err := holdProject(t, u.Project)
	if err == nil && !found {
		err = identity.ErrNoSuchProject
	}
	if err != nil {
		return err
	}
	n, err := t.exec(addUser, append(row, u.ID, u.Project, canonical, millis(u.Created))...)
	if err == nil && n == 0 {
		err = identity.ErrNameTaken
	}
	return err
}

// FindUser returns the user of that project and name, in any spelling; see identity.Directory.
func (s *Store) FindUser(ctx context.Context, project, name string) (*identity.User, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	return findUserByName(ctx, db, project, name)
}

func findUserByName(ctx context.Context, q querier, project, name string) (*identity.User, error) {
	canonical, err := identity.CanonicalName(name)
	if err != nil {
		return nil, identity.ErrNoUser
	}
	return oneRow(ctx, q, scanUser, identity.ErrNoUser,
		`SELECT `+userColumns+` FROM account WHERE project = $1 AND canonical = $2`, project, canonical)
}

// FindUserByID returns the user of that id; see identity.UserStore.
func (s *Store) FindUserByID(ctx context.Context, id string) (*identity.User, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	return findUser(ctx, db, id)
}

func findUser(ctx context.Context, q querier, id string) (*identity.User, error) {
	return oneRow(ctx, q, scanUser, identity.ErrNoUser, `SELECT `+userColumns+` FROM account WHERE id = $1`, id)
}

// ListUsers returns users by project and canonical name; see identity.UserStore.
func (s *Store) ListUsers(ctx context.Context, page identity.UserPage) ([]identity.User, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	found, err := eachRow(ctx, db, scanUser, `SELECT `+userColumns+` FROM account
		WHERE (project = $1 OR $1 = '') AND (project > $2 OR project = $2 AND canonical > $3)
		ORDER BY project, canonical LIMIT $4`, page.Project, page.AfterProject, page.AfterName, page.Limit)
	users := make([]identity.User, len(found))
	for i, u := range found {
		users[i] = *u
	}
	return users, err
}

// ChangeUser stores whether the user is disabled, and the claims; see identity.UserStore. Access
// tokens with other claims than the new ones are denied in the same transaction.
func (s *Store) ChangeUser(ctx context.Context, u identity.User, now time.Time) (*identity.User, error) {
	return s.editUser(ctx, u.ID, u.Version, now, func(standing *identity.User) {
		standing.Disabled, standing.Claims = u.Disabled, u.Claims
	})
}

// SetPassword stores a password hash; see identity.UserStore.
func (s *Store) SetPassword(ctx context.Context, id string, version int64, hash string,
	now time.Time) (*identity.User, error) {
	return s.editUser(ctx, id, version, now, func(standing *identity.User) {
		standing.PasswordHash, standing.PasswordChanged = hash, instant(millis(now))
	})
}

// RenewHash stores another hash of the same password if the user still has the old one and is not
// declared. Nothing that people see changes, so the version stays.
func (s *Store) RenewHash(ctx context.Context, id, old, renewed string) error {
	return s.write(ctx, func(t tx) error {
		_, err := t.exec(`UPDATE account SET password_hash = $1, hash_kind = $2 WHERE id = $3 AND password_hash = `+
			`$4 AND declared = 0`,
			renewed, identity.HashKind(renewed), id, old)
		return err
	})
}

// HashKinds returns the kinds of hashes (identity.HashKind) that users have, each once, in order.
// It goes from one kind to the next in the index, so it takes as long as there are kinds, not
// users.
func (s *Store) HashKinds(ctx context.Context) ([]string, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	return eachRow(ctx, db, scanText, `WITH RECURSIVE kinds (kind) AS (
			SELECT min(hash_kind) FROM account WHERE hash_kind > ''
			UNION ALL
			SELECT (SELECT min(hash_kind) FROM account WHERE hash_kind > kinds.kind) FROM kinds
				WHERE kinds.kind IS NOT NULL
		) SELECT kind FROM kinds WHERE kind IS NOT NULL`)
}

func scanText(row rows) (text string, err error) {
	err = row.Scan(&text)
	return text, err
}

// editUser changes the user of that id if the row has that version (0: any).
func (s *Store) editUser(ctx context.Context, id string, version int64, now time.Time,
	edit func(*identity.User)) (*identity.User, error) {
	var after *identity.User
	err := s.write(ctx, func(t tx) error {
		// The lock of the row keeps others from changing it after it was read.
		if _, err := t.exec(`UPDATE account SET id = id WHERE id = $1`, id); err != nil {
			return err
		}
		standing, err := findUser(ctx, t, id)
		if err != nil {
			return err
		}
		if version != 0 && standing.Version != version {
			return identity.ErrUserChanged
		}
		before := *standing
		edit(standing)
		if after, err = updateUser(t, *standing, now); err != nil || sameClaims(before.Claims, after.Claims) {
			return err
		}
		return renewTokens(ctx, t, revocation.UserKind, after.Project, after.Name, now)
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// updateUser sets the row of u if it still has u's version.
func updateUser(t tx, u identity.User, now time.Time) (*identity.User, error) {
	row, err := userRow(u)
	if err != nil {
		return nil, err
	}
	n, err := t.exec(changeUser, append(row, millis(now), u.ID, u.Version)...)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, identity.ErrUserChanged
	}
	u.Version++
	u.Changed = instant(millis(now))
	return &u, nil
}

// RemoveUser removes a user; see identity.UserStore.
func (s *Store) RemoveUser(ctx context.Context, id string, version int64) error {
	return s.write(ctx, func(t tx) error {
		n, err := t.exec(`DELETE FROM account WHERE id = $1 AND declared = 0 AND (version = $2 OR $2 = 0)`, id, version)
		if err != nil || n > 0 {
			return err
		}
		u, err := findUser(ctx, t, id)
		switch {
		case err != nil:
			return err
		case u.Declared:
			return identity.ErrUserDeclared
		}
		return identity.ErrUserChanged
	})
}
