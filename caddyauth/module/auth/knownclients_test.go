package auth

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/serve/registration"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// addComing adds a client that came by itself, of a source.
func addComing(t *testing.T, store *pooledStore, id, source string, now time.Time) {
	t.Helper()
	if _, err := store.Reconcile(t.Context(), sqlstore.Declaration{}, now); err != nil { // the project
		t.Fatal(err)
	}
	c := clients.Client{
		ID:      id,
		Project: project.Default,
		Settings: clients.Settings{
			RedirectURIs: []string{"http://127.0.0.1/cb"},
			AuthMethod:   clients.AuthNone,
			Source:       source,
		},
		Active:  true,
		Version: 1,
		Created: now,
		Changed: now,
	}
	var err error
	if source == clients.MetadataDocument {
		err = store.PutDocument(t.Context(), c, clients.Registration{Fresh: now.Add(time.Hour)}, now)
	} else {
		_, err = store.AddRegistered(t.Context(), c, clients.Registration{Fingerprint: id})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestKnownClients: what the store has of a document is no client unless the document is good.
func TestKnownClients(t *testing.T) {
	const fresh = "https://app.example/fresh.json"
	only := func(domains ...string) *registration.Documents {
		return &registration.Documents{
			Terms:   registration.Terms{Project: project.Default},
			Domains: domains,
			AtOnce:  1,
			Take: func(context.Context, string, time.Time) (time.Duration, error) {
				return time.Minute, nil // nothing is fetched
			},
		}
	}
	for _, c := range []struct {
		name, id  string
		documents *registration.Documents
		found     bool
		err       error
	}{
		{"registered", "registered", nil, true, nil},
		{"unknown", "nobody", only(), false, nil},
		{"a fresh copy", fresh, only(), true, nil},
		{"documents are off", fresh, nil, false, nil},
		{"its host is not allowed any more", fresh, only("other.example"), false, nil},
		{"too many documents that are not known", "https://app.example/new.json", only(), false, registration.ErrBusy},
		{"no document", "https://app.example/../x", only(), false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := auditedApp(t).store
			now := time.Now().Truncate(time.Millisecond)
			addComing(t, store, "registered", clients.Registered, now)
			addComing(t, store, fresh, clients.MetadataDocument, now)
			k := &knownClients{store: store, documents: c.documents}
			if c.documents != nil {
				c.documents.Store = store
			}
			byProject, err1 := k.findParties(t.Context(), project.Default, c.id, "")
			alone, err2 := k.findClient(t.Context(), c.id)
			if !errors.Is(err1, c.err) || !errors.Is(err2, c.err) {
				t.Errorf("%v, %v; want %v", err1, err2, c.err)
			}
			if (byProject.Client.ID == c.id) != c.found || (alone.Client.ID == c.id) != c.found {
				t.Errorf("found %+v and %+v", byProject.Client, alone.Client)
			}
		})
	}
}

// TestUsesAreNoted keeps a client that is used, at the cost of one statement an hour.
func TestUsesAreNoted(t *testing.T) {
	store, now := auditedApp(t).store, time.Now().Truncate(time.Millisecond)
	k := &knownClients{store: store}
	addComing(t, store, "registered", clients.Registered, now)
	forgotten := func(before time.Time) int {
		t.Helper()
		n, err := store.ForgetUnused(t.Context(), clients.Registered, before, 10)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, after := range []time.Duration{2 * time.Hour, 3*time.Hour - 1, 4 * time.Hour} {
		if err := k.noteUse(t.Context(), "registered", now.Add(after)); err != nil {
			t.Fatal(err)
		}
		last := 2 * time.Hour // the second one is within an hour of the first
		if after == 4*time.Hour {
			last = after
		}
		if n := forgotten(now.Add(last)); n != 0 {
			t.Fatalf("after %v: it was forgotten", after)
		}
	}
	if n := forgotten(now.Add(4*time.Hour + 1*time.Millisecond)); n != 1 {
		t.Errorf("%d were forgotten", n)
	}
}
