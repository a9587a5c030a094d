package adminapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/serve/manage"
)

// operator carries out what the operator orders.
type operator struct {
	auth.Services
	verification *auth.Verification
}

// ListSessions implements manage.Operator.
func (o operator) ListSessions(ctx context.Context, f session.Filter) ([]session.Grant, error) {
	return o.Store.ListGrants(ctx, f)
}

// EndSession implements manage.Operator.
func (o operator) EndSession(ctx context.Context, id, reason string) error {
	return o.Grants.RevokeFamily(ctx, id, reason, time.Now())
}

// EndSessions implements manage.Operator.
func (o operator) EndSessions(ctx context.Context, order revocation.Revocation) (int, error) {
	return o.Grants.RevokeAll(ctx, order, time.Now())
}

// MintToken implements manage.Operator.
func (o operator) MintToken(ctx context.Context, m manage.Mint, now time.Time) (raw, id string, err error) {
	raw, err = o.Issuing.Mint(ctx, session.Grant{
		Project:  m.User.Project,
		Subject:  m.User.Name,
		ClientID: cmp.Or(m.ClientID, clients.FirstParty),
		Audience: m.Audience,
	}, m.Lifetime, now)
	if _, refused := errors.AsType[*session.Refusal](err); refused {
		return "", "", manage.ErrMayNotIssue
	}
	if err != nil {
		return "", "", err
	}
	t, err := o.verification.Verify(ctx, raw)
	if err != nil {
		return "", "", fmt.Errorf("reading the minted token: %w", err)
	}
	return raw, t.ID, nil
}

// Keys implements manage.Operator.
func (o operator) Keys(ctx context.Context) ([]manage.Key, error) {
	infos, err := o.Services.Keys.List(ctx)
	keys := make([]manage.Key, len(infos))
	for i, k := range infos {
		keys[i] = manage.Key{
			ID:        k.ID,
			Algorithm: k.Algorithm,
			Purpose:   string(cmp.Or(k.Purpose, "access_token")),
			State:     string(k.State),
			Created:   k.Created,
			Since:     k.Since,
			Until:     k.Until,
		}
	}
	return keys, err
}

// RotateKeys implements manage.Operator.
func (o operator) RotateKeys(ctx context.Context) error {
	_, err := o.Services.Keys.Rotate(ctx)
	return keyVerdict(err)
}

// RevokeKey implements manage.Operator.
func (o operator) RevokeKey(ctx context.Context, id string) error {
	_, err := o.Services.Keys.Revoke(ctx, id)
	return keyVerdict(err)
}

// keyVerdict says in the words of the management API what became of an order about keys.
func keyVerdict(err error) error {
	switch {
	case errors.Is(err, auth.ErrConfiguredKeys):
		return manage.ErrKeysConfigured
	case errors.Is(err, keyring.ErrUnknownKey):
		return manage.ErrNoKey
	}
	return err
}

// Interface guard
var _ manage.Operator = operator{}
