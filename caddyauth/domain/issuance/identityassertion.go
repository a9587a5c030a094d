package issuance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// The reasons of a SubjectRefusal besides those of tokens and the verdicts on refresh tokens.
const (
	subjectClient token.Reason = "wrong_client"
	subjectScope  token.Reason = "no_openid"
)

// SubjectRefusal is ErrSubjectToken with a reason.
type SubjectRefusal struct {
	// Reason is why, for a log.
	Reason token.Reason
}

// Error names the reason.
func (r *SubjectRefusal) Error() string { return ErrSubjectToken.Error() + ": " + string(r.Reason) }

// Unwrap is ErrSubjectToken.
func (r *SubjectRefusal) Unwrap() error { return ErrSubjectToken }

// IdentityAssertion is what a client has of a person who signed in here, and wants to exchange for
// an assertion that another authorization server takes
// (draft-ietf-oauth-identity-assertion-authz-grant, section 4.3).
type IdentityAssertion struct {
	// Parties are what FindClientParties returned before the client proved itself. Required.
	Parties Parties

	// SubjectToken is an ID token of this server for the client, or one of its refresh tokens, which
	// is not used up. Required.
	SubjectToken string

	// Refresh says that SubjectToken is a refresh token.
	Refresh bool

	// Audience is the issuer of the other server. Required.
	Audience string

	// Scopes and Resources are what the assertion shall name, at most those that the client may have
	// there. Default: those.
	Scopes, Resources []string

	// JKT is the thumbprint of the key that the client has proved to have, X5T that of its TLS client
	// certificate. Default: none.
	JKT, X5T string

	// Now is the time of the request.
	Now time.Time
}

// IdentityAssertion issues an identity assertion (ID-JAG). It lives for MaxIdentityAssertion and no
// longer than the subject token and its grant. The error is a *SubjectRefusal, ErrScope or ErrTarget;
// every other error is the store's or the keys'.
func (s *Service) IdentityAssertion(ctx context.Context, r IdentityAssertion) (Issued, error) {
	subject, err := s.assertionSubject(ctx, r)
	if err != nil {
		return Issued{}, err
	}
	g := subject.grant
	p, err := s.partiesOf(ctx, g)
	if _, refused := errors.AsType[*session.Refusal](err); refused {
		return Issued{}, &SubjectRefusal{token.Reason(session.NotAllowed)}
	}
	if err != nil {
		return Issued{}, err
	}
	audience, ok := p.Client.AssertionAudience(r.Audience)
	if !ok || audience.Issuer == s.Issuer {
		return Issued{Grant: g}, ErrTarget
	}
	if audience, err = r.narrow(audience); err != nil {
		return Issued{Grant: g}, err
	}
	until := r.Now.Add(MaxIdentityAssertion)
	if subject.until.Before(until) {
		until = subject.until
	}
	raw, err := s.mintAssertion(ctx, r, subject, p, audience, until)
	if err != nil {
		return Issued{Grant: g}, err
	}
	s.observe("identity_assertion")
	return Issued{AccessToken: raw, AccessUntil: until, Scopes: audience.Scopes, Grant: g}, nil
}

// assertionSubject is what a subject token proves: the grant behind it, when and how the person
// signed in, and until when it counts.
type assertionSubject struct {
	grant session.Grant
	email bool // the client was granted the scope
	until time.Time
}

// assertionSubject finds the person of a subject token, whose grant must live and must not have been
// revoked.
func (s *Service) assertionSubject(ctx context.Context, r IdentityAssertion) (assertionSubject, error) {
	find := s.subjectOfIDToken
	if r.Refresh {
		find = s.subjectOfRefreshToken
	}
	found, err := find(ctx, r)
	if err != nil {
		return assertionSubject{}, err
	}

	// The deny list of this node may be behind.
	g := found.grant
	denied, err := s.Store.IsDenied(ctx, s.revocable(g, g.Epoch))
	if err == nil && denied {
		err = &SubjectRefusal{token.Revoked}
	}
	return found, err
}

// subjectOfRefreshToken holds a refresh token against what a use of it would ask.
func (s *Service) subjectOfRefreshToken(ctx context.Context, r IdentityAssertion) (assertionSubject, error) {
	g, err := s.Sessions.Live(ctx, r.SubjectToken, r.Parties.Client.ID, r.Now)
	if refusal, ok := errors.AsType[*session.Refusal](err); ok {
		return assertionSubject{}, &SubjectRefusal{token.Reason(refusal.Verdict)}
	}
	switch {
	case err != nil:
		return assertionSubject{}, err
	case g.Project != r.Parties.Project.Slug:
		return assertionSubject{}, &SubjectRefusal{subjectClient}
	case !r.hasKey(g):
		return assertionSubject{}, &SubjectRefusal{token.Reason(session.OtherKey)}
	case !slices.Contains(r.Parties.Client.KeepsScopes(g.Scopes), openid.OpenID):
		return assertionSubject{}, &SubjectRefusal{subjectScope}
	}
	return assertionSubject{grant: g, email: r.hasEmail(g), until: g.IdleEnds}, nil
}

const emailScope = "email"

// hasEmail reports whether the client was granted the address of the person, and may still have it.
func (r IdentityAssertion) hasEmail(g session.Grant) bool {
	return slices.Contains(r.Parties.Client.KeepsScopes(g.Scopes), emailScope)
}

// subjectOfIDToken finds what was granted to the client at the sign-in of an ID token. The ID token
// itself is never revoked: it is good while one of those grants lives.
func (s *Service) subjectOfIDToken(ctx context.Context, r IdentityAssertion) (assertionSubject, error) {
	t, err := s.VerifyIDToken(ctx, r.SubjectToken)
	if err == nil {
		err = t.CheckTime(r.Now, 0)
	}
	if refusal, ok := errors.AsType[*token.Refusal](err); ok && refusal.Reason != token.KeysUnavailable {
		return assertionSubject{}, &SubjectRefusal{refusal.Reason}
	}
	switch {
	case err != nil:
		return assertionSubject{}, err
	case !slices.Equal(t.Audience, []string{r.Parties.Client.ID}):
		return assertionSubject{}, &SubjectRefusal{subjectClient}
	case t.Session == "":
		return assertionSubject{}, &SubjectRefusal{token.Reason(session.Ended)}
	}
	grants, err := s.Sessions.LiveOf(ctx, session.Filter{
		Project:  r.Parties.Project.Slug,
		Subject:  t.Subject,
		ClientID: r.Parties.Client.ID,
		SignIn:   t.Session,
	}, r.Now)
	if err != nil {
		return assertionSubject{}, err
	}
	return r.subjectUnder(t, grants)
}

// subjectUnder is the subject of an ID token whose grants are these.
func (r IdentityAssertion) subjectUnder(t *token.Token, grants []session.Grant) (assertionSubject, error) {
	reason := token.Reason(session.Ended)
	subject := assertionSubject{}
	for _, g := range grants {
		if !r.hasKey(g) {
			reason = token.Reason(session.OtherKey)
			continue
		}
		if subject.grant.ID == "" || g.IdleEnds.After(subject.grant.IdleEnds) {
			subject.grant = g
		}
		subject.email = subject.email || r.hasEmail(g)
	}
	if subject.grant.ID == "" {
		return assertionSubject{}, &SubjectRefusal{reason}
	}
	subject.until = subject.grant.IdleEnds
	if end := t.Expiry.Time(); end.Before(subject.until) {
		subject.until = end
	}
	subject.grant.AuthTime, subject.grant.ACR, subject.grant.AMR = signInOf(t)
	return subject, nil
}

// hasKey reports whether the client has proved to have a key and a certificate where its grant is bound
// to one. It has authenticated, so that another one will do.
func (r IdentityAssertion) hasKey(g session.Grant) bool {
	return (g.JKT == "" || r.JKT != "") && (g.X5T == "" || r.X5T != "")
}

// narrow is the audience with what the request names.
func (r IdentityAssertion) narrow(a clients.AssertionAudience) (clients.AssertionAudience, error) {
	for _, scope := range r.Scopes {
		if !slices.Contains(a.Scopes, scope) {
			return a, ErrScope
		}
	}
	if len(r.Scopes) > 0 {
		a.Scopes = r.Scopes
	}
	resources, ok := narrowAudience(r.Resources, a.Resources)
	if !ok {
		return a, ErrTarget
	}
	a.Resources = resources
	return a, nil
}

// mintAssertion makes the assertion, with the key of the client's ID tokens.
func (s *Service) mintAssertion(
	ctx context.Context,
	r IdentityAssertion,
	subject assertionSubject,
	p Parties,
	audience clients.AssertionAudience,
	until time.Time,
) (string, error) {
	key, err := s.IDTokenKey(ctx, p.Client.SignsIDTokenWith(), until.Sub(r.Now), r.Now)
	if err != nil {
		return "", fmt.Errorf("the key for identity assertions: %w", err)
	}
	told := map[string]any{}
	if subject.email {
		told = personOf(p.User).Tell(s.Scopes.Claims(emailScope))
	}
	switch len(audience.Resources) {
	case 0:
	case 1:
		told["resource"] = audience.Resources[0]
	default:
		told["resource"] = audience.Resources
	}
	raw, err := token.Mint(key, IDJAGType, token.Claims{
		Issuer:   s.Issuer,
		Subject:  p.User.Name,
		Audience: []string{audience.Issuer},
		IssuedAt: r.Now,
		Expiry:   until,
		ID:       rand.Text(),
		ClientID: audience.ClientID,
		Scopes:   audience.Scopes,
		Protocol: signInClaims(subject.grant),
		Extra:    told,
	})
	if err != nil {
		return "", fmt.Errorf("minting the identity assertion: %w", err)
	}
	return raw, nil
}
