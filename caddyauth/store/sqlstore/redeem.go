package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// ownersStand is true while those whom a code was issued for may still have it: project, client and
// person are active. The client of gates on other hosts is not stored. The words are placeholders
// or columns.
func ownersStand(slug, subject, client, account string) string {
	names := strings.NewReplacer("@slug", slug, "@subject", subject, "@client", client, "@account", account)
	return names.Replace(`
		EXISTS (SELECT 1 FROM project WHERE project.slug = @slug AND active = 1)
		AND (@client = '` + clients.Web + `' OR EXISTS (SELECT 1 FROM client
			WHERE client.id = @client AND client.project = @slug AND active = 1))
		AND EXISTS (SELECT 1 FROM account WHERE account.project = @slug AND account.canonical = @account
			AND account.name = @subject AND disabled = 0)`)
}

// notEndedSince is true while no revocation that is newer than an epoch ends what a person has in a
// project, or what their client has there. The words are placeholders or columns; no client, and
// what was said of clients does not count.
func notEndedSince(epoch, slug, subject, client string) string {
	kinds := `denial.kind = 'user' AND denial.id = @subject OR denial.kind = 'project' AND denial.id = ''`
	if client != "" {
		kinds += ` OR denial.kind = 'client' AND denial.id = @client`
	}
	names := strings.NewReplacer("@epoch", epoch, "@slug", slug, "@subject", subject, "@client", client)
	return names.Replace(`NOT EXISTS (SELECT 1 FROM denial
			WHERE denial.epoch > @epoch AND denial.scope = @slug AND (` + kinds + `))`)
}

// redemption is the exchange of a row, a code or what a device was allowed, for a grant: once.
type redemption struct {
	used  string // marks the row; @holding stands for what holds the session
	grant string // is insertGrant for what the row became; $34 the hash
}

// newRedemption is that of the rows of a table. mark is what marks a row as used, and ready the
// condition under which it may be; $2 in both is now.
//
// The session is held until the transaction has ended: whoever ends it then finds what the row became.
// $1 the hash, $2 now, $3 the grant, $4 until when the row is of use, $5 the session.
func newRedemption(table, mark, ready string) redemption {
	names := strings.NewReplacer("@table", table, "@mark", mark, "@ready", ready)
	used := names.Replace(`WITH held AS MATERIALIZED (
		SELECT id FROM grants WHERE id = $5 AND ` + living + `$2@holding)
	UPDATE @table SET @mark, granted = $3, until = $4
	WHERE hash = $1 AND @ready AND session = $5 AND ($5 = '' OR EXISTS (SELECT 1 FROM held))
		AND ` + ownersStand("@table.project", "@table.subject", "@table.client", "@table.account") + `
		AND ` + notEndedSince("@table.epoch", "@table.project", "@table.subject", "@table.client"))
	return redemption{used, `INSERT INTO grants (` + grantColumns + `) SELECT ` + grantValues + `
	WHERE EXISTS (SELECT 1 FROM ` + table + ` WHERE hash = $34 AND granted = $1)`}
}

// redeem exchanges the row with a hash for a grant, in one round trip. It reports whether it did.
func (s *Store) redeem(
	ctx context.Context,
	r redemption,
	hash, parent string,
	g session.Grant,
	now time.Time,
) (bool, error) {
	row, err := writeGrant(g)
	if err != nil {
		return false, err
	}
	db, err := s.database()
	if err != nil {
		return false, err
	}
	until := max(millis(g.Ends), millis(g.AccessUntil))
	used := strings.Replace(r.used, "@holding", db.holding(), 1)
	var changed []int64
	err = db.writeOne(ctx, func(t tx) (err error) {
		changed, err = t.all(
			statement{used, []any{hash, millis(now), g.ID, until, parent}},
			statement{r.grant, append(row, hash)},
		)
		return err
	})
	if err != nil {
		return false, err
	}
	return changed[1] == 1, nil
}
