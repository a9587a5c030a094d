package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// Version implements stream.Keys.
func (k *Keys) Version() stream.KeysVersion {
	version := stream.KeysVersion{Ring: k.ring.Load()}
	for _, remote := range k.remotes {
		if fetched := remote.Fetched(); fetched.After(version.Fetched) {
			version.Fetched = fetched
		}
	}
	return version
}

// Check implements stream.Keys.
func (k *Keys) Check(t *token.Token) (ends time.Time, refusal token.Reason) {
	if t.Issuer() != k.issuer {
		return time.Time{}, k.checkForeign(t)
	}
	ring := k.ring.Load()
	if ring == nil { // the store was not reached yet
		return time.Time{}, ""
	}
	if !t.Key.Equal(ring.Key(t.Key.ID())) {
		return time.Time{}, token.UnknownKey
	}
	if k.keeper.Load() == nil {
		return time.Time{}, ""
	}
	return k.keeper.Load().Retires(t.Key.ID()), ""
}

func (k *Keys) checkForeign(t *token.Token) token.Reason {
	at := slices.IndexFunc(k.remotes, func(r *pooledRemote) bool { return r.Issuer == t.Issuer() })
	if at < 0 {
		return token.UnknownIssuer
	}
	remote := k.remotes[at]
	if !remote.Available() {
		return ""
	}
	key, err := remote.Key(context.Background(), t.Key.ID()) // does not wait, because there is a set
	if errors.Is(err, keyring.ErrUnknownKey) || err == nil && !t.Key.Equal(key) {
		return token.UnknownKey
	}
	return ""
}
