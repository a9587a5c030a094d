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
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// fingerprintName is the name under which the fingerprint of the secret that the store was created with
// stands in it. Each of a later one has a name that begins so.
const fingerprintName = "secret_fingerprint"

func laterFingerprint(print string) string { return fingerprintName + " " + print }

// checkFingerprint refuses a secret that this store was never used with. What stands beside a known
// secret is known from then on, so that the old one can be removed.
func checkFingerprint(ctx context.Context, store *pooledStore, secret *keyring.SecretRing) error {
	first, err := store.SetMetaOnce(ctx, fingerprintName, secret.Fingerprint())
	if err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	known, err := knowsSecret(ctx, store.Store, secret, first)
	if err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	if !known {
		return errors.New(
			"secret: this is not the secret the store was created with; set `secret`, or bring back " + secretFile(),
		)
	}
	for _, print := range secret.Fingerprints() {
		if print == first {
			continue
		}
		if _, err := store.SetMetaOnce(ctx, laterFingerprint(print), "known"); err != nil {
			return fmt.Errorf("reading the store: %w", err)
		}
	}
	return nil
}

// knowsSecret reports whether a server has used the store with one of the secrets. first is the
// fingerprint of the one that the store was created with.
func knowsSecret(
	ctx context.Context,
	store *sqlstore.Store,
	secret *keyring.SecretRing,
	first string,
) (bool, error) {
	if secret.Matches(first) {
		return true, nil
	}
	for _, print := range secret.Fingerprints() {
		if known, err := store.Meta(ctx, laterFingerprint(print)); err != nil || known != "" {
			return err == nil, err
		}
	}
	return false, nil
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
