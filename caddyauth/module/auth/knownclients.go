package auth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/registration"
)

// knownClients looks up the clients of requests: those of the store, and those whose client_id is
// the URL of a metadata document, of which the store gets a copy first.
type knownClients struct {
	store     *pooledStore
	web       func() []string         // the redirect URIs of clients.Web
	documents *registration.Documents // nil if they are off

	mu    sync.Mutex
	noted map[string]time.Time // when a use was stored last, of clients that came by themselves
}

func newKnownClients(a *App) *knownClients {
	k := &knownClients{store: a.store, web: func() []string { return a.gates.Applications.redirectURIs() }}
	if m := a.server.ClientMetadata; m != nil {
		k.documents = buildDocuments(a, m)
	}
	return k
}

// forgetting says after which time without a use clients go that came by themselves. Those that
// came while an option was on, which is off now, stay.
func forgetting(server *config.Server) map[string]config.Arrivals {
	kept := make(map[string]config.Arrivals)
	if r := server.Registration; r != nil {
		kept[clients.Registered] = r.Arrivals
	}
	if m := server.ClientMetadata; m != nil {
		kept[clients.MetadataDocument] = m.Arrivals
	}
	return kept
}

// findParties is issuance.Store.FindParties. The redirect URIs of clients.Web follow from the routes.
func (k *knownClients) findParties(ctx context.Context, slug, clientID, name string) (issuance.Parties, error) {
	p, err := k.find(ctx, clientID, func() (issuance.Parties, error) {
		return k.store.FindParties(ctx, slug, clientID, name)
	})
	if p.Client.ID == clients.Web {
		p.Client.RedirectURIs = k.web()
	}
	return p, err
}

// findClient returns a client and whom it belongs to, by way of what is remembered.
func (k *knownClients) findClient(ctx context.Context, clientID string) (issuance.Parties, error) {
	return k.find(ctx, clientID, func() (issuance.Parties, error) { return k.store.clients.Find(ctx, clientID) })
}

// find reads the parties after the document of a client that has one was looked at. Without a good
// document there is no client, whatever the store still has of it.
func (k *knownClients) find(
	ctx context.Context,
	clientID string,
	read func() (issuance.Parties, error),
) (issuance.Parties, error) {
	now, refused := time.Now().UTC().Truncate(time.Millisecond), false
	if clients.IsDocument(clientID) {
		switch err := k.prepare(ctx, clientID, now); {
		case errors.Is(err, registration.ErrNoClient):
			refused = true
		case err != nil:
			return issuance.Parties{}, err
		}
	}
	p, err := read()
	if err != nil {
		return issuance.Parties{}, err
	}
	if refused {
		p.Client = clients.Client{}
	}
	if p.Client.SelfRegistered() {
		err = k.noteUse(ctx, clientID, now)
	}
	return p, err
}

func (k *knownClients) prepare(ctx context.Context, clientID string, now time.Time) error {
	if k.documents == nil {
		return registration.ErrNoClient
	}
	return k.documents.Prepare(ctx, clientID, request.ClientIPOf(ctx), now)
}

const (
	noteEvery = time.Hour // a use within this of another one is not stored
	maxNoted  = 32_000    // above what the two sources of clients that come by themselves keep by default
)

// noteUse stores that a client was used, unless that was stored a short time ago.
func (k *knownClients) noteUse(ctx context.Context, id string, now time.Time) error {
	k.mu.Lock()
	if k.noted == nil || len(k.noted) >= maxNoted {
		k.noted = make(map[string]time.Time)
	}
	recent := now.Sub(k.noted[id]) < noteEvery
	if !recent {
		k.noted[id] = now
	}
	k.mu.Unlock()
	if recent {
		return nil
	}
	return k.store.NoteUse(ctx, id, now)
}
