package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// open does what needs the store, once.
func (a *App) open() error {
	a.charge.mu.Lock()
	defer a.charge.mu.Unlock()
	if a.charge.opened {
		return nil
	}
	if err := a.store.Open(a.ctx); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := a.store.resume(a.ctx); err != nil {
		return err
	}
	if err := a.unlock(); err != nil {
		return err
	}
	if err := a.checkDeclared(); err != nil {
		return err
	}
	if err := a.store.follow(a.ctx); err != nil {
		return fmt.Errorf("reading what is revoked: %w", err)
	}
	go a.keys.keeper.Load().Run(a.ctx, a.store.turn)
	a.charge.opened = true
	return nil
}

// unlock gets the secret and what is derived from it, and opens the sealed keys of the store.
func (a *App) unlock() error {
	secret, made, err := a.sealingSecret()
	if err != nil {
		return err
	}
	if err := a.checkFingerprint(secret); err != nil {
		if made { // the store has another one: a new file would only stand in the way of the lost one
			err = errors.Join(err, os.Remove(secretFile()))
		}
		return err
	}
	a.throttle.Key = secret.Derive("throttle")[0].Key
	a.openSessions(secret)
	if a.keys.keeper.Load() == nil { // one that has put a ring in place is being read
		a.keys.keeper.Store(buildKeeper(a, secret))
	}
	return a.keys.keeper.Load().Open(a.ctx, time.Now())
}

// lifecycle is the rule by which the generated keys follow one another.
func (a *App) lifecycle(secret *keyring.SecretRing) keyring.Lifecycle {
	return keyring.Lifecycle{
		Secret:    secret,
		Algorithm: a.server.Keys.Algorithm,
		Every:     a.server.Keys.Every,
		Announce:  a.server.Keys.Announce,
		Access:    a.server.AccessLifetime(),
	}
}

// OpenForReading does what Start does without leaving a trace, for commands that look at a
// configuration: the store is opened read-only, and nothing that is missing is made. Without a key
// in the store the ring stays empty.
func (a *App) OpenForReading(ctx context.Context) error {
	if err := a.store.OpenReadOnly(ctx); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := a.readGeneratedKeys(ctx); err != nil {
		return err
	}
	secret := a.server.Secret
	if secret == nil {
		secret, _ = readSecretFile() // only opaque tokens need it, and are told that it is missing
	}
	if secret != nil {
		a.openOpaque(secret)
	}
	if err := a.store.watch.Poll(ctx); err != nil {
		return fmt.Errorf("reading what is revoked: %w", err)
	}
	close(a.charge.started)
	return nil
}

func (a *App) readGeneratedKeys(ctx context.Context) error {
	set, err := a.store.KeySet(ctx)
	if err != nil {
		return fmt.Errorf("reading keys from the store: %w", err)
	}
	if !slices.ContainsFunc(set.Records, a.usesKey) {
		return nil
	}
	secret := a.server.Secret
	if secret == nil {
		if secret, err = readSecretFile(); err != nil && a.server.Ring != nil {
			return nil // only the keys for ID tokens are missing
		}
		if err != nil {
			return fmt.Errorf("secret: the store's keys are sealed, set `secret` or bring back the file: %w", err)
		}
	}
	ring, err := secret.Ring(set, time.Now(), a.server.Ring, nil)
	if errors.Is(err, keyring.ErrWrongSecret) {
		return fmt.Errorf("secret: this is not the secret the store was created with: %w", err)
	}
	if err != nil {
		return err
	}
	a.keys.ring.Store(ring)
	return nil
}

// usesKey reports whether a generated key is in use: beside configured keys only those for ID tokens
// are.
func (a *App) usesKey(rec keyring.Record) bool {
	return a.server.Ring == nil || rec.Purpose == keyring.IDTokens
}
