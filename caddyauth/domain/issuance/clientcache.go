package issuance

import (
	"context"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
)

// ClientCache remembers for half a second whom clients belong to, for the endpoints that programs
// ask all the time. So what another node changes of a client, of its project, or of the users of
// its name counts here within a second, and what this node changes counts at once. Nothing is
// remembered of what a client has proved.
type ClientCache struct {
	// Read is Store.FindClientParties. Required.
	Read func(ctx context.Context, clientID, name string) (Parties, error)

	// Changes counts what this node has changed of clients, projects and users. It rises after the
	// commit and before anyone is told of it. Required.
	Changes func() uint64

	// Newest is the highest epoch of a revocation that this node knows: what was read before it would
	// make tokens that are denied. Required.
	Newest func() int64

	mu      sync.RWMutex
	clients map[string]cachedClient
}

// cachedClient is a client as it was read.
type cachedClient struct {
	parties Parties
	changes uint64    // of this node, before it was read
	read    time.Time // when reading began, by the monotonic clock
}

const (
	// clientCacheAge is how long a client is remembered.
	clientCacheAge = 500 * time.Millisecond

	// maxCachedClients is how many are. They are forgotten together.
	maxCachedClients = 2000
)

// Find returns a client, its project, the person in the project who has the client's id as a name,
// and an epoch that was current half a second ago or later. What is not found is empty, and so is
// everything for an id that no client can have.
func (c *ClientCache) Find(ctx context.Context, clientID string) (Parties, error) {
	// Both come before the store is read: what changes meanwhile is read by the next call.
	now, changes := time.Now(), c.Changes()
	if p, ok := c.find(clientID, changes, now); ok {
		return p, nil
	}
	if clients.ValidateID(clientID) != nil {
		return Parties{}, nil
	}
	name, err := identity.CanonicalName(clientID)
	if err != nil {
		name = "" // nobody can have it
	}
	p, err := c.Read(ctx, clientID, name)
	if err == nil && p.Client.ID != "" { // ids that anyone can make up would push out the others
		c.keep(clientID, cachedClient{parties: p, changes: changes, read: now})
	}
	return p, err
}

func (c *ClientCache) find(clientID string, changes uint64, now time.Time) (Parties, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found, ok := c.clients[clientID]
	if !ok || found.changes != changes || now.Sub(found.read) >= clientCacheAge ||
		found.parties.Epoch < c.Newest() {
		return Parties{}, false
	}
	return found.parties, true
}

func (c *ClientCache) keep(clientID string, read cachedClient) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients == nil || len(c.clients) >= maxCachedClients {
		c.clients = make(map[string]cachedClient)
	}
	c.clients[clientID] = read
}
