package sqlstore

import (
	"context"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
)

var _ issuance.KnownUseStore = (*Store)(nil)

// useKnown is rotate for the current refresh token of a grant that was read before: nothing happens
// unless the grant, and whom it is for, are as they were read. Of a row, no two states have id,
// version and the time of the last change in common, also where a backup was restored in between.
//
// $1 id, $2 generation, $3 epoch, $4 now, $5 until when the new access token lives, $6 parent, $7
// to $9 the project's id, version and time of the last change, $10 to $12 the user's.
const useKnown = `UPDATE grants SET
		generation = generation + 1 - fixed,
		repeats = 0,
		rotated = CASE WHEN fixed = 0 THEN $4 ELSE rotated END,
		last_used = $4,
		idle_ends = CASE WHEN $4 + idle < ends THEN $4 + idle ELSE ends END,
		access_until = CASE WHEN access_until < $5 THEN $5 ELSE access_until END
	WHERE id = $1 AND generation = $2 AND epoch = $3 AND parent = $6
		AND revoked = 0 AND idle_ends > $4 AND ends > $4 AND NOT ` + overtaken + ` AND ` + parentLives + `
		AND EXISTS (SELECT 1 FROM project WHERE project.id = $7 AND project.version = $8 AND project.changed = $9)
		AND EXISTS (SELECT 1 FROM account WHERE account.id = $10 AND account.version = $11 AND account.changed = $12)`

// useKnownStored is useKnown for a client that is stored. $13 to $15 its id, version and time of the
// last change.
const useKnownStored = useKnown + `
		AND EXISTS (SELECT 1 FROM client WHERE client.id = $13 AND client.version = $14 AND client.changed = $15)`

// UseKnown uses the refresh token of a grant that is as it was read; see issuance.KnownUseStore. On
// PostgreSQL it is one round trip.
func (s *Store) UseKnown(ctx context.Context, r issuance.KnownUse, now time.Time) (bool, error) {
	g, p := r.Grant, r.Parties
	text, args := useKnown, []any{
		g.ID, g.Generation, g.Epoch, now.UnixMilli(), millis(r.AccessUntil), g.Parent,
		p.Project.ID, p.Project.Version, millis(p.Project.Changed),
		p.User.ID, p.User.Version, millis(p.User.Changed),
	}
	if id := p.StoredClient(); id != "" {
		text, args = useKnownStored, append(args, id, p.Client.Version, millis(p.Client.Changed))
	}
	used := false
	err := s.writeOne(ctx, func(t tx) error {
		changed, err := t.exec(text, args...)
		used = err == nil && changed == 1
		return err
	})
	return used && err == nil, err
}
