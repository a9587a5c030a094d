package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// These outlive a configuration: a reload hands them to the next one instead of closing and opening
// them.
var (
	stores  = caddy.NewUsagePool()
	remotes = caddy.NewUsagePool()
)

// pooledStore is a store that one or more configurations use, with the state of it that is in
// memory: a stream that outlives a reload, and requests of the old configuration, see the same deny
// list.
type pooledStore struct {
	*sqlstore.Store
	key     string // in the pool
	denied  revocation.DenyList
	watch   revocation.Watch
	steady  revocation.SteadyClock
	late    lateness
	streams stream.Watcher
	live    liveSessions

	opaque  lookups // for asking whether opaque tokens are denied
	unknown lookups // for looking up what is likely made up

	clientKeys keyring.PublishedSets // that clients publish
	clients    issuance.ClientCache

	ctx     context.Context
	cancel  context.CancelFunc
	mu      sync.Mutex
	follows bool
	turns   atomic.Pointer[chan struct{}] // closed at the watch's next turn
}

// followed reports whether a configuration has used the store before.
func (s *pooledStore) followed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.follows
}

// resume continues from the time that an earlier process stored; it does so once.
func (s *pooledStore) resume(ctx context.Context) error {
	kept, _, err := s.KeptTime(ctx)
	if err != nil {
		return fmt.Errorf("reading the time: %w", err)
	}
	now := time.Now()
	s.steady.Resume(kept, now)
	if kept.IsZero() {
		return s.KeepTime(ctx, now)
	}
	return nil
}

// follow reads the deny list, and keeps it up to date from the first call on.
func (s *pooledStore) follow(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.watch.Poll(ctx); err != nil || s.follows {
		return err
	}
	s.follows = true
	go s.watch.Run(s.ctx)
	return nil
}

// turn returns a channel that is closed after the next poll of the watch. It polls at least every
// 500 ms and after each commit that wakes.
func (s *pooledStore) turn() <-chan struct{} { return *s.turns.Load() }

// turned is called after each poll of the watch, also after one that failed.
func (s *pooledStore) turned(err error) {
	s.late.note(s.watch.Stale(time.Now()), err)
	next := make(chan struct{})
	close(*s.turns.Swap(&next))
}

// findFirstParty reads who signs in at the server's own login routes.
func (s *pooledStore) findFirstParty(ctx context.Context, slug, name string) (issuance.Parties, error) {
	return s.FindParties(ctx, slug, clients.FirstParty, name)
}

// Destruct closes the store when the last configuration has left it.
func (s *pooledStore) Destruct() error {
	s.cancel()
	return s.Close()
}

// joinStore joins the store of a URL without opening it. release must be called exactly once.
func joinStore(rawURL string) (store *pooledStore, release func() error, err error) {
	key, err := sqlstore.Canonical(rawURL)
	if err != nil {
		return nil, nil, err
	}
	value, _, err := stores.LoadOrNew(key, func() (caddy.Destructor, error) {
		s, err := sqlstore.New(rawURL)
		if err != nil {
			return nil, err
		}
		s.Observe = observeStore
		ctx, cancel := context.WithCancel(context.Background())
		pooled := &pooledStore{
			Store:   s,
			key:     key,
			ctx:     ctx,
			cancel:  cancel,
			opaque:  newLookups(s),
			unknown: newLookups(s),
		}
		pooled.clients.Read, pooled.clients.Changes = s.FindClientParties, s.Changes
		pooled.clients.Newest = pooled.denied.Newest
		first := make(chan struct{})
		pooled.turns.Store(&first)
		pooled.watch = revocation.Watch{
			Denials: s.Denials,
			List:    &pooled.denied,
			Wake:    s.Wake(),
			Observe: pooled.turned,
			Past:    pooled.steady.Past,
		}
		pooled.watchStreams()
		return pooled, nil
	})
	if err != nil {
		return nil, nil, err
	}
	return value.(*pooledStore), func() error { _, err := stores.Delete(key); return err }, nil
}

// watchStreams wires what ends the streams that the store's tokens have let in.
func (s *pooledStore) watchStreams() {
	s.streams = stream.Watcher{
		Context:   s.ctx,
		Denied:    func(t *token.Token) bool { return s.denied.Denied(t.RevocationSubject()) != "" },
		Changed:   s.denied.Changed,
		Stale:     s.watch.Stale,
		FindGrant: s.FindGrant,
		Hold:      s.hold,
		Release:   s.letGo,
	}
}

// errStoreLeft refuses to open a store again by holding it.
var errStoreLeft = errors.New("the store is not in use any more")

// hold takes one more reference to a store that is in use, for a stream that may outlive the
// configurations that use it. letGo gives it back. hold returns false when the last configuration
// has left the store.
func (s *pooledStore) hold() bool {
	if _, used := stores.References(s.key); !used {
		return false
	}
	value, _, err := stores.LoadOrNew(s.key, func() (caddy.Destructor, error) { return nil, errStoreLeft })
	if err != nil {
		return false
	}
	if other := value.(*pooledStore); other != s {
		other.letGo()
		return false
	}
	return true
}

func (s *pooledStore) letGo() { _, _ = stores.Delete(s.key) }

// pooledRemote is the key set of a foreign issuer in use by one or more configurations, so that a
// reload while the issuer is down keeps the last good set.
type pooledRemote struct {
	*keyring.Remote
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
}

// Destruct ends the fetching when the last configuration has left.
func (r *pooledRemote) Destruct() error {
	r.cancel()
	return nil
}

// start begins fetching; further calls do nothing.
func (r *pooledRemote) start() { r.once.Do(func() { go r.Run(r.ctx) }) }

// joinRemote joins the key set of an issuer without fetching it. release must be called exactly
// once.
func joinRemote(issuer, jwks string, algorithms []string) (remote *pooledRemote, release func() error, err error) {
	key := issuer + "\n" + jwks + "\n" + strings.Join(algorithms, " ")
	value, _, err := remotes.LoadOrNew(key, func() (caddy.Destructor, error) {
		r := &keyring.Remote{Issuer: issuer, JWKSURL: jwks, Algorithms: algorithms, Observe: logFetch}
		if err := r.Validate(); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		return &pooledRemote{Remote: r, ctx: ctx, cancel: cancel}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	return value.(*pooledRemote), func() error { _, err := remotes.Delete(key); return err }, nil
}

// logFetch logs how fetching a foreign key set went. Key sets outlive configurations, so it writes
// to the process's log.
func logFetch(f keyring.Fetch) {
	logger := caddy.Log().Named("auth")
	if f.Err != nil {
		logger.Warn("fetching the keys of a trusted issuer failed; the last good set stays in use while it may",
			zap.String("issuer", f.Issuer),
			zap.Error(f.Err), zap.Duration("next", f.Next))
		return
	}
	logger.Debug("fetched the keys of a trusted issuer",
		zap.String("issuer", f.Issuer), zap.Int("keys", f.Keys), zap.Strings("ignored", f.Ignored))
}
