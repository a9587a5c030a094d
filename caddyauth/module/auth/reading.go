package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// Reading is a provisioned configuration as commands read it, which start nothing and write
// nothing.
type Reading struct {
	Issuer          string
	Audiences       []string             // all audience words of the server
	IdentityHeaders []string             // the headers that only gates may set
	Declared        sqlstore.Declaration // the users, clients and projects of the configuration
	Store           *sqlstore.Store
	Ring            *keyring.Ring // nil before OpenForReading, and while the store holds no signing key

	// Verify verifies a token of any accepted issuer, as gates do. It asks no introspection
	// endpoint.
	Verify func(ctx context.Context, raw string) (*token.Token, error)

	secret *keyring.SecretRing // the configured one; nil for the file in the data directory
}

// Read returns what commands may know of the configuration. It is true until something of it
// changes.
func (a *App) Read() Reading {
	return Reading{
		Issuer:          a.server.Issuer,
		Audiences:       a.server.Audiences,
		IdentityHeaders: a.gates.Owned.Names(),
		Declared:        buildDeclaration(a.server),
		Store:           a.store.Store,
		Ring:            a.keys.ring.Load(),
		Verify:          a.verification.VerifyBound,
		secret:          a.server.Secret,
	}
}

// MayStart reports whether a server may start although OpenForReading failed: the database may
// admit only the servers, or wait for the first start of this release, which migrates it.
func (r Reading) MayStart(err error) bool {
	unavailable := errors.Is(err, sqlstore.ErrUnavailable) && r.Store.Shared()
	return unavailable || errors.Is(err, sqlstore.ErrOlderSchema)
}

// StoreIsEmpty reports whether no server has used the store yet. The store must be open.
func (r Reading) StoreIsEmpty(ctx context.Context) (bool, error) {
	fingerprint, err := r.Store.Meta(ctx, fingerprintName)
	return fingerprint == "", err
}

// StoreSecret returns a secret that the store was used with. The store must be open.
func (r Reading) StoreSecret(ctx context.Context) (*keyring.SecretRing, error) {
	fingerprint, err := r.Store.Meta(ctx, fingerprintName)
	if err != nil {
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	if fingerprint == "" {
		return nil, fmt.Errorf("store %s: it is empty, no server has used it", r.Store.Name())
	}
	secret, err := r.ExistingSecret()
	if err != nil {
		return nil, err
	}
	known, err := knowsSecret(ctx, r.Store, secret, fingerprint)
	if err != nil {
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	if !known {
		return nil, fmt.Errorf("secret: this is not the secret that the store %s was created with", r.Store.Name())
	}
	return secret, nil
}

// ExistingSecret returns the configured secret, or else the one in the data directory. It generates
// none.
func (r Reading) ExistingSecret() (*keyring.SecretRing, error) {
	if r.secret != nil {
		return r.secret, nil
	}
	secret, err := readSecretFile()
	if err != nil {
		return nil, fmt.Errorf("secret: set `secret`, or bring back the file: %w", err)
	}
	return secret, nil
}
