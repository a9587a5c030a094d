package keyring

import (
	"encoding/json"
	"fmt"
	"slices"
)

// usable makes keys of what the issuer published and says why the others are
// left out.
func (r *Remote) usable(published []json.RawMessage) (keys map[string]*Key, ignored []string) {
	var before map[string]*Key
	if set := r.set.Load(); set != nil {
		before = set.keys
	}
	return publication{algorithms: r.Algorithms}.usable(published, before)
}

// publication are the rules for a set that someone else publishes.
type publication struct {
	algorithms []string // the preferred first; none: all of key pairs
	nameless   bool     // a key without an id gets its thumbprint as one
}

// usable makes keys of a set and says why the others are left out. A key that
// stood in the set before stays the very same pointer, so that what was
// verified with it need not be verified again.
func (p publication) usable(published []json.RawMessage, before map[string]*Key) (
	keys map[string]*Key, ignored []string,
) {
	keys = make(map[string]*Key)
	ambiguous := make(map[string]bool)
	for i, raw := range published {
		k, err := p.publishedKey(raw)
		if err != nil {
			ignored = append(ignored, fmt.Sprintf("key %d: %v", i+1, err))
			continue
		}
		if other := keys[k.id]; other != nil && !other.Equal(k) {
			ambiguous[k.id] = true
		}
		if old := before[k.id]; old.Equal(k) {
			k = old
		}
		keys[k.id] = k
	}
	for id := range ambiguous {
		delete(keys, id)
		ignored = append(ignored, fmt.Sprintf("kid %q: is shared by different keys, none of which is used", id))
	}
	slices.Sort(ignored)
	return keys, ignored
}

// publishedKey reads one key of a published set and refuses what must not be
// there or cannot be used.
func (p publication) publishedKey(raw json.RawMessage) (*Key, error) {
	j, err := decodeJSONObject(raw)
	if err != nil {
		return nil, err
	}
	kid, err := j.text("kid")
	if err != nil {
		return nil, err
	}
	k, err := p.trusted(j, kid)
	if err != nil {
		return nil, fmt.Errorf("kid %q: %w", clip(kid), err)
	}
	return k, nil
}

// trusted makes the key of a JWK that is fit to verify a foreign token with.
func (p publication) trusted(j jwk, kid string) (*Key, error) {
	if kid != "" || !p.nameless {
		if err := checkID(kid); err != nil {
			return nil, err
		}
	}
	if err := j.checkPurpose(); err != nil {
		return nil, err
	}
	if err := j.checkPublic(); err != nil {
		return nil, err
	}
	m, err := j.material()
	if err != nil {
		return nil, err
	}
	alg, err := p.pin(j, m)
	if err != nil {
		return nil, err
	}
	if kid == "" {
		if _, err := alg.check(m.public); err != nil {
			return nil, err
		}
		kid = thumbprint(m.public)
	}
	return m.key(kid, alg)
}

// pin chooses the one algorithm a published key is used with.
func (p publication) pin(j jwk, m material) (*algorithm, error) {
	allowed := p.allowed()
	name, err := j.text("alg")
	if err != nil {
		return nil, err
	}
	if name == "" {
		return firstFitting(m.public, allowed)
	}
	if !slices.Contains(allowed, name) {
		return nil, fmt.Errorf("alg %q is not one of the allowed algorithms %q", clip(name), allowed)
	}
	return algorithmNamed(name)
}

func (p publication) allowed() []string {
	if len(p.algorithms) == 0 {
		return asymmetricAlgorithms()
	}
	return p.algorithms
}
