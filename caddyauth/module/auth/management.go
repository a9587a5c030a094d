package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/serve/manage"
)

// administrators are those whom the Caddyfile names: the API can make no administrator.
type administrators struct {
	declared     []identity.User // all users of the Caddyfile
	verification *Verification
	store        *pooledStore
	cookie       string
}

// caller says which administrator a browser's session belongs to.
func (a administrators) caller(r *http.Request) (manage.Caller, error) {
	t, err := a.verification.Session(r.Context(), gate.FindCookie(r, a.cookie))
	if err != nil {
		return manage.Caller{}, manage.ErrNoSession
	}
	user, err := a.store.FindUser(r.Context(), t.Project, t.Subject)
	switch {
	case errors.Is(err, identity.ErrNoUser):
		return manage.Caller{}, manage.ErrNoSession
	case err != nil:
		return manage.Caller{}, err
	case user.Disabled || user.Name != t.Subject || !a.has(user):
		return manage.Caller{}, manage.ErrNotAdmin
	}
	return manage.Caller{Actor: "user:" + user.Name, Name: user.Name, Abilities: []string{apitoken.Admin}}, nil
}

// has reports whether a user is one of them.
func (a administrators) has(u *identity.User) bool {
	return slices.ContainsFunc(a.declared, func(declared identity.User) bool {
		return declared.Admin && declared.Name == u.Name && declared.Project == u.Project
	})
}

// freshStore is the store for the management API. What a change of a user or client denies holds on
// this node before the caller is answered.
type freshStore struct{ *pooledStore }

// ChangeUser implements identity.UserStore.
func (s freshStore) ChangeUser(ctx context.Context, u identity.User, now time.Time) (*identity.User, error) {
	after, err := s.pooledStore.ChangeUser(ctx, u, now)
	if err == nil {
		s.hear(ctx)
	}
	return after, err
}

// ChangeClient implements clients.Store.
func (s freshStore) ChangeClient(ctx context.Context, c clients.Client, now time.Time) (clients.Client, error) {
	after, err := s.pooledStore.ChangeClient(ctx, c, now)
	if err == nil {
		s.hear(ctx)
	}
	return after, err
}

// hear reads what is denied. Where that fails, the watch does it with its next turn.
func (s freshStore) hear(ctx context.Context) { _ = s.watch.Poll(ctx) }

// revoker carries out the orders of the management API.
type revoker struct{ grants *session.Service }

// RevokeUser implements manage.Revoker.
func (r revoker) RevokeUser(ctx context.Context, project, subject, reason string) error {
	return r.order(ctx, revocation.Revocation{Kind: revocation.UserKind, Project: project, ID: subject, Reason: reason})
}

// RevokeClient implements manage.Revoker.
func (r revoker) RevokeClient(ctx context.Context, project, clientID, reason string) error {
	return r.order(ctx,
		revocation.Revocation{Kind: revocation.ClientKind, Project: project, ID: clientID, Reason: reason})
}

// RevokeProject implements manage.Revoker.
func (r revoker) RevokeProject(ctx context.Context, project, reason string) error {
	return r.order(ctx, revocation.Revocation{Kind: revocation.ProjectKind, Project: project, Reason: reason})
}

func (r revoker) order(ctx context.Context, o revocation.Revocation) error {
	_, err := r.grants.RevokeAll(ctx, o, time.Now())
	return err
}
