package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

var _ issuance.Store = (*Store)(nil)

// parties reads the epoch, project, client and user in one statement, so that they are of one
// moment. There is always one row. $1 project, by id or slug, $2 client, $3 the user's canonical
// name.
var parties = `SELECT counter.value, ` + partiesColumns + partiesFrom

// clientParties is parties for a client, whose project is not known before. $1 client, $2 the
// canonical name of a user.
var clientParties = `SELECT counter.value, ` + partiesColumns + clientPartiesFrom

var partiesColumns = rowTexts + `, ` + qualified("project", projectColumns) + `, ` +
	qualified("client", clientColumns) + `, ` + qualified("account", userColumns)

const (
	partiesFrom = `
	FROM counter
	LEFT JOIN project ON project.id = $1 OR project.slug = $1
	LEFT JOIN client ON client.id = $2
	LEFT JOIN account ON account.project = project.slug AND account.canonical = $3
	WHERE counter.name = 'epoch'`

	clientPartiesFrom = `
	FROM counter
	LEFT JOIN client ON client.id = $1
	LEFT JOIN project ON project.slug = client.project
	LEFT JOIN account ON account.project = client.project AND account.canonical = $2
	WHERE counter.name = 'epoch'`
)

// FindParties reads whom something is issued for; see issuance.Store.
func (s *Store) FindParties(ctx context.Context, slug, clientID, name string) (issuance.Parties, error) {
	db, err := s.database()
	if err != nil {
		return issuance.Parties{}, err
	}
	slug, clientID, name = keyOf(slug), keyOf(clientID), keyOf(name)
	if p, found, err := s.findKnown(ctx, db, slug, clientID, name); found || err != nil {
		return p, err
	}
	return s.readParties(ctx, db, clientID, parties, slug, clientID, name)
}

// FindClientParties reads a client and whom it belongs to; see issuance.Store.
func (s *Store) FindClientParties(ctx context.Context, clientID, name string) (issuance.Parties, error) {
	if clientID == clients.Web { // it has nothing to ask at an endpoint for programs
		return issuance.Parties{}, nil
	}
	db, err := s.database()
	if err != nil {
		return issuance.Parties{}, err
	}
	clientID, name = keyOf(clientID), keyOf(name)
	if p, found, err := s.findKnownClient(ctx, db, clientID, name); found || err != nil {
		return p, err
	}
	return s.readParties(ctx, db, clientID, clientParties, clientID, name)
}

// readParties reads whole rows, and remembers what was made of them.
func (s *Store) readParties(
	ctx context.Context,
	q querier,
	clientID, query string,
	args ...any,
) (issuance.Parties, error) {
	var r partiesScan
	var texts textScan
	rest := r.into()
	targets := append([]any{rest[0], &texts.project, &texts.client}, rest[1:]...)
	if _, err := one(ctx, q, query, args, targets...); err != nil {
		return issuance.Parties{}, err
	}
	p, err := r.parties(clientID)
	if err != nil {
		return issuance.Parties{}, err
	}
	s.known.keep(texts, p)
	return p, nil
}

// partiesScan is the row of parties.
type partiesScan struct {
	epoch   int64
	project projectScan
	client  clientScan
	user    userScan
}

func (r *partiesScan) into() []any {
	targets := []any{&r.epoch}
	for _, columns := range [][]any{r.project.into(), r.client.into(), r.user.into()} {
		for _, target := range columns {
			targets = append(targets, optional{target})
		}
	}
	return targets
}

// parties leaves out what was not found. Some clients exist without being stored.
func (r *partiesScan) parties(clientID string) (p issuance.Parties, err error) {
	p.Epoch = r.epoch
	if r.project.ID != "" {
		if p.Project, err = r.project.project(); err != nil {
			return issuance.Parties{}, err
		}
	}
	if r.client.ID != "" {
		if p.Client, err = r.client.client(); err != nil {
			return issuance.Parties{}, err
		}
	}
	if r.user.ID != "" {
		if p.User, err = r.user.user(); err != nil {
			return issuance.Parties{}, err
		}
	}
	if c, ok := builtIn[clientID]; ok {
		p.Client = c
	}
	return p, nil
}

// builtIn are the clients that exist without being stored: that of the server's own login routes, and
// that of browsers at applications on other hosts. People sign in to the default project.
var builtIn = map[string]clients.Client{
	clients.FirstParty: {ID: clients.FirstParty, Active: true},
	clients.Web: {
		ID:       clients.Web,
		Project:  project.Default,
		Audience: []string{"web"},
		Active:   true,
		Settings: clients.Settings{Consent: clients.ConsentOff, ResponseModes: []string{clients.ModeQuery}},
	},
}

// optional is the target of a column that is NULL when a join finds nothing: the target then stays
// as it is.
type optional struct{ target any }

// Scan implements sql.Scanner.
func (o optional) Scan(value any) error {
	switch target := o.target.(type) {
	case *string:
		switch text := value.(type) {
		case string:
			*target = text
			return nil
		case []byte:
			*target = string(text)
			return nil
		}
	case *int64:
		if number, ok := value.(int64); ok {
			*target = number
			return nil
		}
	}
	if value != nil {
		return fmt.Errorf("a column has the type %T", value)
	}
	return nil
}

// standing is true while something may still be issued: the project and the client are active, the
// user has the version that was read, and no revocation of one of them is newer. The arguments are
// placeholders.
func standing(slug, subject, client, epoch, userID, version string) string {
	names := strings.NewReplacer("@slug", slug, "@subject", subject, "@client", client, "@epoch", epoch,
		"@user", userID, "@version", version)
	return names.Replace(`
		EXISTS (SELECT 1 FROM project WHERE slug = @slug AND active = 1)
		AND (@client = '` + clients.FirstParty + `' OR EXISTS (SELECT 1 FROM client WHERE id = @client AND active = 1))
		AND EXISTS (SELECT 1 FROM account WHERE id = @user AND version = @version
			AND project = @slug AND name = @subject AND disabled = 0)
		AND NOT EXISTS (SELECT 1 FROM denial WHERE denial.epoch > @epoch AND denial.scope = @slug
			AND (denial.kind = 'user' AND denial.id = @subject
				OR denial.kind = 'client' AND denial.id = @client
				OR denial.kind = 'project' AND denial.id = ''))`)
}

// signInGrant is insertGrant under the condition `standing`. $34 the user's id, $35 their version.
var signInGrant = `INSERT INTO grants (` + grantColumns + `) SELECT ` + grantValues + `
	WHERE ` + standing("$3", "$4", "$5", "$13", "$34", "$35")

// signInEntry adds the line of the audit trail if the sign-in took place: if its grant was stored,
// or, for a sign-in without a grant, if `standing` is true. $11 the grant, $12 the client, $13 the
// epoch, $14 the user's id, $15 their version.
var signInEntry = `INSERT INTO audit (` + auditColumns + `) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
	WHERE EXISTS (SELECT 1 FROM grants WHERE id = $11) OR $11 = '' AND ` +
	standing("$7", "$6", "$12", "$13", "$14", "$15")

// takeOver puts an older sign-in under a new one, with those that it took over itself, so that
// there are never more than two levels of sign-ins. What was granted under them stays there:
// clients know it by the `sid`. Nothing happens unless the new grant was stored. $1 the new grant,
// $2 the older one, $3 project, $4 subject.
const takeOver = `UPDATE grants SET parent = $1
	WHERE (id = $2 OR parent = $2 AND parent <> '') AND id <> $1 AND revoked = 0
		AND kind = '` + issuance.BrowserGrant + `' AND client = '` + clients.FirstParty + `'
		AND project = $3 AND subject = $4 AND EXISTS (SELECT 1 FROM grants AS newest WHERE newest.id = $1)`

// AddSignIn stores the result of a sign-in; see issuance.Store. On PostgreSQL it is one round trip,
// so nothing can be undone after the answer: each statement has its own condition.
func (s *Store) AddSignIn(ctx context.Context, r issuance.Record) error {
	row, err := writeGrant(r.Grant)
	if err != nil {
		return err
	}
	var statements []statement
	if len(r.Older) > 0 {
		statements = append(statements, statement{text: grantsLock})
	}
	if r.Grant.ID != "" {
		statements = append(statements, statement{signInGrant, append(row, r.User.ID, r.User.Version)})
	}
	for _, id := range r.Older {
		statements = append(statements, statement{takeOver, []any{r.Grant.ID, id, r.Grant.Project, r.Grant.Subject}})
	}
	statements = append(statements, forgive(r.Forgiveness)...)
	entry := append(entryRow(r.Entry), r.Grant.ID, r.Grant.ClientID, r.Grant.Epoch, r.User.ID, r.User.Version)
	statements = append(statements, statement{signInEntry, entry})
	return s.writeOne(ctx, func(t tx) error {
		changed, err := t.all(statements...)
		if err == nil && changed[len(changed)-1] == 0 {
			return session.ErrOvertaken
		}
		return err
	})
}
