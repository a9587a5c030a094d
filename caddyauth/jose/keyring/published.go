package keyring

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/web/egress"
)

// maxPublished is how many key sets a PublishedSets keeps.
const maxPublished = 1000

// Published are the key sets of many publishers, such as the `jwks_uri` of clients, each fetched
// when it is first asked for. A set is kept as long as that of a [Remote]. It is fetched again before
// its time for a key that is not in it, or that does not fit ([Published.Renew]): at once, but not
// twice within 30 seconds, whether that succeeds or not. While fetches fail the last good set is
// used for 24 hours. At most 1000 sets are kept: the one that was asked for longest ago makes room.
//
// A publisher says itself where its set is, so its host must be public, and is reached over https,
// unless the operator allows more.
type Published struct {
	// Sets are those that were fetched. Required.
	Sets *PublishedSets

	// Allow and Roots are what the operator lets it reach besides; see [egress.Client].
	Allow []netip.Prefix
	Roots *x509.CertPool

	// Transport sends the requests. Default: one that checks the addresses, see [egress.Client].
	Transport http.RoundTripper
}

// PublishedSets are the key sets that were fetched. They may outlive a Published and go to the next
// one. The zero value has none.
type PublishedSets struct {
	mu   sync.Mutex
	sets map[string]*publishedSet
}

// Source is where a key set is published.
type Source struct {
	// URL is the address of the set: https, or http on a loopback host. Required.
	URL string

	// Algorithms are the accepted ones, the preferred first. Default: all with key pairs.
	Algorithms []string

	// Certificates says that the set is asked for certificates, and not for keys. Default: for keys.
	Certificates bool

	// Unknown says that nobody who runs the server knows the publisher: what the operator allows is
	// not for it. Default: it is.
	Unknown bool
}

// publishedSet is one set. Its lock is held during a fetch, so that one fetch answers all who wait.
type publishedSet struct {
	asked time.Time // under the lock of PublishedSets

	mu      sync.Mutex
	roots   *x509.CertPool // with which keys were fetched
	keys    *KeySet
	tried   time.Time // the start of the last fetch
	sought  time.Time // the start of the last fetch before its time
	fetched time.Time // of keys
	expires time.Time // of keys
}

// Key returns the key of an id from the set that the source publishes, or [ErrUnknownKey], or
// [ErrKeysUnavailable] together with the cause. It waits at most 5 seconds for a fetch of its own.
func (p *Published) Key(ctx context.Context, from Source, kid string) (*Key, error) {
	keys, err := p.current(ctx, from, func(s *KeySet) bool {
		_, err := s.Key(kid)
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	return keys.Key(kid)
}

// current returns the set that the source publishes, fetched again if it does not have what is asked
// for.
func (p *Published) current(ctx context.Context, from Source, has func(*KeySet) bool) (*KeySet, error) {
	s := p.set(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trust(p.Roots)
	now := time.Now()
	var failed error
	switch {
	case s.keys == nil || now.After(s.expires):
		if now.Sub(s.tried) >= fetchSpacing {
			failed = p.refresh(ctx, s, from, now)
		}
	case !has(s.keys):
		_, failed = p.seek(ctx, s, from, now)
	}
	if s.keys == nil || now.Sub(s.fetched) > staleByDefault {
		if failed == nil {
			return nil, ErrKeysUnavailable
		}
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, failed)
	}
	return s.keys, nil
}

// Renew fetches a set again because a key of it does not fit: the publisher may have replaced the
// key and kept its id, or uses none. It reports whether there is a new set to try.
func (p *Published) Renew(ctx context.Context, from Source) bool {
	s := p.set(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	renewed, err := p.seek(ctx, s, from, time.Now())
	return renewed && err == nil
}

// seek fetches the set before its time, unless that was done a short time ago. It has a spacing of
// its own: a publisher that replaces its keys right after a fetch is not refused for it.
func (p *Published) seek(ctx context.Context, s *publishedSet, from Source, now time.Time) (bool, error) {
	if now.Sub(s.sought) < fetchSpacing {
		return false, nil
	}
	s.sought = now
	return true, p.refresh(ctx, s, from, now)
}

// trust forgets what was fetched with other certificate authorities.
func (s *publishedSet) trust(roots *x509.CertPool) {
	if s.roots != roots && !s.roots.Equal(roots) {
		s.keys, s.tried, s.sought = nil, time.Time{}, time.Time{}
	}
	s.roots = roots
}

// networks are those that are reached for a source beside public ones.
func (p *Published) networks(from Source) []netip.Prefix {
	if from.Unknown {
		return nil
	}
	return p.Allow
}

// set returns the place of a source, and makes room for a new one. A set that was fetched from what
// is not allowed any more is another one.
func (p *Published) set(from Source) *publishedSet {
	name := fmt.Sprint(p.networks(from), " ", from.Certificates, " ", strings.Join(from.Algorithms, " "), " ", from.URL)
	return p.Sets.set(name)
}

func (p *PublishedSets) set(name string) *publishedSet {
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

func (p *PublishedSets) forgetOne() {
	oldest := ""
	for name, s := range p.sets {
		if oldest == "" || s.asked.Before(p.sets[oldest].asked) {
			oldest = name
		}
	}
	delete(p.sets, oldest)
}

// refresh fetches the set. A caller that goes away does not make a fetch fail for those who wait.
func (p *Published) refresh(ctx context.Context, s *publishedSet, from Source, now time.Time) error {
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
	c := &egress.Client{
		Allow:     p.networks(from),
		Roots:     p.Roots,
		Redirects: maxRedirects,
		Timeout:   fetchTimeout,
		MaxBody:   maxKeySet,
		Transport: p.Transport,
	}
	if err := c.Check(address); err != nil {
		return nil, 0, err
	}
	body, header, err := get(ctx, c, address)
	if err != nil {
		return nil, 0, err
	}
	keys, err := from.parse(body)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", address.Redacted(), err)
	}
	return keys, keysLife(header), nil
}

func (from Source) parse(body []byte) (*KeySet, error) {
	if from.Certificates {
		return ParseCertificates(body)
	}
	return ParseKeySet(body, from.Algorithms)
}

// maxKeySet is the largest key set that is read, in bytes.
const maxKeySet = 64 << 10
