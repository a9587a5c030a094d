package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/module/config"
)

// fingerprintName is the name under which the fingerprint of the secret stands in the store.
const fingerprintName = "secret_fingerprint"

// checkFingerprint refuses a secret other than the one this store was first used with.
func checkFingerprint(ctx context.Context, store *pooledStore, secret *keyring.SecretRing) error {
	stands, err := store.SetMetaOnce(ctx, fingerprintName, secret.Fingerprint())
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

// opaqueSaltName is the name under which the salt of the keys of opaque tokens stands in the store.
const opaqueSaltName = "opaque_salt"

// opaqueSalt returns what the keys of opaque tokens are made of besides the secret: random, and made
// with the store, so that whoever has the secret alone can make none of them.
func opaqueSalt(ctx context.Context, store *pooledStore) (string, error) {
	salt, err := store.SetMetaOnce(ctx, opaqueSaltName, rand.Text()+rand.Text())
	if err != nil {
		return "", fmt.Errorf("reading the store: %w", err)
	}
	return salt, nil
}

func secretFile() string { return filepath.Join(config.DataDir(), "secret.key") }

// sealingSecret returns the configured secret, or the one in the data directory, making it if there
// is none.
func sealingSecret(server *config.Server) (ring *keyring.SecretRing, made bool, err error) {
	if server.Secret != nil {
		return server.Secret, false, nil
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
