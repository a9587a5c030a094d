package issuance

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

var (
	// ErrTarget says that a resource is not one that the token may be for.
	ErrTarget = errors.New("the resource is not allowed")

	// ErrNamedAsUser says that a client has the name of a person of its project: a token of the
	// client would be taken for that person's, because `sub` would be the same.
	ErrNamedAsUser = errors.New("the client has the name of a user")
)

// ClientCredentials is a client that wants an access token for itself (RFC 6749, section 4.4).
type ClientCredentials struct {
	// Parties are what FindClientParties returned before the client proved itself. Required.
	Parties Parties

	// Scopes are those that the client asks for. Default: all of the client's.
	Scopes []string

	// Resources are what the token is for (RFC 8707). Default: the client's audience.
	Resources []string

	// JKT is the thumbprint of the key that the client has proved to have. Default: none.
	JKT string

	// X5T is the thumbprint of the TLS client certificate that the token is bound to. Default: none.
	X5T string

	// Now is the time of the request.
	Now time.Time
}

// personal are the scopes that say something of a person, or that a person would have to allow.
var personal = []string{"openid", "profile", "email", "phone", "address", "offline_access"}

// ClientCredentials issues an access token, and no refresh token, to a client. Its subject is the
// client. A revocation that came after the parties were read denies the token: its epoch is higher.
// The error is ErrScope, ErrTarget, ErrAudience, ErrNamedAsUser, a *session.Refusal (NotAllowed), or
// that of making the token.
func (s *Service) ClientCredentials(ctx context.Context, r ClientCredentials) (Issued, error) {
	p := r.Parties
	g := session.Grant{
		Project:  p.Project.Slug,
		Subject:  p.Client.ID,
		ClientID: p.Client.ID,
		JKT:      r.JKT,
		X5T:      r.X5T,
	}
	switch {
	case !p.Project.Active || !p.Client.Active:
		return Issued{}, notAllowed(g)
	case p.User != nil:
		return Issued{Grant: g}, ErrNamedAsUser
	}

	// What the client asks for is narrowed; it is refused when nothing is left.
	scopes, ok := p.Client.AllowsScopes(r.Scopes...)
	scopes = slices.DeleteFunc(scopes, func(scope string) bool { return slices.Contains(personal, scope) })
	if !ok || len(r.Scopes) > 0 && len(scopes) == 0 {
		return Issued{Grant: g}, ErrScope
	}
	var err error
	if g.Audience, err = Targets(p, r.Resources); err != nil {
		return Issued{Grant: g}, err
	}
	return s.issueOnce(ctx, accessRequest{grant: g, scopes: scopes, epoch: p.Epoch, now: r.Now},
		s.clientTerms(p))
}

// clientTerms are the terms for a client whose subject is a client.
func (s *Service) clientTerms(p Parties) Terms {
	return Terms{
		Lifetimes:    project.Effective(s.Lifetimes, p.Project.Own(), p.Client.Own(), s.Limits),
		TokenOptions: p.Client.TokenOptions.Over(p.Project.TokenOptions).Over(s.TokenOptions),
		Claims:       p.Client.Claims,
	}
}

// issueOnce issues an access token that nothing renews.
func (s *Service) issueOnce(ctx context.Context, r accessRequest, terms Terms) (Issued, error) {
	if end := r.now.Add(terms.Access); r.until.IsZero() || end.Before(r.until) {
		r.until = end
	}
	raw, err := s.mint(ctx, r, terms)
	if err != nil {
		return Issued{}, err
	}
	return Issued{AccessToken: raw, AccessUntil: r.until, Scopes: r.scopes, Grant: r.grant}, nil
}

// Targets returns what a token of the client is for: the resources that it names, or else its audience.
// The error is ErrTarget or ErrAudience.
func Targets(p Parties, resources []string) ([]string, error) {
	if len(resources) == 0 {
		return audienceOf(p)
	}
	var audience []string
	for _, presented := range resources {
		known, ok := p.Client.Resource(presented)
		if !ok {
			return nil, ErrTarget
		}
		if !slices.Contains(audience, known) {
			audience = append(audience, known)
		}
	}
	return audience, nil
}

// defaultAudience is what tokens of a client are for that has no audience.
const defaultAudience = "api"

// audienceOf is the audience of the client, which its project must have tokens for.
func audienceOf(p Parties) ([]string, error) {
	audience := p.Client.Audience
	if len(audience) == 0 {
		audience = []string{defaultAudience}
	}
	for _, word := range audience {
		if words := p.Project.Audiences; len(words) > 0 && !slices.Contains(words, word) {
			return nil, ErrAudience
		}
	}
	return audience, nil
}
