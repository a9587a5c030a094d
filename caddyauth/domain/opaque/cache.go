package opaque

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const (
	// DefaultCacheFor is how long a valid token is cached unless the configuration says otherwise.
	DefaultCacheFor = time.Minute

	refusalTime = 5 * time.Second // how long a refusal is cached
	callTimeout = 5 * time.Second // of one call
	maxCalls    = 32              // calls that may run at once
	waitTimeout = 2 * time.Second // how long a call may wait until it runs
	shardCount  = 16
	maxValid    = 512 // valid tokens in one shard
	maxRefused  = 128 // refusals in one shard
)

// cache keeps for a short time what was said about opaque tokens: never past their end, never more
// than its bounds, and the deny list overrules it. Of callers that bring the same new token at
// once, one makes the call and the others wait. Refusals have a space of their own, so that made-up
// tokens push no valid one out. The zero value is empty.
type cache struct {
	shards  [shardCount]shard
	running chan struct{} // holds one element for each call; nil: no bound
}

type shard struct {
	mu             sync.RWMutex
	valid, refused map[cacheKey]entry
	calls          map[cacheKey]*call
}

// cacheKey is the SHA-256 of a token. Each token has one spelling.
type cacheKey [sha256.Size]byte

func keyOf(raw string) cacheKey {
	var text [1024]byte // off the heap for all but the longest tokens
	return sha256.Sum256(append(text[:0], raw...))
}

// entry is a token, or why there is none.
type entry struct {
	token   *token.Token
	subject revocation.Subject
	err     error
	until   time.Time
}

// call asks about one token. The entry is set when done is closed.
type call struct {
	done chan struct{}
	entry
}

// policy is how long valid tokens are cached, and what overrules the cache.
type policy struct {
	denied   *revocation.DenyList
	cacheFor time.Duration
}

// get returns what is cached about the token. It allocates nothing and takes only a read lock.
func (c *cache) get(key cacheKey, p policy) (t *token.Token, known bool, err error) {
	s := &c.shards[key[0]%shardCount]
	found, known := s.get(key, time.Now())
	if !known {
		return nil, false, nil
	}
	t, err = s.check(key, found, p)
	return t, true, err
}

// asker says what a token is: a token, a *token.Refusal, or an error that says nothing about the
// token.
type asker func(context.Context) (*token.Token, error)

// do calls ask, unless another goroutine is doing so for the same token, and returns the answer.
// Without an answer the error is a *token.Refusal with token.KeysUnavailable, wrapped together with
// the cause.
func (c *cache) do(ctx context.Context, key cacheKey, p policy, ask asker) (*token.Token, error) {
	s := &c.shards[key[0]%shardCount]
	cl, first := s.join(key, time.Now())
	if first {
		c.run(ctx, s, key, cl, p, ask)
	}
	select {
	case <-cl.done:
		return s.check(key, cl.entry, p)
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
}

// check asks the deny list, which is newer than the entry.
func (s *shard) check(key cacheKey, e entry, p policy) (*token.Token, error) {
	if e.err != nil {
		return nil, e.err
	}
	if p.denied != nil && p.denied.Denied(e.subject) != "" {
		s.refuse(key, p.cacheFor)
		return nil, errRevoked
	}
	return e.token, nil
}

var (
	errRevoked      = &token.Refusal{Reason: token.Revoked, Detail: "the token was revoked"}
	errNoAnswer     = errors.New("there was no answer")
	errTooManyCalls = errors.New("too many opaque tokens are being looked up")
)

// unavailable is the refusal of a token that cannot be judged at present.
func unavailable(cause error) error {
	refusal := &token.Refusal{Reason: token.KeysUnavailable, Detail: "the token cannot be looked up at the moment"}
	return fmt.Errorf("%w: %w", refusal, cause)
}

// get returns an entry that has not expired at now.
func (s *shard) get(key cacheKey, now time.Time) (entry, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.current(key, now)
}

// current is get; the caller holds the lock.
func (s *shard) current(key cacheKey, now time.Time) (entry, bool) {
	e, ok := s.valid[key]
	if !ok {
		e, ok = s.refused[key]
	}
	return e, ok && now.Before(e.until)
}

// join returns the running call for a token, or a new one that the caller must run.
func (s *shard) join(key cacheKey, now time.Time) (cl *call, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cl = s.calls[key]; cl != nil {
		return cl, false
	}
	cl = &call{done: make(chan struct{}), entry: entry{err: unavailable(errNoAnswer)}}
	if e, ok := s.current(key, now); ok { // answered since the caller looked
		cl.entry = e
		close(cl.done)
		return cl, false
	}
	if s.calls == nil {
		s.valid, s.refused, s.calls = map[cacheKey]entry{}, map[cacheKey]entry{}, map[cacheKey]*call{}
	}
	s.calls[key] = cl
	return cl, true
}

// run makes the call on behalf of everybody who waits for it, so that the end of one request does
// not fail the others.
func (c *cache) run(ctx context.Context, s *shard, key cacheKey, cl *call, p policy, ask asker) {
	defer s.finish(key, cl, p.cacheFor)
	if !c.enter() {
		cl.err = unavailable(errTooManyCalls)
		return
	}
	defer c.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	t, err := ask(ctx)
	switch {
	case err == nil:
		cl.entry = entry{token: t, subject: t.RevocationSubject()}
	case isRefusal(err):
		cl.entry = entry{err: err}
	default:
		cl.entry = entry{err: unavailable(err)}
	}
}

// enter waits until another call may run, so that many made-up tokens or an endpoint that hangs use
// only so many connections.
func (c *cache) enter() bool {
	if c.running == nil {
		return true
	}
	select {
	case c.running <- struct{}{}:
		return true
	case <-time.After(waitTimeout):
		return false
	}
}

func (c *cache) leave() {
	if c.running != nil {
		<-c.running
	}
}

func isRefusal(err error) bool {
	r, ok := errors.AsType[*token.Refusal](err)
	return ok && r.Reason != token.KeysUnavailable
}

// finish caches the answer, if there is one, and publishes it.
func (s *shard) finish(key cacheKey, cl *call, cacheFor time.Duration) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, key)
	switch {
	case cl.token != nil:
		cl.until = now.Add(cacheFor)
		if expiry := cl.token.Expiry.Time(); expiry.Before(cl.until) {
			cl.until = expiry
		}
		put(s.valid, key, cl.entry, maxValid, now)
	case isRefusal(cl.err):
		cl.until = now.Add(min(refusalTime, cacheFor))
		put(s.refused, key, cl.entry, maxRefused, now)
	}
	close(cl.done)
}

// put stores an entry in a map of at most limit entries. If it is full, expired ones are deleted,
// and if none has expired, any one.
func put(in map[cacheKey]entry, key cacheKey, e entry, limit int, now time.Time) {
	if !now.Before(e.until) {
		return
	}
	if len(in) >= limit {
		for other, o := range in {
			if !now.Before(o.until) {
				delete(in, other)
			}
		}
	}
	if len(in) >= limit {
		for other := range in {
			delete(in, other)
			break
		}
	}
	in[key] = e
}

// refuse replaces a token that was revoked by a refusal.
func (s *shard) refuse(key cacheKey, cacheFor time.Duration) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.valid, key)
	put(s.refused, key, entry{err: errRevoked, until: now.Add(min(refusalTime, cacheFor))}, maxRefused, now)
}

// cacheTime is how long valid tokens are cached: DefaultCacheFor if the setting is 0, not at all if
// it is negative.
func cacheTime(setting time.Duration) time.Duration {
	if setting == 0 {
		return DefaultCacheFor
	}
	return max(setting, 0)
}
