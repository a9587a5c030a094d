package sqlstore

import (
	"context"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

var _ apitoken.Store = (*Store)(nil)

const tokenColumns = `id, hash, name, project, abilities, created, expires, last_used, revoked`

// useEvery is how old the stored time of a token's last use may get before it is updated.
const useEvery = time.Minute

func scanAPIToken(row rows) (apitoken.Token, error) {
	var t apitoken.Token
	var abilities string
	var created, expires, used, revoked int64
	err := row.Scan(&t.ID, &t.Hash, &t.Name, &t.Project, &abilities, &created, &expires, &used, &revoked)
	if err != nil {
		return apitoken.Token{}, failure(err)
	}
	t.Created, t.Expires, t.LastUsed, t.Revoked = instant(created), instant(expires), instant(used), instant(revoked)
	t.Abilities, err = textList(abilities)
	return t, err
}

// AddAPIToken stores a new token; see apitoken.Store.
func (s *Store) AddAPIToken(ctx context.Context, a apitoken.Token) error {
	return s.write(ctx, func(t tx) error {
		if a.Project != "" {
			found, err := holdProject(t, a.Project)
			if err != nil {
				return err
			}
			if !found {
				return project.ErrNoProject
			}
		}
		_, err := t.exec(`INSERT INTO api_token (id, hash, name, project, abilities, created, expires, last_used,
			revoked)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, a.ID, a.Hash, a.Name, a.Project, listText(a.Abilities),
			millis(a.Created), millis(a.Expires), millis(a.LastUsed), millis(a.Revoked))
		return err
	})
}

// UseAPIToken returns the token of that hash and stores the time of its use; see apitoken.Store.
// Only the use of a valid token is stored.
func (s *Store) UseAPIToken(ctx context.Context, hash string, now time.Time) (apitoken.Token, error) {
	db, err := s.database()
	if err != nil {
		return apitoken.Token{}, err
	}
	a, err := oneRow(ctx, db, scanAPIToken, apitoken.ErrNotFound,
		`SELECT `+tokenColumns+` FROM api_token WHERE hash = $1`, hash)
	if err != nil || !a.Good(now) || now.Sub(a.LastUsed) < useEvery {
		return a, err
	}
	// A call is not refused because the time of use could not be stored.
	_ = s.write(ctx, func(t tx) error {
		_, err := t.exec(`UPDATE api_token SET last_used = $1 WHERE id = $2 AND last_used < $1`, millis(now), a.ID)
		return err
	})
	a.LastUsed = instant(millis(now))
	return a, nil
}

// FindAPIToken returns the token of that id; see apitoken.Store.
func (s *Store) FindAPIToken(ctx context.Context, id string) (apitoken.Token, error) {
	db, err := s.database()
	if err != nil {
		return apitoken.Token{}, err
	}
	return oneRow(ctx, db, scanAPIToken, apitoken.ErrNotFound, `SELECT `+tokenColumns+` FROM api_token WHERE id = $1`,
		id)
}

// ListAPITokens returns tokens by id; see apitoken.Store.
func (s *Store) ListAPITokens(ctx context.Context, slug string, page project.Page) ([]apitoken.Token, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	return eachRow(ctx, db, scanAPIToken, `SELECT `+tokenColumns+` FROM api_token
		WHERE (project = $1 OR $1 = '') AND id > $2 ORDER BY id LIMIT $3`, slug, page.After, page.Limit)
}

// RevokeAPIToken ends a token; see apitoken.Store.
func (s *Store) RevokeAPIToken(ctx context.Context, id string, now time.Time) error {
	return s.write(ctx, func(t tx) error {
		n, err := t.exec(`UPDATE api_token SET revoked = CASE WHEN revoked = 0 THEN $1 ELSE revoked END WHERE id = $2`,
			millis(now), id)
		if err == nil && n == 0 {
			err = apitoken.ErrNotFound
		}
		return err
	})
}

// DeleteAPITokens deletes at most n tokens that ended before a time; see apitoken.Store.
func (s *Store) DeleteAPITokens(ctx context.Context, before time.Time, n int) (int, error) {
	var deleted int64
	err := s.write(ctx, func(t tx) (err error) {
		deleted, err = t.exec(`DELETE FROM api_token WHERE id IN (SELECT id FROM api_token
			WHERE revoked > 0 AND revoked < $1 OR expires > 0 AND expires < $1 LIMIT $2)`, millis(before), n)
		return err
	})
	return int(deleted), err
}
