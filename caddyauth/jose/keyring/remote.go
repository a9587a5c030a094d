package keyring

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyauth/gateway/caddyauth/web/egress"
)

// ErrUnknownKey is returned when an issuer's set has no usable key of the id.
var ErrUnknownKey = errors.New("issuer has no key of this id")

// ErrKeysUnavailable is returned while an issuer's set has never been fetched, or not for so long
// that the last good one has expired.
var ErrKeysUnavailable = errors.New("keys of the issuer are unavailable")

const (
	fetchTimeout   = 5 * time.Second  // for all requests of one fetch together
	fetchSpacing   = 30 * time.Second // between the starts of two fetches, whatever asks for them
	minKeysLife    = time.Minute
	maxKeysLife    = time.Hour
	plainKeysLife  = 15 * time.Minute // when the issuer's answer does not say
	staleByDefault = 24 * time.Hour
)

// Remote is the key set of a foreign issuer. It is fetched by [Remote.Run] in
// the background and again after three quarters of the time its Cache-Control
// allows (held between 1 minute and 1 hour; 15 minutes when it says nothing).
// A key id that is not in the set brings the next fetch forward, but fetches
// never start less than 30 seconds apart. While fetches fail, the last good set
// is used for StaleFor. A key that has left the set is gone with the fetch that
// shows it.
//
// Used are keys for signatures of a kind and an algorithm that is allowed, with
// a key id. Others are ignored: secrets, keys published with their private
// part, short or malformed ones, and all of several different keys that share
// an id. A key is pinned to its `alg`; one without is pinned to the first
// allowed algorithm that fits it.
//
// Addresses must be https, or http on a loopback host. Redirects and the
// address a discovery document names must be so too, and when they lead to
// another host than the configured one, that host must be public, which is
// checked of the address dialled (loopback is allowed from loopback).
//
// The exported fields must not change after the first call of Run or Key.
type Remote struct {
	// Issuer is the exact `iss` of the issuer's tokens. Without JWKSURL it is
	// also where discovery starts.
	Issuer string

	// JWKSURL is the address of the key set. Default: the jwks_uri of the
	// discovery document, OpenID Connect Discovery 1.0 section 4 or else
	// RFC 8414 section 3, whose issuer must equal Issuer.
	JWKSURL string

	// Algorithms are the accepted ones, the preferred first. Default: all
	// supported ones with key pairs. HMAC is refused.
	Algorithms []string

	// StaleFor is how long the last good set is used while fetches fail.
	// Default: 24h.
	StaleFor time.Duration

	// Transport sends the requests, with its own rules about which addresses may be dialled.
	// Default: one that checks them, see [egress.Client].
	Transport http.RoundTripper

	// Observe, when set, is told of every fetch, from the goroutine of Run.
	Observe func(Fetch)

	once  sync.Once
	first chan struct{} // closed after the first fetch, good or bad
	wake  chan struct{} // an unknown key id was asked for
	set   atomic.Pointer[remoteSet]
}

// Fetch tells how one fetch went.
type Fetch struct {
	Issuer  string
	Err     error         // nil when the set was replaced
	Keys    int           // usable keys
	Ignored []string      // one sentence per key that is not used; no key material
	Next    time.Duration // until the next planned fetch
}

// remoteSet is one fetched set; immutable.
type remoteSet struct {
	keys    map[string]*Key
	fetched time.Time
}

func (r *Remote) init() {
	r.once.Do(func() {
		r.first = make(chan struct{})
		r.wake = make(chan struct{}, 1)
	})
}

// Validate refuses settings that no fetch could succeed with. It makes no
// request.
func (r *Remote) Validate() error {
	if r.Issuer == "" {
		return errors.New("issuer: is empty")
	}
	for _, name := range r.Algorithms {
		a, err := algorithmNamed(name)
		if err != nil {
			return fmt.Errorf("issuer %q: algorithms: %w", r.Issuer, err)
		}
		if a.family == familyHMAC {
			return fmt.Errorf("issuer %q: algorithms: %s needs a shared secret, a foreign issuer needs key pairs",
				r.Issuer, name)
		}
	}
	if r.StaleFor < 0 {
		return fmt.Errorf("issuer %q: stale time %s is negative", r.Issuer, r.StaleFor)
	}
	_, err := r.home()
	return err
}

// home is the configured address: the one a person chose to trust.
func (r *Remote) home() (*url.URL, error) {
	setting, address := "jwks", r.JWKSURL
	if address == "" {
		setting, address = "discovery", r.Issuer
	}
	u, err := egress.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("issuer %q: %s: %w", r.Issuer, setting, err)
	}
	if r.JWKSURL == "" && (u.RawQuery != "" || u.Fragment != "") {
		return nil, fmt.Errorf("issuer %q: discovery: an issuer has no query and no fragment", r.Issuer)
	}
	return u, nil
}

// Run fetches the set now and then again and again until ctx ends. It is called
// once.
func (r *Remote) Run(ctx context.Context) {
	r.init()
	for {
		started := time.Now()
		next := r.refresh(ctx)
		if !r.waitForNextFetch(ctx, started, next) {
			return
		}
	}
}

// waitForNextFetch waits until the next fetch is due; an unknown key id makes it due earlier. It
// reports false when ctx has ended.
func (r *Remote) waitForNextFetch(ctx context.Context, started time.Time, next time.Duration) bool {
	planned := time.NewTimer(next)
	defer planned.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-planned.C:
		return true
	case <-r.wake:
	}
	spaced := time.NewTimer(max(0, time.Until(started.Add(fetchSpacing))))
	defer spaced.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-spaced.C:
	case <-planned.C:
	}
	r.forgetWake()
	return true
}

// forgetWake discards a request for a fetch, because one is about to start.
func (r *Remote) forgetWake() {
	select {
	case <-r.wake:
	default:
	}
}

// refresh fetches once, puts a good set in place, and returns the time until
// the next planned fetch.
func (r *Remote) refresh(ctx context.Context) time.Duration {
	fetchCtx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	next := fetchSpacing
	doc, err := r.fetch(fetchCtx)
	report := Fetch{Issuer: r.Issuer, Err: err}
	if err == nil {
		keys, ignored := r.usable(doc.keys)
		r.set.Store(&remoteSet{keys: keys, fetched: time.Now()})
		next = max(fetchSpacing, doc.life*3/4)
		report.Keys, report.Ignored = len(keys), ignored
	}
	select {
	case <-r.first:
	default:
		close(r.first)
	}
	report.Next = next
	if r.Observe != nil && ctx.Err() == nil {
		r.Observe(report)
	}
	return next
}

// Key returns the issuer's key of this id, or [ErrUnknownKey], or
// [ErrKeysUnavailable]. It makes no request and waits for nothing but the very
// first fetch, for 5 seconds at most and not past the end of ctx.
func (r *Remote) Key(ctx context.Context, kid string) (*Key, error) {
	set := r.set.Load()
	if set == nil {
		set = r.waitForFirstSet(ctx)
	}
	if set == nil || time.Since(set.fetched) > r.staleFor() {
		return nil, ErrKeysUnavailable
	}
	if k := set.keys[kid]; k != nil {
		return k, nil
	}
	select {
	case r.wake <- struct{}{}:
	default: // a fetch is requested already
	}
	return nil, ErrUnknownKey
}

// waitForFirstSet waits for the end of the first fetch. The result may be nil.
func (r *Remote) waitForFirstSet(ctx context.Context) *remoteSet {
	r.init()
	timer := time.NewTimer(fetchTimeout)
	defer timer.Stop()
	select {
	case <-r.first:
	case <-ctx.Done():
	case <-timer.C:
	}
	return r.set.Load()
}

// Fetched returns when the set in use was fetched; zero when there is none.
func (r *Remote) Fetched() time.Time {
	if set := r.set.Load(); set != nil {
		return set.fetched
	}
	return time.Time{}
}

// Available reports whether keys can be had at this moment: a set was fetched,
// not longer ago than StaleFor. It never waits.
func (r *Remote) Available() bool {
	set := r.set.Load()
	return set != nil && time.Since(set.fetched) <= r.staleFor()
}

func (r *Remote) staleFor() time.Duration {
	if r.StaleFor > 0 {
		return r.StaleFor
	}
	return staleByDefault
}
