package issuance

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const (
	// IDJAGType is `typ` of an Identity Assertion JWT Authorization Grant
	// (draft-ietf-oauth-identity-assertion-authz-grant, section 4).
	IDJAGType = "oauth-id-jag+jwt"

	// MaxIdentityAssertion is how long an identity assertion may live.
	MaxIdentityAssertion = 5 * time.Minute
)

// Assertions are the issuers whose identity assertions are exchanged for access tokens of this
// server.
type Assertions struct {
	// Issuers are by `iss`. Default: none, and no assertion is accepted.
	Issuers map[string]AssertionIssuer

	// Verify checks signature, algorithm, type and issuer of an assertion. A *token.Refusal other
	// than token.KeysUnavailable means that it is none. Required.
	Verify func(ctx context.Context, raw string) (*token.Token, error)

	// UseOnce remembers the ids of assertions; see replay.Store. Required.
	UseOnce func(ctx context.Context, u replay.Use) error
}

// AssertionIssuer is what the assertions of one issuer are good for.
type AssertionIssuer struct {
	// Clients may present its assertions, by id. Default: none.
	Clients []string

	// UserClaim is the claim that says whom an assertion is about. Required.
	UserClaim string

	// Users are the names of people here by the value of that claim; nobody else is known. Default:
	// the value is the name.
	Users map[string]string

	// Scopes are those that tokens may have, out of the client's. Default: none.
	Scopes []string

	// Resources are what assertions may name and tokens be for, out of the client's. Default: none,
	// and tokens are for the client's audience.
	Resources []string
}

// The reasons of an AssertionRefusal besides those of tokens.
const (
	assertionUsed       token.Reason = "used"
	assertionIncomplete token.Reason = "incomplete"
	assertionClient     token.Reason = "wrong_client"
	assertionUser       token.Reason = "unknown_user"
	assertionDetails    token.Reason = "not_supported"
)

// AssertionRefusal is the error for an assertion that buys nothing. The client must not be told why:
// it could find out who has an account.
type AssertionRefusal struct {
	// Reason is why, for a log.
	Reason token.Reason
}

// Error names the reason.
func (r *AssertionRefusal) Error() string { return "assertion refused: " + string(r.Reason) }

// AssertionGrant is a client that has an identity assertion about a person and wants an access token
// for it (RFC 7523, section 2.1).
type AssertionGrant struct {
	// Parties are what FindClientParties returned before the client proved itself. Required.
	Parties Parties

	// Assertion is the JWT. Required.
	Assertion string

	// Scopes and Resources narrow what the assertion is for. Default: all of it.
	Scopes, Resources []string

	// JKT is the thumbprint of the key that the client has proved to have. Default: none.
	JKT string

	// X5T is the thumbprint of the TLS client certificate that the token is bound to. Default: none.
	X5T string

	// Now is the time of the request.
	Now time.Time
}

// AssertionGrant issues an access token, and no refresh token, for the person of an assertion. A
// revocation that came after the parties were read denies the token: its epoch is higher. The
// assertion is used up last, when everything else is good. The error is an *AssertionRefusal,
// ErrScope, ErrTarget or ErrAudience; every other error is the store's, or that of fetching keys or
// making the token.
func (s *Service) AssertionGrant(ctx context.Context, r AssertionGrant) (Issued, error) {
	t, issuer, err := s.assertion(ctx, r)
	if err != nil {
		return Issued{}, err
	}
	g, terms, err := s.assertedPerson(ctx, r, t, issuer)
	if err != nil {
		return Issued{Grant: g}, err
	}
	scopes, err := issuer.scopes(r, t)
	if err != nil {
		return Issued{Grant: g}, err
	}
	if g.Audience, err = issuer.targets(r, t); err != nil {
		return Issued{Grant: g}, err
	}
	issued, err := s.issueOnce(ctx,
		accessRequest{grant: g, scopes: scopes, epoch: r.Parties.Epoch, now: r.Now}, terms)
	if err != nil {
		return Issued{Grant: g}, err
	}

	// Only now is the assertion used up.
	err = s.Assertions.UseOnce(ctx, replay.Use{
		Purpose: replay.AuthorizationGrant,
		Issuer:  t.Issuer(),
		ID:      t.ID,
		Until:   t.Expiry.Time().Add(leeway.Default),
	})
	if errors.Is(err, replay.ErrUsed) {
		return Issued{Grant: g}, &AssertionRefusal{assertionUsed}
	}
	if err != nil {
		return Issued{Grant: g}, err
	}
	return issued, nil
}

// assertion returns a good assertion for this server and this client, and who made it.
func (s *Service) assertion(ctx context.Context, r AssertionGrant) (*token.Token, AssertionIssuer, error) {
	t, err := s.Assertions.Verify(ctx, r.Assertion)
	if err == nil {
		err = t.CheckTime(r.Now, leeway.Default)
	}
	if refusal, ok := errors.AsType[*token.Refusal](err); ok && refusal.Reason != token.KeysUnavailable {
		return nil, AssertionIssuer{}, &AssertionRefusal{refusal.Reason}
	}
	if err != nil {
		return nil, AssertionIssuer{}, err
	}
	issuer, trusted := s.Assertions.Issuers[t.Issuer()]
	reason := token.Reason("")
	switch _, details := t.Claim("authorization_details"); {
	case !trusted:
		reason = token.UnknownIssuer
	case !slices.Equal(t.Audience, []string{s.Issuer}) || !token.HasTextAudience(t.Raw()):
		reason = token.WrongAudience
	case t.ID == "" || t.IssuedAt == 0:
		reason = assertionIncomplete
	case t.Expiry.Time().Sub(r.Now) > MaxIdentityAssertion+leeway.Default:
		reason = token.LifetimeTooLong
	case t.ClientID != r.Parties.Client.ID || !slices.Contains(issuer.Clients, t.ClientID):
		reason = assertionClient
	case details:
		reason = assertionDetails // a limit that nobody here would hold (RFC 9396)
	}
	if reason != "" {
		return nil, AssertionIssuer{}, &AssertionRefusal{reason}
	}
	return t, issuer, nil
}

// assertedPerson finds the person of an assertion, who must exist and be active like the client and
// its project, and says what may be issued.
func (s *Service) assertedPerson(
	ctx context.Context, r AssertionGrant, t *token.Token, issuer AssertionIssuer,
) (session.Grant, Terms, error) {
	g := session.Grant{Project: r.Parties.Project.Slug, ClientID: r.Parties.Client.ID, JKT: r.JKT, X5T: r.X5T}
	name, ok := issuer.user(t)
	canonical, err := identity.CanonicalName(name)
	if !ok || err != nil {
		return g, Terms{}, &AssertionRefusal{assertionUser}
	}
	p, err := s.Store.FindParties(ctx, g.Project, g.ClientID, canonical)
	switch {
	case err != nil:
		return g, Terms{}, err
	case p.User == nil:
		return g, Terms{}, &AssertionRefusal{assertionUser}
	}
	g.Subject = p.User.Name
	terms, err := s.termsOf(p, g)
	if _, refused := errors.AsType[*session.Refusal](err); refused {
		return g, Terms{}, &AssertionRefusal{token.Reason(session.NotAllowed)}
	}
	if err == nil {
		err = s.checkOvertaken(ctx, g, t)
	}
	return g, terms, err
}

// checkOvertaken refuses an assertion from before a revocation of the user, the client or the
// project, as tokens from before it are. An assertion has no epoch: epochs are the milliseconds at
// which they were taken, or higher while a clock was ahead. `auth_time` does not count, because a
// change of claims is such a revocation, too, and lets people stay signed in.
func (s *Service) checkOvertaken(ctx context.Context, g session.Grant, t *token.Token) error {
	denied, err := s.Store.IsDenied(ctx, s.revocable(g, t.IssuedAt.Time().UnixMilli()))
	if err == nil && denied {
		err = &AssertionRefusal{token.Revoked}
	}
	return err
}

// user returns the name here of whom the assertion is about.
func (i AssertionIssuer) user(t *token.Token) (name string, ok bool) {
	value, _ := t.Claim(i.UserClaim)
	name, ok = value.(string)
	if verified, _ := t.Claim("email_verified"); i.UserClaim == "email" && verified != true {
		return "", false // anybody could have typed it
	}
	if ok && len(i.Users) > 0 {
		name, ok = i.Users[name]
	}
	return name, ok && name != ""
}

// scopes are what the issuer, the client and the assertion, if it names any, all allow, narrowed to
// what the request names.
func (i AssertionIssuer) scopes(r AssertionGrant, t *token.Token) ([]string, error) {
	_, limited := t.Claim("scope")
	limited = limited || len(t.Scopes) > 0 // which may have come as `scp`
	var allowed []string
	for _, scope := range i.Scopes {
		if slices.Contains(r.Parties.Client.Scopes, scope) && scope != "offline_access" &&
			(!limited || slices.Contains(t.Scopes, scope)) {
			allowed = append(allowed, scope)
		}
	}
	if len(r.Scopes) > 0 {
		allowed = slices.DeleteFunc(allowed, func(s string) bool { return !slices.Contains(r.Scopes, s) })
	}
	if len(allowed) == 0 && (limited || len(r.Scopes) > 0) {
		return nil, ErrScope
	}
	return allowed, nil
}

// targets is what the token is for: the resources that the request names, or else the assertion, or
// else all of the issuer, or else the client's audience.
func (i AssertionIssuer) targets(r AssertionGrant, t *token.Token) ([]string, error) {
	var has []string
	for _, resource := range i.Resources {
		if known, ok := r.Parties.Client.Resource(resource); ok {
			has = append(has, known)
		}
	}
	value, limited := t.Claim("resource")
	if !limited {
		if len(i.Resources) == 0 && len(r.Resources) == 0 {
			return audienceOf(r.Parties)
		}
		return narrowResources(r.Resources, has)
	}
	asserted, ok := narrowResources(token.Strings(value), has)
	if ok != nil || len(token.Strings(value)) == 0 {
		return nil, ErrTarget
	}
	return narrowResources(r.Resources, asserted)
}

// narrowResources is narrowAudience where something must be left.
func narrowResources(asked, has []string) ([]string, error) {
	audience, ok := narrowAudience(asked, has)
	if !ok || len(audience) == 0 {
		return nil, ErrTarget
	}
	return audience, nil
}
