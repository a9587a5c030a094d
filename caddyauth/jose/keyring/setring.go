package keyring

import (
	"errors"
	"fmt"
	"time"
)

// Ring opens the keys that are not over at now. configured, which may be nil, are keys of the
// configuration, which sign access tokens instead of those of the set. Keys that old, which may be
// nil, has already are the same ones again, so that what they verified need not be compared with
// them. There is always a ring: with an error, that of the keys that could be opened, which has no
// active key when that one could not.
func (s *SecretRing) Ring(set Set, now time.Time, configured, old *Ring) (*Ring, error) {
	o := opening{secret: s, old: old, keys: configured.Keys(), signers: map[string]*Key{}}
	if key := configured.Active(); key != nil {
		o.active = key.ID()
	}
	for _, rec := range set.Records {
		if !rec.expired(now) && (configured == nil || rec.Purpose == IDTokens) {
			o.add(rec)
		}
	}
	return o.ring()
}

// opening is a ring while the keys of a set are opened.
type opening struct {
	secret  *SecretRing
	old     *Ring
	keys    []*Key
	active  string
	signers map[string]*Key
	errs    []error
}

// add opens a key. One that has the id of another key is left out: a ring cannot tell them apart.
func (o *opening) add(rec Record) {
	key, err := o.secret.Open(rec)
	if err != nil {
		o.errs = append(o.errs, err)
		return
	}
	for _, other := range o.keys {
		if other.ID() == key.ID() {
			o.errs = append(o.errs, fmt.Errorf("key %q: the configuration has a key of this id", clip(rec.ID)))
			return
		}
	}
	if was := o.old.Key(rec.ID); was.Equal(key) {
		key = was
	}
	o.keys = append(o.keys, key)
	switch {
	case rec.State != Active:
	case rec.Purpose == IDTokens:
		o.signers[rec.Algorithm] = key
	default:
		o.active = rec.ID
	}
}

// ring is NewRing for a set which may be empty, or without an active key.
func (o *opening) ring() (*Ring, error) {
	empty := &Ring{jwks: marshalJWKS(nil)}
	if len(o.keys) == 0 {
		return empty, errors.Join(o.errs...)
	}
	ring, err := NewRing(o.keys, o.active)
	if err != nil {
		return empty, errors.Join(append(o.errs, err)...)
	}
	if o.active == "" {
		ring.active = nil
	}
	ring.idTokens = o.signers
	return ring, errors.Join(o.errs...)
}
