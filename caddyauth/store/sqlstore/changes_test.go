package sqlstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// TestChangesAreCounted: what this process changes of projects, clients and users is counted before
// the verb returns, whichever verb it is; what happens all the time is not.
func TestChangesAreCounted(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		x := newTenants(t, open())
		ctx := t.Context()
		findClient := func(id string) clients.Client {
			c, err := x.FindClient(ctx, id)
			must(t, err)
			return c
		}
		findProject := func() project.Project {
			p, err := x.FindProject(ctx, "acme")
			must(t, err)
			return p
		}
		findUser := func() identity.User {
			u, err := x.FindUser(ctx, "acme", "alice")
			must(t, err)
			return *u
		}
		coming := clients.Client{
			ID: "coming", Project: "acme", Active: true, Created: noon,
			Settings: clients.Settings{Source: clients.Registered},
		}
		document := coming
		document.ID, document.Source = "https://app.example/client", clients.MetadataDocument
		for _, c := range []struct {
			name    string
			do      func() error
			changes bool
		}{
			{"a client is added", func() error {
				return x.AddClient(ctx, clients.Client{ID: "another", Project: "acme", Active: true, Created: noon})
			}, true},
			{"a client gets a secret", func() error {
				c := findClient("another")
				c.Secrets = []clients.Secret{{Number: 1, Hash: "a"}}
				_, err := x.ChangeClient(ctx, c, noon)
				return err
			}, true},
			{"a client is removed", func() error { return x.RemoveClient(ctx, "another", 0) }, true},
			{"a client registers itself", func() error {
				_, err := x.AddRegistered(ctx, coming, clients.Registration{Token: "t"})
				return err
			}, true},
			{"a client changes itself", func() error {
				c := findClient("coming")
				c.Name = "Coming"
				_, err := x.ChangeRegistered(ctx, c, noon)
				return err
			}, true},
			{"a document is stored", func() error {
				return x.PutDocument(ctx, document, clients.Registration{Fresh: noon}, noon)
			}, true},
			{"a document says something else", func() error {
				document.Name = "App"
				return x.PutDocument(ctx, document, clients.Registration{Fresh: noon}, noon)
			}, true},
			{"clients are forgotten", func() error {
				_, err := x.ForgetUnused(ctx, clients.Registered, noon.Add(time.Hour), 10)
				return err
			}, true},
			{"a project is added", func() error {
				return x.AddProject(ctx, project.Project{ID: "q-id", Slug: "other", Active: true, Created: noon})
			}, true},
			{"a project is paused", func() error {
				p := findProject()
				p.Active = false
				_, err := x.ChangeProject(ctx, p, noon)
				return err
			}, true},
			{"a project is removed", func() error { return x.RemoveProject(ctx, "q-id", 1) }, true},
			{"a user is added", func() error {
				return x.AddUser(ctx, identity.User{ID: "b-id", Project: "acme", Name: "Bob", Created: noon})
			}, true},
			{"a user is disabled", func() error {
				u := findUser()
				u.Disabled = true
				_, err := x.ChangeUser(ctx, u, noon)
				return err
			}, true},
			{"a password is set", func() error {
				_, err := x.SetPassword(ctx, "u-id", 0, "h2", noon)
				return err
			}, true},
			{"a user is removed", func() error { return x.RemoveUser(ctx, "b-id", 0) }, true},
			{"a configuration is taken", func() error {
				_, err := x.Reconcile(ctx, Declaration{
					Projects: []project.Project{{Slug: project.Default, Active: true}},
					Clients:  []clients.Client{{ID: "declared", Project: project.Default, Active: true}},
				}, noon)
				return err
			}, true},
			{"nothing", func() error { return nil }, false},
			{"a token is revoked", func() error {
				_, err := x.RevokeToken(ctx, "https://iss", "t", noon, noon)
				return err
			}, false},
			{"a line of the audit trail", func() error { return x.AddEntry(ctx, audit.Entry{At: noon}) }, false},
			{"a use is noted", func() error { return x.NoteUse(ctx, document.ID, noon) }, false},
			{"denials are read", func() error {
				_, _, err := x.Denials(ctx, revocation.Cursor(0))
				return err
			}, false},
		} {
			t.Run(c.name, func(t *testing.T) {
				before := x.Changes()
				must(t, c.do())
				if got := x.Changes() > before; got != c.changes {
					t.Errorf("%d after %d", x.Changes(), before)
				}
			})
		}
	})
}

// TestAChangeIsCountedAlthoughItsCommitIsNotKnown: the call is given up, and the change may still
// take place.
func TestAChangeIsCountedAlthoughItsCommitIsNotKnown(t *testing.T) {
	s := openAt(t, "sqlite:"+t.TempDir()+"/auth.db")
	before := s.Changes()
	lost := errors.New("the answer is lost")
	err := s.write(context.Background(), func(t tx) error {
		if _, err := t.exec(`UPDATE client SET active = 0`); err != nil {
			return err
		}
		return lost
	})
	if !errors.Is(err, lost) || s.Changes() == before {
		t.Errorf("%v, %d after %d", err, s.Changes(), before)
	}
}

func TestStatementsThatChangeParties(t *testing.T) {
	for _, c := range []struct {
		text string
		want bool
	}{
		{addClient, true}, {changeClient, true}, {addProject, true}, {addUser, true}, {changeUser, true},
		{"DELETE FROM client WHERE id = $1", true},
		{"WITH x AS (SELECT 1) UPDATE account SET name = ''", true},
		{"INSERT INTO\n\taccount (id) VALUES ($1)", true},
		{putDenial, false}, {signInEntry, false}, {signInGrant, false}, {addRegistration, false},
		{"SELECT * FROM client", false},
		{"DELETE FROM client_use WHERE client = $1", false},
		{"UPDATE grants SET client = $1", false},
	} {
		t.Run(c.text, func(t *testing.T) {
			for range 2 { // the second answer is remembered
				if got := changesParties(c.text); got != c.want {
					t.Error(got)
				}
			}
		})
	}
}
