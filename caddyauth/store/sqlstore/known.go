package sqlstore

import (
	"context"
	"sync"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// Every token is issued for a project and a client, whose rows have many columns and seldom change. A
// row is read as one text, and what was once made of that text is used again. The text is the whole
// row: another node, a restored backup or a client that was removed and added again cannot make it
// mean something else.

// maxKnown is how many rows of a table are known. They are forgotten together.
const maxKnown = 2000

// memory is rows by their text. What was made of one is shared, and not to be changed.
type memory[T any] struct {
	mu   sync.RWMutex
	rows map[string]T
}

// find returns what was made of a text. The empty text is that of a row that does not exist.
func (k *memory[T]) find(text string) (row T, found bool) {
	if text == "" {
		return row, true
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	row, found = k.rows[text]
	return row, found
}

func (k *memory[T]) keep(text string, row T) {
	if text == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rows == nil || len(k.rows) >= maxKnown {
		k.rows = make(map[string]T)
	}
	k.rows[text] = row
}

// knownRows are those of projects and clients.
type knownRows struct {
	projects memory[project.Project]
	clients  memory[clients.Client]
}

// rowText writes all columns of a row as one text; of a row that a join does not find it is empty. No
// column has the character between them: names have no control characters, and JSON escapes them.
// None may be NULL, which concat_ws leaves out.
func rowText(table, columns string) string {
	return `concat_ws('` + "\x1f" + `', ` + qualified(table, columns) + `)`
}

// rowTexts are those of a project and a client.
var rowTexts = rowText("project", projectColumns) + `, ` + rowText("client", clientColumns)

// textScan is the row of rowTexts.
type textScan struct{ project, client string }

// parties are the project and the client, if both are known.
func (k *knownRows) parties(r textScan, epoch int64, clientID string) (issuance.Parties, bool) {
	p, foundProject := k.projects.find(r.project)
	c, foundClient := k.clients.find(r.client)
	if known, ok := builtIn[clientID]; ok {
		c = known
	}
	return issuance.Parties{Epoch: epoch, Project: p, Client: c}, foundProject && foundClient
}

func (k *knownRows) keep(r textScan, p issuance.Parties) {
	k.projects.keep(r.project, p.Project)
	k.clients.keep(r.client, p.Client)
}

// shortClientParties is clientParties with the texts of the project and the client, and of the user
// whether there is one.
var shortClientParties = `SELECT counter.value, coalesce(account.id, ''), ` + rowTexts + clientPartiesFrom

// findKnownClient reads whom a client belongs to. It is false where the rows have to be read: one is
// not known, or there is a user.
func (s *Store) findKnownClient(ctx context.Context, q querier, clientID, name string) (issuance.Parties, bool, error) {
	var epoch int64
	var user string
	var texts textScan
	_, err := one(ctx, q, shortClientParties, []any{clientID, name}, &epoch, &user, &texts.project, &texts.client)
	if err != nil || user != "" {
		return issuance.Parties{}, false, err
	}
	p, found := s.known.parties(texts, epoch, clientID)
	return p, found, nil
}

// shortParties is parties with the texts of the project and the client.
var shortParties = `SELECT counter.value, ` + rowTexts + `, ` + qualified("account", userColumns) + partiesFrom

// findKnown reads whom something is issued for. It is false where the rows have to be read.
func (s *Store) findKnown(ctx context.Context, q querier, slug, clientID, name string) (issuance.Parties, bool, error) {
	var epoch int64
	var texts textScan
	var user userScan
	targets := []any{&epoch, &texts.project, &texts.client}
	for _, target := range user.into() {
		targets = append(targets, optional{target})
	}
	if _, err := one(ctx, q, shortParties, []any{slug, clientID, name}, targets...); err != nil {
		return issuance.Parties{}, false, err
	}
	p, found := s.known.parties(texts, epoch, clientID)
	if !found || user.ID == "" {
		return p, found, nil
	}
	var err error
	p.User, err = user.user()
	return p, true, err
}
