package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/handover"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// open does what needs the store.
func (a *App) open() error {
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
	return nil
}

// checkDeclared refuses at Start what could not be taken into the store later.
func (a *App) checkDeclared() error {
	if err := a.store.CheckDeclaration(a.ctx, buildDeclaration(a.server), time.Now()); err != nil {
		return fmt.Errorf("taking projects, clients and users into the store: %w", err)
	}
	return nil
}

// preparedClients is of how many clients the keys for ID tokens are made beforehand. Those of others
// are made when they are needed.
const preparedClients = 100

// takeDeclared takes what the Caddyfile declares into the store. What it declares no more can do
// nothing from then on.
func (a *App) takeDeclared() error {
	ended, err := a.store.Reconcile(a.ctx, buildDeclaration(a.server), time.Now())
	if err != nil {
		return fmt.Errorf("taking projects, clients and users into the store: %w", err)
	}
	if listed, err := a.store.ListClients(
		a.ctx,
		"",
		project.Page{Limit: preparedClients},
	); err == nil &&
		a.gates.Browsers {
		a.keys.prepare(listed)
	}
	for _, e := range ended {
		text := "sessions ended by the configuration"
		if e.TokensOnly() {
			text = "access tokens ended by the configuration"
		}
		a.logger.Info(text, zap.String("kind", string(e.Kind)), zap.String("project", e.Project),
			zap.String("id", e.ID), zap.String("reason", e.Reason))
	}
	// The orders of this very transaction hold with the first request.
	if err := a.store.follow(a.ctx); err != nil {
		return fmt.Errorf("reading what is revoked: %w", err)
	}
	return nil
}

// derive gives the opaque tokens, the nonces of DPoP proofs and the states of sign-ins what makes
// them. Without a salt there are no opaque tokens.
func derive(a *App, secret *keyring.SecretRing, salt string) {
	if salt != "" {
		a.verification.opaque.Secrets = secret.DeriveWith(opaque.Label, []byte(salt))
	}
	a.gates.Possession.nonces.Keys = secret.Derive(dpop.NonceLabel)
	if a.gates.Applications != nil {
		a.gates.Applications.handover.States.Keys = secret.Derive(handover.Label)
	}
}

// refreshTokens makes refresh tokens from what is derived from the secret.
func refreshTokens(secret *keyring.SecretRing) (tokens session.Tokens) {
	for _, key := range secret.Derive(session.TokenLabel) {
		tokens.Secrets = append(tokens.Secrets, session.Secret(key))
	}
	return tokens
}

// unlock gets the secret and what is derived from it, and opens the sealed keys of the store.
func (a *App) unlock() error {
	secret, made, err := sealingSecret(a.server)
	if err != nil {
		return err
	}
	if err := checkFingerprint(a.ctx, a.store, secret); err != nil {
		if made { // the store has another one: a new file would only stand in the way of the lost one
			err = errors.Join(err, os.Remove(secretFile()))
		}
		return err
	}
	a.throttle.Key = secret.Derive("throttle")[0].Key
	a.grants.Tokens = refreshTokens(secret)
	salt, err := opaqueSalt(a.ctx, a.store)
	if err != nil {
		return err
	}
	derive(a, secret, salt)
	if a.keys.keeper.Load() == nil { // one that has put a ring in place is being read
		a.keys.keeper.Store(buildKeeper(a, secret))
	}
	return a.keys.keeper.Load().Open(a.ctx, time.Now())
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
	salt, err := a.store.Meta(ctx, opaqueSaltName)
	if err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	if secret != nil {
		derive(a, secret, salt)
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
	// Beside configured keys, of the generated ones only those for ID tokens are in use.
	inUse := func(rec keyring.Record) bool { return a.server.Ring == nil || rec.Purpose == keyring.IDTokens }
	if !slices.ContainsFunc(set.Records, inUse) {
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
