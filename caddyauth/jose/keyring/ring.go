package keyring

import (
	"errors"
	"fmt"
	"slices"
)

// Ring is an immutable set of keys of one issuer. The active key signs, all
// verify. It is safe for concurrent use.
type Ring struct {
	keys   []*Key
	byID   map[string]*Key
	active *Key
	jwks   []byte

	idTokens map[string]*Key // by algorithm: those that sign ID tokens and nothing else
}

// NewRing makes a ring. The active key is named by its id; an empty name means
// the first key that can sign, and a ring in which no key can sign has none. It
// refuses an empty set, a repeated or empty id, and an active key that is not
// in the ring or cannot sign.
func NewRing(keys []*Key, active string) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("keys: none given")
	}
	r := &Ring{keys: slices.Clone(keys), byID: make(map[string]*Key, len(keys))}
	for i, k := range keys {
		if k == nil || k.id == "" {
			return nil, fmt.Errorf("keys: key %d has an empty id", i+1)
		}
		if r.byID[k.id] != nil {
			return nil, fmt.Errorf("keys: id %q is given to more than one key", k.id)
		}
		r.byID[k.id] = k
	}
	if err := r.activate(active); err != nil {
		return nil, err
	}
	r.jwks = marshalJWKS(r.keys)
	return r, nil
}

// activate picks the key that signs.
func (r *Ring) activate(id string) error {
	if id == "" {
		if i := slices.IndexFunc(r.keys, (*Key).CanSign); i >= 0 {
			r.active = r.keys[i]
		}
		return nil
	}
	k := r.byID[id]
	if k == nil {
		return fmt.Errorf("keys: active key %q is not in the ring, which holds %q", clip(id), r.ids())
	}
	if !k.CanSign() {
		return fmt.Errorf("keys: active key %q cannot sign, it has no private part", id)
	}
	r.active = k
	return nil
}

// ids lists the ids for an error text.
func (r *Ring) ids() []string {
	ids := make([]string, len(r.keys))
	for i, k := range r.keys {
		ids[i] = k.id
	}
	return ids
}

// Key returns the key with this id, nil when there is none. A nil ring has no
// keys.
func (r *Ring) Key(kid string) *Key {
	if r == nil {
		return nil
	}
	return r.byID[kid]
}

// Active returns the key that signs; nil for a nil ring and for a ring whose
// keys only verify.
func (r *Ring) Active() *Key {
	if r == nil {
		return nil
	}
	return r.active
}

// IDToken returns the key that signs ID tokens with the algorithm: one that is for them alone, or
// else the active key when it has the algorithm; nil when there is none.
func (r *Ring) IDToken(algorithm string) *Key {
	if r == nil {
		return nil
	}
	if key := r.idTokens[algorithm]; key != nil {
		return key
	}
	if r.active != nil && r.active.alg.name == algorithm && !r.active.Symmetric() {
		return r.active
	}
	return nil
}

// Keys returns all keys in the order they were given.
func (r *Ring) Keys() []*Key {
	if r == nil {
		return nil
	}
	return slices.Clone(r.keys)
}

// JWKS returns the JWK Set (RFC 7517 section 5) of the public keys, each with
// kid, alg and use=sig. HMAC secrets and private parts are never in it. It was
// computed once: callers must not modify it. For a nil ring it is an empty set.
func (r *Ring) JWKS() []byte {
	if r == nil {
		return marshalJWKS(nil)
	}
	return r.jwks
}
