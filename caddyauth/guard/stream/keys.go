package stream

import (
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// Keys are the keys of one configuration.
type Keys interface {
	// Version changes when the keys do.
	Version() KeysVersion
	// Check returns until when, at most, the configuration has the key of a verified token; zero
	// when that is not known. The refusal is empty unless the configuration does not have the key.
	// Keys that cannot be had for the moment refuse nothing.
	Check(t *token.Token) (ends time.Time, refusal token.Reason)
}

// KeysVersion identifies a state of the keys.
type KeysVersion struct {
	// Ring holds the server's own keys.
	Ring *keyring.Ring
	// Fetched is when a key set of a trusted issuer was last fetched.
	Fetched time.Time
}

// trackedKeys are the keys of a configuration that has not ended.
type trackedKeys struct {
	Keys
	seen KeysVersion // at the last look
}

// Track registers the keys of a provisioned configuration until untrack is called. A stream
// survives while any registered configuration still has its key.
func (w *Watcher) Track(keys Keys) (untrack func()) {
	w.mu.Lock()
	w.keys = append(w.keys, trackedKeys{Keys: keys})
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		w.keys = slices.DeleteFunc(w.keys, func(k trackedKeys) bool { return k.Keys == keys })
		for i := range w.keys {
			w.keys[i].seen = KeysVersion{} // the one that ends may have had a key that the others lack
		}
		w.mu.Unlock()
		w.Nudge()
	}
}

// keysChanged reports whether any keys have changed since the last look; the caller holds the lock.
func (w *Watcher) keysChanged() (changed bool) {
	for i := range w.keys {
		if version := w.keys[i].Version(); version != w.keys[i].seen {
			w.keys[i].seen, changed = version, true
		}
	}
	return changed
}

// keyRefusal returns why a request with the stream's token would be refused because of its key; the
// caller holds the lock.
//
// A configuration that is about to take over may still be refused, so it is enough if one has the
// key. A key that has retired was not revoked: a stream that may outlive its token may outlive the
// key. Nobody knows why a trusted issuer removes a key, so its keys count as long as the token.
func (w *Watcher) keyRefusal(s *stream, now time.Time) token.Reason {
	t := s.token
	if t.Key == nil || !t.Own() && !now.Before(t.Expiry.Time()) {
		return ""
	}
	var why token.Reason
	for _, keys := range w.keys {
		ends, refusal := keys.Check(t)
		if refusal == "" {
			if !ends.IsZero() {
				s.keyEnds = ends
			}
			return ""
		}
		why = refusal
	}
	// The node with the fastest clock is the first to remove a key that has retired.
	if !s.keyEnds.IsZero() && !now.Before(s.keyEnds.Add(-leeway.Clocks)) {
		return ""
	}
	return why
}
