package keyring

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/web/egress"
)

// maxPublished is how many key sets a Published keeps.
const maxPublished = 1000

// Published are the key sets of many publishers, such as the `jwks_uri` of clients, each fetched
// when it is first asked for. A set is kept as long as that of a [Remote], and fetched again before
// its time for a key id that is not in it, but not twice within 30 seconds, whether that succeeds
// or not. While fetches fail the last good set is used for 24 hours. At most 1000 sets are kept:
// the one that was asked for longest ago makes room.
type Published struct {
	// Transport sends the requests. Default: one that checks the addresses, see [egress.Client].
	Transport http.RoundTripper

	mu   sync.Mutex
	sets map[string]*publishedSet
}

// Source is where a key set is published.
type Source struct {
	// URL is the address of the set: https, or http on a loopback host. Required.
	URL string

	// Configured says that the operator gave the address, so that its host need not be public.
	// Default: it must.
	Configured bool

	// Algorithms are the accepted ones, the preferred first. Default: all with key pairs.
	Algorithms []string
}

// publishedSet is one set. Its lock is held during a fetch, so that one fetch answers all who wait.
type publishedSet struct {
	asked time.Time // under the lock of Published

	mu      sync.Mutex
	keys    *KeySet
	tried   time.Time // the start of the last fetch
	fetched time.Time // of keys
	expires time.Time // of keys
}

// Key returns the key of an id from the set that the source publishes, or [ErrUnknownKey], or
// [ErrKeysUnavailable] together with the cause. It waits at most 5 seconds for a fetch of its own.
func (p *Published) Key(ctx context.Context, from Source, kid string) (*Key, error) {
	s := p.set(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var failed error
	if s.keys == nil || now.After(s.expires) || s.lacks(kid) {
		failed = p.refresh(ctx, s, from, now)
	}
	if s.keys == nil || now.Sub(s.fetched) > staleByDefault {
		if failed == nil {
			return nil, ErrKeysUnavailable
		}
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, failed)
	}
	return s.keys.Key(kid)
}

// set returns the place of a source, and makes room for a new one.
func (p *Published) set(from Source) *publishedSet {
	name := fmt.Sprint(from.Configured, " ", strings.Join(from.Algorithms, " "), " ", from.URL)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sets[name]
	if s == nil {
		s = &publishedSet{}
		if p.sets == nil {
			p.sets = make(map[string]*publishedSet)
		}
		if len(p.sets) >= maxPublished {
			p.forgetOne()
		}
		p.sets[name] = s
	}
	s.asked = time.Now()
	return s
}

func (p *Published) forgetOne() {
	oldest := ""
	for name, s := range p.sets {
		if oldest == "" || s.asked.Before(p.sets[oldest].asked) {
			oldest = name
		}
	}
	delete(p.sets, oldest)
}

func (s *publishedSet) lacks(kid string) bool {
	_, err := s.keys.Key(kid)
	return err != nil
}

// refresh fetches the set, unless that was tried a short time ago. A caller that goes away does not
// make a fetch fail for those who wait.
func (p *Published) refresh(ctx context.Context, s *publishedSet, from Source, now time.Time) error {
	if now.Sub(s.tried) < fetchSpacing {
		return nil
	}
	s.tried = now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	keys, life, err := p.fetch(ctx, from)
	if err != nil {
		return err
	}
	s.keys, s.fetched, s.expires = keys, now, now.Add(life)
	return nil
}

func (p *Published) fetch(ctx context.Context, from Source) (*KeySet, time.Duration, error) {
	address, err := egress.ParseURL(from.URL)
	if err != nil {
		return nil, 0, err
	}
	c := &egress.Client{Redirects: maxRedirects, Timeout: fetchTimeout, MaxBody: maxKeySet, Transport: p.Transport}
	if from.Configured {
		c.Home = address
	}
	if err := c.Check(address); err != nil {
		return nil, 0, err
	}
	body, header, err := get(ctx, c, address)
	if err != nil {
		return nil, 0, err
	}
	keys, err := ParseKeySet(body, from.Algorithms)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", address.Redacted(), err)
	}
	return keys, keysLife(header), nil
}

// maxKeySet is the largest key set that is read, in bytes.
const maxKeySet = 64 << 10
