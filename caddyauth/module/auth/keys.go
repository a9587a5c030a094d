package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/module/config"
)

// unlock gets the secret and what is derived from it, and opens the sealed keys of the store where
// none are configured.
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
	if a.server.Ring != nil {
		return nil
	}
	if a.keys.keeper == nil { // one that has put a ring in place is being read
		a.keys.keeper = buildKeeper(a, secret)
	}
	return a.keys.keeper.Open(a.ctx, time.Now())
}

// adoptRing puts a new ring in place and lets streams be checked against it.
func (a *App) adoptRing(ring *keyring.Ring) {
	a.keys.ring.Store(ring)
	a.store.streams.Nudge()
}

func (a *App) logKeyState(id, algorithm string, state keyring.State) {
	a.logger.Info(
		"signing key",
		zap.String("kid", id),
		zap.String("algorithm", algorithm),
		zap.String("state", string(state)),
	)
}

// logKeeper logs what keeps the keys from being kept in step with the store; nil when nothing does
// any more.
func (a *App) logKeeper(err error) {
	if err != nil {
		a.logger.Warn("the signing keys cannot be kept up to date; the known ones stay in use", zap.Error(err))
		return
	}
	a.logger.Info("the signing keys are kept up to date again")
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

// errConfiguredKeys is the answer to orders which are about generated keys.
var errConfiguredKeys = errors.New(
	"keys: they are given in the configuration, so that they are rotated and removed there",
)

// listKeys returns the keys that sign and verify the server's own tokens, as they are in the store
// now.
func (a *App) listKeys(ctx context.Context) ([]keyring.Info, error) {
	if _, err := a.ownRing(ctx); err != nil {
		return nil, err
	}
	if a.keys.keeper != nil {
		if err := a.keys.keeper.Refresh(ctx, time.Now()); err != nil {
			return nil, err
		}
	}
	return a.keyInfos(), nil
}

// rotateKeys announces the next key now, unless one is announced already: it signs when it has been
// published for as long as `announce` says. It returns the keys afterwards.
func (a *App) rotateKeys(ctx context.Context) ([]keyring.Info, error) {
	return a.changeKeys(ctx, func(k *keyring.Keeper) error { return k.Rotate(ctx, time.Now()) })
}

// revokeKey removes a generated key at once, on this node before it returns and on all others
// within a second; all its tokens are refused. If it was the active one, the announced key, or else
// a new one, signs at once. It returns the keys afterwards. The error wraps keyring.ErrUnknownKey
// when there is no such key.
func (a *App) revokeKey(ctx context.Context, kid string) ([]keyring.Info, error) {
	return a.changeKeys(ctx, func(k *keyring.Keeper) error { return k.Revoke(ctx, kid, time.Now()) })
}

// changeKeys carries out what an operator asks of generated keys.
func (a *App) changeKeys(ctx context.Context, change func(*keyring.Keeper) error) ([]keyring.Info, error) {
	if _, err := a.ownRing(ctx); err != nil {
		return nil, err
	}
	if a.keys.keeper == nil {
		return nil, errConfiguredKeys
	}
	if err := change(a.keys.keeper); err != nil {
		return nil, err
	}
	return a.keyInfos(), nil
}

// keyInfos lists the keys that this node knows.
func (a *App) keyInfos() []keyring.Info {
	ring := a.keys.ring.Load() // before the keeper, which is set when there is a ring
	if ring != nil && a.keys.keeper != nil {
		return a.keys.keeper.Infos()
	}
	return ring.Infos()
}

// signingKey returns the key to sign a token of this lifetime with, counted from now. Whatever is
// signed takes its key from here: a key verifies, after it was replaced, for as long as the longest
// lifetime that was asked for.
func (a *App) signingKey(ctx context.Context, lifetime time.Duration, now time.Time) (*keyring.Key, error) {
	ring, err := a.ownRing(ctx)
	if err != nil {
		return nil, err
	}
	if a.keys.keeper != nil {
		return a.keys.keeper.SigningKey(ctx, lifetime, now)
	}
	if key := ring.Active(); key != nil {
		return key, nil
	}
	return nil, keyring.ErrCannotSign
}

// answerKey returns the key for what is read as soon as it is received.
func (a *App) answerKey(ctx context.Context, now time.Time) (*keyring.Key, error) {
	return a.signingKey(ctx, time.Minute, now)
}

// OpenForReading does what Start does without leaving a trace, for commands that look at a
// configuration: the store is opened read-only, and nothing that is missing is made. Without a key
// in the store the ring stays empty.
func (a *App) OpenForReading(ctx context.Context) error {
	if err := a.store.OpenReadOnly(ctx); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if a.server.Ring == nil {
		if err := a.readGeneratedKeys(ctx); err != nil {
			return err
		}
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
	if len(set.Records) == 0 {
		return nil
	}
	secret := a.server.Secret
	if secret == nil {
		if secret, err = readSecretFile(); err != nil {
			return fmt.Errorf("secret: the store's keys are sealed, set `secret` or bring back the file: %w", err)
		}
	}
	cycle := a.lifecycle(secret)
	ring, err := cycle.Ring(set, time.Now(), nil)
	if errors.Is(err, keyring.ErrWrongSecret) {
		return fmt.Errorf("secret: this is not the secret the store was created with: %w", err)
	}
	if err != nil {
		return err
	}
	a.keys.ring.Store(ring)
	return nil
}

// fingerprintName is the name under which the fingerprint of the secret stands in the store.
const fingerprintName = "secret_fingerprint"

// checkFingerprint refuses a secret other than the one this store was first used with.
func (a *App) checkFingerprint(secret *keyring.SecretRing) error {
	stands, err := a.store.SetMetaOnce(a.ctx, fingerprintName, secret.Fingerprint())
	if err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	if !secret.Matches(stands) {
		return errors.New(
			"secret: this is not the secret the store was created with; set `secret`, or bring back " + secretFile(),
		)
	}
	return nil
}

func secretFile() string { return filepath.Join(config.DataDir(), "secret.key") }

// sealingSecret returns the configured secret, or the one in the data directory, making it if there
// is none.
func (a *App) sealingSecret() (ring *keyring.SecretRing, made bool, err error) {
	if a.server.Secret != nil {
		return a.server.Secret, false, nil
	}
	if ring, err = readSecretFile(); !errors.Is(err, os.ErrNotExist) {
		return ring, false, err
	}
	if err := writeSecretFile(); err != nil {
		return nil, false, fmt.Errorf("making %s: %w", secretFile(), err)
	}
	ring, err = readSecretFile()
	return ring, true, err
}

func readSecretFile() (*keyring.SecretRing, error) {
	data, err := os.ReadFile(secretFile())
	if err != nil {
		return nil, fmt.Errorf("reading the sealing secret: %w", err)
	}
	ring, err := keyring.ParseSecretRing(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", secretFile(), err)
	}
	return ring, nil
}

// writeSecretFile puts a new secret in place whole or not at all; when another process was faster,
// its file stands.
func writeSecretFile() error {
	_, text, err := keyring.NewSecretRing()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(config.DataDir(), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(config.DataDir(), "secret-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), secretFile()); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}
