package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/keyring"
)

// unlock gets the secret and what is derived from it, and opens the sealed keys of the store where none are configured.
func (a *App) unlock() error {
	secret, err := a.sealingSecret()
	if err != nil {
		return err
	}
	if err := a.checkFingerprint(secret); err != nil {
		return err
	}
	a.throttle.Key = secret.Derive("throttle")[0].Key
	a.openSessions(secret)
	if !a.Keys.generated() {
		return nil
	}
	return a.loadGeneratedKeys(secret)
}

// loadGeneratedKeys opens the sealed keys of the store, making the first one if there is none yet. Several processes that start at
// once end up with the same key.
func (a *App) loadGeneratedKeys(secret *keyring.SecretRing) error {
	records, err := a.store.Keys(a.ctx)
	if err != nil {
		return fmt.Errorf("reading keys from the store: %w", err)
	}
	if len(records) == 0 {
		if records, err = a.generateFirstKey(secret); err != nil {
			return err
		}
	}
	ring, err := openRing(secret, records)
	if err != nil {
		return err
	}
	a.ring.Store(ring)
	return nil
}

func (a *App) generateFirstKey(secret *keyring.SecretRing) ([]keyring.Record, error) {
	algorithm := "ES256"
	if a.Keys != nil && a.Keys.Algorithm != "" {
		algorithm = a.Keys.Algorithm
	}
	key, err := keyring.Generate(algorithm, time.Now())
	if err != nil {
		return nil, fmt.Errorf("generating the signing key: %w", err)
	}
	record, err := secret.Seal(key)
	if err != nil {
		return nil, fmt.Errorf("sealing the signing key: %w", err)
	}
	records, err := a.store.AddFirstKey(a.ctx, record)
	if err != nil {
		return nil, fmt.Errorf("storing the signing key: %w", err)
	}
	return records, nil
}

// openRing opens sealed keys; the newest signs.
func openRing(secret *keyring.SecretRing, records []keyring.Record) (*keyring.Ring, error) {
	keys := make([]*keyring.Key, len(records))
	for i, record := range records {
		var err error
		if keys[i], err = secret.Open(record); err != nil {
			return nil, fmt.Errorf("opening key %s of the store: %w", record.ID, err)
		}
	}
	return keyring.NewRing(keys, records[len(records)-1].ID)
}

// openForReading does what Start does without leaving a trace, for commands that look at a configuration: the store is opened
// read-only, and nothing that is missing is made. Without a key in the store the ring stays empty.
func (a *App) openForReading(ctx context.Context) error {
	if err := a.store.OpenReadOnly(ctx); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if a.Keys.generated() {
		if err := a.readGeneratedKeys(ctx); err != nil {
			return err
		}
	}
	if err := a.store.watch.Poll(ctx); err != nil {
		return fmt.Errorf("reading what is revoked: %w", err)
	}
	close(a.started)
	return nil
}

func (a *App) readGeneratedKeys(ctx context.Context) error {
	records, err := a.store.Keys(ctx)
	if err != nil {
		return fmt.Errorf("reading keys from the store: %w", err)
	}
	if len(records) == 0 {
		return nil
	}
	secret := a.secretRing
	if secret == nil {
		if secret, err = readSecretFile(); err != nil {
			return fmt.Errorf("secret: the store's keys are sealed, set `secret` or bring back the file: %w", err)
		}
	}
	ring, err := openRing(secret, records)
	if errors.Is(err, keyring.ErrWrongSecret) {
		return fmt.Errorf("secret: this is not the secret the store was created with: %w", err)
	}
	if err != nil {
		return err
	}
	a.ring.Store(ring)
	return nil
}

// checkFingerprint refuses a secret other than the one this store was first used with.
func (a *App) checkFingerprint(secret *keyring.SecretRing) error {
	stands, err := a.store.SetMetaOnce(a.ctx, "secret_fingerprint", secret.Fingerprint())
	if err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	if !secret.Matches(stands) {
		return errors.New("secret: this is not the secret the store was created with; set `secret`, or bring back " + secretFile())
	}
	return nil
}

func secretFile() string { return filepath.Join(dataDir(), "secret.key") }

// sealingSecret returns the configured secret, or the one in the data directory, making it if there is none.
func (a *App) sealingSecret() (*keyring.SecretRing, error) {
	if a.secretRing != nil {
		return a.secretRing, nil
	}
	ring, err := readSecretFile()
	if !errors.Is(err, os.ErrNotExist) {
		return ring, err
	}
	if err := writeSecretFile(); err != nil {
		return nil, fmt.Errorf("making %s: %w", secretFile(), err)
	}
	return readSecretFile()
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

// writeSecretFile puts a new secret in place whole or not at all; when another process was faster, its file stands.
func writeSecretFile() error {
	_, text, err := keyring.NewSecretRing()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dataDir(), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dataDir(), "secret-*.tmp") // mode 0600
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
