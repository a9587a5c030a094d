package auth

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// Keys are the keys that verify tokens: the server's own and those of trusted issuers. The own ones
// are configured, or generated and kept in step with the store.
type Keys struct {
	ready  func(context.Context) error // waits for the ring
	issuer string                      // the server's own
	nudge  func()                      // has streams checked against a new ring
	logger *zap.Logger

	ring    atomic.Pointer[keyring.Ring]   // the server's own
	keeper  atomic.Pointer[keyring.Keeper] // of generated keys; set before their ring is
	remotes []*pooledRemote
}

// ErrConfiguredKeys is the answer to orders which are about generated keys.
var ErrConfiguredKeys = errors.New(
	"keys: they are given in the configuration, so that they are rotated and removed there",
)

// Ring returns the ring of the server's own keys. It waits for the start of the server.
func (k *Keys) Ring(ctx context.Context) (*keyring.Ring, error) {
	if ring := k.ring.Load(); ring != nil {
		return ring, nil
	}
	if err := k.ready(ctx); err != nil {
		return nil, err
	}
	return k.ring.Load(), nil
}

// Key returns one of the server's own keys, or keyring.ErrUnknownKey.
func (k *Keys) Key(ctx context.Context, kid string) (*keyring.Key, error) {
	ring, err := k.Ring(ctx)
	if err != nil {
		return nil, err
	}
	if key := ring.Key(kid); key != nil {
		return key, nil
	}
	return nil, keyring.ErrUnknownKey
}

// Signing returns the key to sign a token of this lifetime with, counted from now. Whatever is
// signed takes its key from here: a key verifies, after it was replaced, for as long as the longest
// lifetime that was asked for.
func (k *Keys) Signing(ctx context.Context, lifetime time.Duration, now time.Time) (*keyring.Key, error) {
	ring, err := k.Ring(ctx)
	if err != nil {
		return nil, err
	}
	if keeper := k.keeper.Load(); keeper.Ring() != nil {
		return keeper.SigningKey(ctx, lifetime, now)
	}
	if key := ring.Active(); key != nil {
		return key, nil
	}
	return nil, keyring.ErrCannotSign
}

// IDToken returns the key to sign an ID token of this algorithm and lifetime with; see Signing.
func (k *Keys) IDToken(ctx context.Context, algorithm string, lifetime time.Duration,
	now time.Time) (*keyring.Key, error) {
	if err := k.ready(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, idTokenWait)
	defer cancel()
	return k.keeper.Load().IDTokenKey(ctx, algorithm, lifetime, now)
}

// prepare has the keys made that sign the ID tokens of clients, so that no person waits for them.
func (k *Keys) prepare(list []clients.Client) {
	for _, c := range list {
		if slices.Contains(c.Scopes, openid.OpenID) && c.AllowsGrant(clients.GrantCode) {
			k.keeper.Load().Want(c.SignsIDTokenWith())
		}
	}
}

// Answer returns the key for what is signed like an ID token and read as soon as it is received.
func (k *Keys) Answer(ctx context.Context, algorithm string, now time.Time) (*keyring.Key, error) {
	return k.IDToken(ctx, algorithm, time.Minute, now)
}

// idTokenWait is how long a request waits for a key that is being made.
const idTokenWait = 5 * time.Second

// List returns the keys that sign and verify the server's own tokens, as they are in the store now.
func (k *Keys) List(ctx context.Context) ([]keyring.Info, error) {
	if _, err := k.Ring(ctx); err != nil {
		return nil, err
	}
	if keeper := k.keeper.Load(); keeper != nil {
		if err := keeper.Refresh(ctx, time.Now()); err != nil {
			return nil, err
		}
	}
	return k.infos(), nil
}

// Rotate announces the next generated key of each purpose now, unless one is announced already: it
// signs when it has been published for as long as `announce` says. It returns the keys afterwards.
func (k *Keys) Rotate(ctx context.Context) ([]keyring.Info, error) {
	return k.change(ctx, func(keeper *keyring.Keeper) error {
		if keeper.Configured != nil && len(keeper.Infos()) == len(keeper.Configured.Infos()) {
			return ErrConfiguredKeys
		}
		return keeper.Rotate(ctx, time.Now())
	})
}

// Revoke removes a generated key at once, on this node before it returns and on all others within a
// second; all its tokens are refused. If it was the active one, the announced key, or else a new
// one, signs at once. It returns the keys afterwards. The error wraps keyring.ErrUnknownKey when
// there is no such key.
func (k *Keys) Revoke(ctx context.Context, kid string) ([]keyring.Info, error) {
	return k.change(ctx, func(keeper *keyring.Keeper) error {
		if keeper.Configured.Key(kid) != nil {
			return ErrConfiguredKeys
		}
		return keeper.Revoke(ctx, kid, time.Now())
	})
}

// change carries out what an operator asks of generated keys.
func (k *Keys) change(ctx context.Context, order func(*keyring.Keeper) error) ([]keyring.Info, error) {
	if _, err := k.Ring(ctx); err != nil {
		return nil, err
	}
	keeper := k.keeper.Load()
	if keeper == nil {
		return nil, ErrConfiguredKeys
	}
	if err := order(keeper); err != nil {
		return nil, err
	}
	return k.infos(), nil
}

// infos lists the keys that this node knows.
func (k *Keys) infos() []keyring.Info {
	ring := k.ring.Load() // before the keeper, which is set when there is a ring
	if keeper := k.keeper.Load(); ring != nil && keeper.Ring() != nil {
		return keeper.Infos()
	}
	return ring.Infos()
}

// Fetch begins fetching the key sets of the trusted issuers.
func (k *Keys) Fetch() {
	for _, remote := range k.remotes {
		remote.start()
	}
}

// adopt puts a new ring in place and lets streams be checked against it.
func (k *Keys) adopt(ring *keyring.Ring) {
	k.ring.Store(ring)
	k.nudge()
}

func (k *Keys) logState(id, algorithm string, state keyring.State) {
	k.logger.Info(
		"signing key",
		zap.String("kid", id),
		zap.String("algorithm", algorithm),
		zap.String("state", string(state)),
	)
}

// logKeeper logs what keeps the keys from being kept in step with the store; nil when nothing does
// any more.
func (k *Keys) logKeeper(err error) {
	if err != nil {
		k.logger.Warn("the signing keys cannot be kept up to date; the known ones stay in use", zap.Error(err))
		return
	}
	k.logger.Info("the signing keys are kept up to date again")
}
