package auth

import (
	"errors"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// streamClocks is how much the clocks of nodes may differ: the fastest is the first to take a key away whose time is over.
const streamClocks = leeway.Clocks

// keysInUse are the keys of a configuration that has not ended.
type keysInUse struct {
	app  *App
	seen keyMark // at the last look
}

// keyMark changes when the keys of a configuration do.
type keyMark struct {
	ring    *keyring.Ring
	fetched time.Time // the last set of a trusted issuer
}

func (a *App) keyMark() keyMark {
	mark := keyMark{ring: a.ring.Load()}
	for _, remote := range a.remotes {
		if fetched := remote.Fetched(); fetched.After(mark.fetched) {
			mark.fetched = fetched
		}
	}
	return mark
}

// heed holds all streams to the keys of a provisioned configuration, besides those of others that have not ended, until forget is called.
func (s *streams) heed(a *App) (forget func() error) {
	s.mu.Lock()
	s.keys = append(s.keys, keysInUse{app: a})
	s.mu.Unlock()
	return func() error {
		s.mu.Lock()
		s.keys = slices.DeleteFunc(s.keys, func(k keysInUse) bool { return k.app == a })
		for i := range s.keys {
			s.keys[i].seen = keyMark{} // what they lack, the one that ends may have had
		}
		s.mu.Unlock()
		s.nudge()
		return nil
	}
}

// keysChanged reports whether any keys are others than at the last look; the caller holds the lock.
func (s *streams) keysChanged() (changed bool) {
	for i := range s.keys {
		if mark := s.keys[i].app.keyMark(); mark != s.keys[i].seen {
			s.keys[i].seen, changed = mark, true
		}
	}
	return changed
}

// keyRefusal is why a request with the stream's token would be refused because of its key; the caller holds the lock.
//
// A configuration that is about to take over may still be refused, so it is enough that one has the key. A key that has retired for good was
// not revoked: what goes on longer than its token may go on longer than the key. Why a trusted issuer takes a key away nobody knows, so its
// keys count as long as the token.
func (s *streams) keyRefusal(st *stream, now time.Time) string {
	t := st.token
	if t.Key == nil || !t.Own() && !now.Before(t.Expiry) {
		return ""
	}
	var why token.Reason
	for _, in := range s.keys {
		ends, refusal := in.app.keyStands(t)
		if refusal == "" {
			if !ends.IsZero() {
				st.until = ends
			}
			return ""
		}
		why = refusal
	}
	if !st.until.IsZero() && !now.Before(st.until.Add(-streamClocks)) {
		return ""
	}
	return string(why)
}

// keyStands asks of a verified token whether this configuration would find its key again, and until when at most, zero when that is not
// known. Keys that cannot be had for the moment take nothing away.
func (a *App) keyStands(t *token.Token) (ends time.Time, refusal token.Reason) {
	if t.Issuer != a.issuer {
		return time.Time{}, a.foreignKeyStands(t)
	}
	ring := a.ring.Load()
	if ring == nil { // the store was not reached yet
		return time.Time{}, ""
	}
	if !t.Key.Equal(ring.Key(t.Key.ID())) {
		return time.Time{}, token.UnknownKey
	}
	if a.rotation == nil {
		return time.Time{}, ""
	}
	return a.rotation.retires(t.Key.ID()), ""
}

func (a *App) foreignKeyStands(t *token.Token) token.Reason {
	at := slices.IndexFunc(a.remotes, func(r *pooledRemote) bool { return r.Issuer == t.Issuer })
	if at < 0 {
		return token.UnknownIssuer
	}
	if !a.remotes[at].Available() {
		return ""
	}
	key, err := a.remotes[at].Key(a.ctx, t.Key.ID())
	if errors.Is(err, keyring.ErrUnknownKey) || err == nil && !t.Key.Equal(key) {
		return token.UnknownKey
	}
	return ""
}

// retires returns when a retiring key is gone; zero for any other key.
func (r *rotation) retires(kid string) time.Time {
	if rec := r.view.Load().set.Find(kid); rec != nil && rec.State == keyring.Retiring {
		return rec.Until
	}
	return time.Time{}
}
