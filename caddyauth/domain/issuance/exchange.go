package issuance

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// maxActors is how many clients may act for a subject one after the other.
const maxActors = 5

// ErrSubjectToken says that a token cannot be exchanged: it is not a live access token, nobody lets
// the client exchange it, or too many clients already act for its subject.
var ErrSubjectToken = errors.New("the subject token cannot be exchanged")

// TokenExchange is an access token that a client has received and wants to exchange for one of its
// own (RFC 8693).
type TokenExchange struct {
	// Parties are what FindClientParties returned before the client proved itself. Required.
	Parties Parties

	// SubjectToken is the access token that was received. Required.
	SubjectToken string

	// Scopes are those that the new token shall have, at most those of both the subject token and
	// the client. Default: those.
	Scopes []string

	// Audience are the words and resources that the new token is for, at most those of the subject
	// token. Default: those.
	Audience []string

	// JKT is the thumbprint of the key that the client has proved to have. Default: none.
	JKT string

	// X5T is the thumbprint of the TLS client certificate that the token is bound to. Default: none.
	X5T string

	// Now is the time of the request.
	Now time.Time
}

// TokenExchange issues an access token for the subject of another one, to a client that may have
// it. It says who acts for whom (`act`), lives no longer than the subject token, and ends with its
// session. The error is ErrSubjectToken, ErrScope or ErrTarget; every other error is the store's or
// that of making the token.
func (s *Service) TokenExchange(ctx context.Context, r TokenExchange) (Issued, error) {
	t, err := s.subjectToken(ctx, r)
	if err != nil {
		return Issued{}, err
	}
	terms, err := s.subjectTerms(ctx, r, t)
	if err != nil {
		return Issued{}, err
	}
	g := r.grant(t)
	scopes, ok := narrowScopes(r.Scopes, t.Scopes, r.Parties.Client)
	if !ok {
		return Issued{Grant: g}, ErrScope
	}
	if g.Audience, ok = narrowAudience(r.Audience, t.Audience); !ok {
		return Issued{Grant: g}, ErrTarget
	}
	actor, ok := actorOf(r.Parties.Client.ID, t)
	if !ok {
		return Issued{Grant: g}, ErrSubjectToken
	}
	return s.issueOnce(ctx, accessRequest{
		grant:  g,
		scopes: scopes,
		actor:  actor,
		epoch:  r.Parties.Epoch,
		now:    r.Now,
		until:  t.Expiry.Time(),
	}, terms)
}

// subjectToken returns the token that is to be exchanged: a live access token of this server and of
// the client's project, issued to a client whose tokens this one may exchange.
func (s *Service) subjectToken(ctx context.Context, r TokenExchange) (*token.Token, error) {
	t, err := s.Verify(ctx, r.SubjectToken)
	if refusal, ok := errors.AsType[*token.Refusal](err); ok && refusal.Reason != token.KeysUnavailable {
		return nil, ErrSubjectToken
	}
	if err != nil {
		return nil, err
	}
	switch {
	case !t.Own() || t.Type() != "at+jwt" && t.Type() != token.OpaqueType:
		return nil, ErrSubjectToken
	case t.Project != r.Parties.Project.Slug || t.CheckTime(r.Now, 0) != nil:
		return nil, ErrSubjectToken
	case !slices.Contains(r.Parties.Client.TokenExchange, t.ClientID):
		return nil, ErrSubjectToken
	}

	// The deny list of this node may be behind; the new token has the epoch that was read with the
	// client, so what is revoked from then on denies it, and what was before is in the store.
	denied, err := s.Store.IsDenied(ctx, t.RevocationSubject())
	if err == nil && denied {
		err = ErrSubjectToken
	}
	return t, err
}

// subjectTerms says what may be issued for the subject of a token, to the client that exchanges it:
// subject, project and both clients must be active.
func (s *Service) subjectTerms(ctx context.Context, r TokenExchange, t *token.Token) (Terms, error) {
	name, err := identity.CanonicalName(t.Subject)
	if err != nil {
		return Terms{}, ErrSubjectToken
	}
	p, err := s.Store.FindParties(ctx, t.Project, t.ClientID, name)
	switch {
	case err != nil:
		return Terms{}, err
	case !p.Project.Active || !p.Client.Active:
		return Terms{}, ErrSubjectToken
	}
	p.Client = r.Parties.Client
	if t.Session == "" {
		return s.termsWithoutSession(ctx, r, p, t)
	}
	return s.termsForPerson(r, p, t)
}

func (s *Service) termsForPerson(r TokenExchange, p Parties, t *token.Token) (Terms, error) {
	terms, err := s.termsOf(p, r.grant(t))
	if _, refused := errors.AsType[*session.Refusal](err); refused {
		return Terms{}, ErrSubjectToken
	}
	return terms, err
}

// termsWithoutSession is subjectTerms where the subject may be itself a client. Where a person has got
// the name of the client since, it cannot be told whose token it is, and the client's would get the
// person's claims.
func (s *Service) termsWithoutSession(
	ctx context.Context,
	r TokenExchange,
	p Parties,
	t *token.Token,
) (Terms, error) {
	subject, err := s.Store.FindClientParties(ctx, t.Subject, "")
	isClient := subject.Client.ID != "" && subject.Client.Project == t.Project
	switch {
	case err != nil:
		return Terms{}, err
	case p.User != nil && !isClient:
		return s.termsForPerson(r, p, t)
	case p.User != nil, !isClient, !subject.Client.Active, !p.Client.Active:
		return Terms{}, ErrSubjectToken
	}
	return s.clientTerms(p), nil
}

// grant is what the new token says of itself: the subject and the session of the old one, the
// client of the new one.
func (r TokenExchange) grant(t *token.Token) session.Grant {
	g := session.Grant{
		ID:       t.Session,
		Project:  t.Project,
		Subject:  t.Subject,
		ClientID: r.Parties.Client.ID,
		JKT:      r.JKT,
		X5T:      r.X5T,
	}
	g.AuthTime, g.ACR, g.AMR = signInOf(t)
	return g
}

// signInOf reads when and how the subject signed in.
func signInOf(t *token.Token) (at time.Time, acr string, amr []string) {
	if value, ok := t.Claim("auth_time"); ok {
		if seconds, err := strconv.ParseInt(string(asNumber(value)), 10, 64); err == nil {
			at = time.Unix(seconds, 0).UTC()
		}
	}
	if value, ok := t.Claim("acr"); ok {
		acr, _ = value.(string)
	}
	if value, ok := t.Claim("amr"); ok {
		amr = token.Strings(value)
	}
	return at, acr, amr
}

func asNumber(value any) token.Number {
	n, _ := value.(token.Number)
	return n
}

// narrowScopes are the scopes that are asked for, which both the subject token and the client must
// have; all that both have when none is asked for.
func narrowScopes(asked, has []string, c clients.Client) ([]string, bool) {
	var both []string
	for _, scope := range has {
		if slices.Contains(c.Scopes, scope) && scope != "offline_access" {
			both = append(both, scope)
		}
	}
	if len(asked) == 0 {
		return both, true
	}
	for _, scope := range asked {
		if !slices.Contains(both, scope) {
			return nil, false
		}
	}
	return asked, true
}

// narrowAudience is what is asked for, all of which the subject token must be for.
func narrowAudience(asked, has []string) ([]string, bool) {
	if len(asked) == 0 {
		return has, true
	}
	var audience []string
	for _, presented := range asked {
		i := slices.IndexFunc(has, func(known string) bool { return clients.SameResource(known, presented) })
		if i < 0 {
			return nil, false
		}
		if !slices.Contains(audience, has[i]) {
			audience = append(audience, has[i])
		}
	}
	return audience, true
}

// actorOf returns the claim `act` (RFC 8693, section 4.1): the client, before whom those acted that
// the token names.
func actorOf(clientID string, t *token.Token) (map[string]any, bool) {
	actor := map[string]any{"sub": clientID}
	prior, acted := t.Claim("act")
	if !acted || prior == nil {
		return actor, true
	}
	depth := 1
	for next := prior; next != nil; depth++ {
		object, ok := next.(map[string]any)
		if !ok || depth >= maxActors {
			return nil, false
		}
		next = object["act"]
	}
	actor["act"] = prior
	return actor, true
}
