package issuance

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// ErrScope says that the grant has not all of the scopes that were asked for.
var ErrScope = errors.New("the grant does not have the scope")

// Refresh is a refresh token that is presented.
type Refresh struct {
	// Token is the refresh token.
	Token string

	// ClientID is who presents it. Of a Browser the session says it.
	ClientID string

	// Scopes are those that the access token shall have, at most those of the grant (RFC 6749,
	// section 6). Default: those of the grant.
	Scopes []string

	// Resources are the part of the grant's audience that the access token shall be for (RFC 8707,
	// section 2.2). Default: all of it.
	Resources []string

	// JKT is the thumbprint of the key that the client has proved to have (RFC 9449, section 5); the
	// access token is bound to it. Default: none.
	JKT string

	// X5T is the thumbprint of the TLS client certificate that the access token is bound to. Default:
	// none.
	X5T string

	// AnyKey says that the client has authenticated, so that its refresh token is bound to it already
	// and may be used with another key or certificate than before.
	AnyKey bool

	// Browser says that the token comes from a cookie, whichever of the built-in clients its session
	// belongs to. A person would see the refusal of a token that is denied at once, where a program
	// comes again: the grant is read once more after the use.
	Browser bool

	// Host is the one to which a Browser has sent the cookie, in lower case and without a port. A
	// session at the host of an application is renewed at no other. Default: none, where no such
	// session is.
	Host string

	// Now is the time of the use.
	Now time.Time
}

// Refresh uses a refresh token. The access token is made before the use is stored: when it cannot
// be made, the refresh token stays valid for another attempt, because a client that is told that
// something failed will make it. The error is ErrScope, ErrTarget or a *session.Refusal. They have
// used nothing up, unless the grant changed while it was read: then ErrScope and ErrTarget come after
// the use. Every other error is the store's or that of making the access token. The access token lacks
// what was taken from the client since the grant, of scopes and of the audience.
func (s *Service) Refresh(ctx context.Context, r Refresh) (Issued, error) {
	now := r.Now.UTC().Truncate(time.Millisecond) // as sessions count
	if issued, done, err := s.useKnown(ctx, r, now); done {
		return issued, err
	}
	p, err := s.Sessions.Present(ctx, r.Token)
	if err != nil {
		return Issued{}, err
	}
	r.identify(p.Grant)
	if err := r.judge(p.Grant); err != nil {
		return Issued{}, err
	}

	// What is asked for counts for a token that can be used alone: of any other, the use tells what is
	// wrong, and ends the grant if it is a second use.
	likely := p.Likely(r.ClientID, now)
	audience, wrong := r.narrow(p.Grant)
	parties, terms, err := s.allowed(ctx, p.Grant)
	if err != nil {
		return Issued{}, err
	}
	want := r.access(p.Grant, p.Grant.Epoch, now, now.Add(terms.Access))
	want.audience = audience
	if wrong == nil && !parties.restrict(&want) {
		wrong = notAllowed(p.Grant)
	}
	raw := ""
	if likely.Honoured() {
		if wrong != nil {
			return Issued{Grant: p.Grant}, wrong
		}
		if raw, err = s.mint(ctx, want, terms); err != nil {
			return Issued{}, err
		}
	}
	used, err := s.Sessions.Use(ctx, p, r.ClientID, want.until, now)
	if err != nil {
		return Issued{}, err
	}
	if wrong != nil { // the grant has changed since it was read
		return Issued{Grant: used.Grant}, wrong
	}
	if used.Verdict != session.Repeated && used.Grant.Epoch == want.epoch {
		s.remember(used.Grant, parties)
	}
	return s.answerUse(ctx, raw, want, used, r)
}

// answerUse returns the tokens after a use that was stored.
func (s *Service) answerUse(
	ctx context.Context,
	raw string,
	want accessRequest,
	used session.Issued,
	r Refresh,
) (Issued, error) {
	raw, err := s.afterUse(ctx, raw, want, used, r)
	if err != nil {
		return Issued{}, err
	}
	s.observe("refresh_token")
	return Issued{
		AccessToken:  raw,
		AccessUntil:  used.AccessUntil,
		Scopes:       want.scopes,
		RefreshToken: used.RefreshToken,
		Grant:        used.Grant,
		Verdict:      used.Verdict,
	}, nil
}

// afterUse returns an access token that holds after the use of the refresh token. A change of
// claims lets the grant go on, raises its epoch, and denies what was made before.
func (s *Service) afterUse(
	ctx context.Context,
	raw string,
	made accessRequest,
	used session.Issued,
	r Refresh,
) (string, error) {
	anew := r.access(used.Grant, used.Epoch, made.now, made.until)
	anew.audience, anew.scopes = made.audience, made.scopes
	var err error
	if raw == "" || used.Grant.Epoch != made.epoch || s.denies(made) {
		made = anew
		if raw, err = s.mintAnew(ctx, made); err != nil {
			return "", err
		}
	}
	if raw, err = s.settle(ctx, raw, made); err != nil || !r.Browser {
		return raw, err
	}
	// Claims may have been changed in the same commit.
	standing, err := s.Store.FindGrant(ctx, used.Grant.ID)
	if err != nil || !standing.Revoked.IsZero() || standing.Epoch <= used.Grant.Epoch {
		return raw, nil
	}
	made.grant, made.epoch = standing, standing.Epoch
	if again, err := s.mintAnew(ctx, made); err == nil {
		raw = again
	}
	return raw, nil
}

// access is the access token that goes with the refresh token.
func (r Refresh) access(g session.Grant, epoch int64, now, until time.Time) accessRequest {
	scopes := r.Scopes
	if scopes == nil {
		scopes = g.Scopes
	}
	return accessRequest{
		grant:  g,
		scopes: scopes,
		epoch:  epoch,
		now:    now,
		until:  until,
		jkt:    r.JKT,
		x5t:    r.X5T,
	}
}

// identify fills in the client of a Browser, which names none itself.
func (r *Refresh) identify(g session.Grant) {
	if r.Browser && clients.IsBuiltIn(g.ClientID) {
		r.ClientID = g.ClientID
	}
}

// judge refuses a token at the wrong host or without its key.
func (r Refresh) judge(g session.Grant) error {
	switch {
	case g.ClientID == clients.Web && (g.Kind != WebGrant || !NamesHost(g.Audience, r.Host)):
		return &session.Refusal{Verdict: session.OtherClient, Grant: g}
	case !r.hasKey(g):
		return &session.Refusal{Verdict: session.OtherKey, Grant: g}
	}
	return nil
}

// hasKey reports whether the client has a key and a certificate with which it may use the refresh
// token. A grant that began with one never gets a token that is not bound to any (RFC 9449, section 5;
// RFC 8705, section 4).
func (r Refresh) hasKey(g session.Grant) bool {
	may := func(bound, has string) bool { return bound == "" || bound == has || r.AnyKey && has != "" }
	return may(g.JKT, r.JKT) && may(g.X5T, r.X5T)
}

// narrow returns the part of the grant's audience that is asked for; nil when nothing is. The error is
// ErrScope or ErrTarget.
func (r Refresh) narrow(g session.Grant) ([]string, error) {
	for _, scope := range r.Scopes {
		if !slices.Contains(g.Scopes, scope) {
			return nil, ErrScope
		}
	}
	if len(r.Resources) == 0 {
		return nil, nil
	}
	audience, ok := authorization.Narrow(g.Audience, r.Resources)
	if !ok {
		return nil, ErrTarget
	}
	return audience, nil
}
