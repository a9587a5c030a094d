package issuance

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// Service issues tokens. It keeps nothing itself and may be used by several goroutines. `now` is
// always the caller's.
type Service struct {
	// Issuer is the claim `iss`. Required.
	Issuer string

	// Lifetimes are the server's own, over which those of projects and clients go. Default:
	// project.Defaults.
	Lifetimes project.Lifetimes

	// Limits bound all lifetimes. Default: the widest.
	Limits project.Limits

	// TokenOptions and Revocation are the server's own options, over which those of projects and
	// clients go. Default: the strict ones.
	TokenOptions project.TokenOptions
	Revocation   project.RevocationOptions

	// Store reads whom a token is for, and begins sessions. Required.
	Store Store

	// Devices keeps the requests of devices. Required for PollDevice.
	Devices DeviceStore

	// Codes keeps authorization codes. Required for IssueCode and ExchangeCode.
	Codes CodeStore

	// Sessions makes and uses refresh tokens. Required.
	Sessions *session.Service

	// GrantCache remembers grants. Default: each use of a refresh token reads the grant, the project,
	// the client and the user.
	GrantCache *GrantCache

	// SigningKey returns the key for a token of this lifetime, counted from now. Required.
	SigningKey func(ctx context.Context, lifetime time.Duration, now time.Time) (*keyring.Key, error)

	// IDTokenKey returns the key for an ID token of this algorithm and lifetime. Required where
	// clients get ID tokens.
	IDTokenKey func(ctx context.Context, algorithm string, lifetime time.Duration, now time.Time) (*keyring.Key, error)

	// Assertions are whose identity assertions are accepted. Default: nobody's.
	Assertions Assertions

	// Scopes are the operator's own scopes. Default: the standard ones alone.
	Scopes openid.Scopes

	// Announced reports whether a gate asks for the claim, so that the access tokens of clients carry
	// it. Default: no gate asks for any.
	Announced func(claim string) bool

	// Opaque makes an access token that says nothing by itself. Required where clients have such
	// tokens.
	Opaque func(c token.Claims) (string, error)

	// Verify reads an access token without regard to its time and revocation; Revoked refuses one
	// that was revoked. Required for SignOut and TokenExchange.
	Verify  func(ctx context.Context, raw string) (*token.Token, error)
	Revoked func(t *token.Token, now time.Time) error

	// VerifyIDToken reads an ID token of this server without regard to its time. Required for
	// IdentityAssertion.
	VerifyIDToken func(ctx context.Context, raw string) (*token.Token, error)

	// Observe is told of each token that was made: access_token, opaque_access_token, id_token,
	// refresh_token, identity_assertion and the like. Default: nobody is told.
	Observe func(kind string)
}

// Store is what issuing needs of a store. Every verb is one atomic step.
type Store interface {
	// FindParties reads project (by id or slug), client and user (by canonical name) as they stand
	// at one moment, with the epoch of that moment. What is not found is empty in the answer, and
	// no error.
	FindParties(ctx context.Context, project, clientID, name string) (Parties, error)

	// FindClientParties reads a client, its project, and the person of that canonical name in the
	// project, if there is one, as they stand at one moment, with the epoch of that moment. What is
	// not found is empty in the answer, and no error.
	FindClientParties(ctx context.Context, clientID, name string) (Parties, error)

	// IsDenied reports whether a token is denied by what is committed.
	IsDenied(ctx context.Context, subject revocation.Subject) (bool, error)

	// AddSignIn stores all that becomes true with a sign-in, if project, client and user may still
	// be issued to, the user is as it was read (Version), and no revocation is newer than the
	// grant. Otherwise it returns session.ErrOvertaken, and no session began.
	AddSignIn(ctx context.Context, s Record) error

	// FindProject returns the project of that id or slug, or project.ErrNoProject.
	FindProject(ctx context.Context, idOrSlug string) (project.Project, error)

	// FindGrant returns a grant or session.ErrNoGrant.
	FindGrant(ctx context.Context, id string) (session.Grant, error)
}

// Parties are those whom a token is issued for, as they stood at one moment. What their lists and
// claims hold is shared between callers: not to be changed.
type Parties struct {
	// Epoch was the server's epoch then. Every revocation with a higher one came later.
	Epoch int64

	// Project is the tenant; the zero value means not found.
	Project project.Project

	// Client is the program; the zero value means not found.
	Client clients.Client

	// User is the person; nil means not found. Shared: not to be changed.
	User *identity.User
}

// Record is what a sign-in leaves in the store.
type Record struct {
	// Grant is the session that begins. Without an ID none is stored; then its Project, Subject,
	// ClientID and Epoch count alone.
	Grant session.Grant

	// User is the person as read.
	User *identity.User

	// Older are the ids of sign-ins of the same browser. Those of the same person that have not been
	// ended go on under the grant and end with it; so do those that they took over themselves. What is
	// no such sign-in is ignored. Default: none.
	Older []string

	// Forgiveness clears the counters of attempts.
	Forgiveness identity.Forgiveness

	// Entry is the line of the audit trail.
	Entry audit.Entry
}

// Terms are the answer to the question what a grant may be issued.
type Terms struct {
	// Lifetimes are in force now; Refresh and RefreshAbsolute are zero where there are no refresh
	// tokens.
	project.Lifetimes

	// TokenOptions are in force now: the format of access tokens, and what becomes of refresh
	// tokens.
	project.TokenOptions

	// Claims are those of the user that the client's access tokens carry, and those of the client
	// where the user has none of that name. Shared: not to be changed.
	Claims map[string]any
}

func (t *Terms) isOpaque() bool { return t.AccessTokenFormat == project.Opaque }

// Terms reads whom the grant belongs to and says what it may be issued. The error is a
// *session.Refusal (NotAllowed) unless project, client and user exist and are active; every other
// error is the store's.
func (s *Service) Terms(ctx context.Context, g session.Grant) (Terms, error) {
	_, terms, err := s.allowed(ctx, g)
	return terms, err
}

// allowed is Terms, with those whom the grant belongs to.
func (s *Service) allowed(ctx context.Context, g session.Grant) (Parties, Terms, error) {
	name, err := identity.CanonicalName(g.Subject)
	if err != nil {
		return Parties{}, Terms{}, notAllowed(g)
	}
	p, err := s.Store.FindParties(ctx, g.Project, g.ClientID, name)
	if err != nil {
		return Parties{}, Terms{}, err
	}
	terms, err := s.termsOf(p, g)
	return p, terms, err
}

// termsOf is a list of refusals, then the terms.
func (s *Service) termsOf(p Parties, g session.Grant) (Terms, error) {
	switch {
	case !p.Project.Active || !p.Client.Active:
		return Terms{}, notAllowed(g)
	case p.User == nil || p.User.Disabled || p.User.Name != g.Subject:
		return Terms{}, notAllowed(g)
	}
	return Terms{
		Lifetimes:    s.LifetimesOf(p),
		TokenOptions: p.Client.TokenOptions.Over(p.Project.TokenOptions).Over(s.TokenOptions),
		Claims:       s.accessClaims(p.User.Claims, p.Client),
	}, nil
}

// restrict removes from an access token what was granted to the client and has been taken from it
// since. It is false when nothing is left of the scopes or of the audience.
func (p Parties) restrict(r *accessRequest) bool {
	audience, scopes, ok := p.kept(r.audienceOfToken(), r.scopes)
	if ok {
		r.audience, r.scopes = audience, scopes
	}
	return ok
}

// kept is what the client may still have of an audience and of scopes. ok is false when nothing is left
// of one of them.
func (p Parties) kept(audience, scopes []string) (keptAudience, keptScopes []string, ok bool) {
	if clients.IsBuiltIn(p.Client.ID) {
		return audience, scopes, true
	}
	keptAudience = slices.DeleteFunc(slices.Clone(audience), func(word string) bool { return !p.allows(word) })
	keptScopes = p.Client.KeepsScopes(scopes)
	return keptAudience, keptScopes, len(keptAudience) > 0 && (len(keptScopes) > 0 || len(scopes) == 0)
}

// allows reports whether the client may have tokens for a word of an audience.
func (p Parties) allows(word string) bool {
	if _, known := p.Client.Resource(word); known {
		return true
	}
	audience, err := audienceOf(p)
	return err == nil && slices.Contains(audience, word)
}

// LifetimesOf are the lifetimes in force for a client: its own over its project's over the server's.
func (s *Service) LifetimesOf(p Parties) project.Lifetimes {
	return project.Effective(s.Lifetimes, p.Project.Own(), p.Client.Own(), s.Limits)
}

func notAllowed(g session.Grant) error {
	return &session.Refusal{Verdict: session.NotAllowed, Grant: g}
}

// mergeClaims are the user's claims, and the client's where the user has none of that name.
func mergeClaims(user, client map[string]any) map[string]any {
	if len(client) == 0 {
		return user
	}
	claims := make(map[string]any, len(user)+len(client))
	maps.Copy(claims, client)
	maps.Copy(claims, user)
	return claims
}

func (s *Service) observe(kind string) {
	if s.Observe != nil {
		s.Observe(kind)
	}
}
