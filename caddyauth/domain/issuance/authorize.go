package issuance

import (
	"context"
	"errors"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// CodeRequest is an authorization request that the person has granted.
type CodeRequest struct {
	// Parties are the client, its project and the person, as FindParties returned them. Required.
	Parties Parties

	// Request is what is granted. Required.
	Request authorization.Request

	// Subject is the person as their session names them. Required.
	Subject string

	// Session is the ID of the person's session; empty where it has no refresh token. Epoch is that
	// of its access token.
	Session string
	Epoch   int64

	// AuthTime, ACR and AMR say when and how the person signed in.
	AuthTime time.Time
	ACR      string
	AMR      []string

	// Device and ClientIP are kept for listings.
	Device, ClientIP string

	// Pushed is the hash of the pushed request that is completed. Default: none is.
	Pushed string

	// Now is the time of the grant.
	Now time.Time
}

// IssueCode returns a code for a request that was granted. The error is a *session.Refusal
// (NotAllowed) when nothing may be issued, or no longer, ErrTarget, ErrAudience,
// authorization.ErrPushedUsed, or the store's.
func (s *Service) IssueCode(ctx context.Context, r CodeRequest) (string, error) {
	owners := session.Grant{
		Project:  r.Parties.Project.Slug,
		Subject:  r.Subject,
		ClientID: r.Parties.Client.ID,
	}
	terms, err := s.termsOf(r.Parties, owners)
	if err != nil {
		return "", err
	}
	account, err := identity.CanonicalName(owners.Subject)
	if err != nil {
		return "", notAllowed(owners)
	}
	audience, err := Targets(r.Parties, r.Request.Resources)
	if err != nil {
		return "", err
	}
	text := secrets.New(authorization.CodePrefix)
	now := r.Now.UTC().Truncate(time.Millisecond)
	err = s.Codes.AddCode(ctx, authorization.Code{
		Hash:         secrets.Hash(text),
		ClientID:     owners.ClientID,
		Project:      owners.Project,
		Subject:      owners.Subject,
		Account:      account,
		RedirectURI:  r.Request.To.RedirectURI,
		RedirectSent: r.Request.RedirectSent,
		Challenge:    r.Request.Challenge,
		Nonce:        r.Request.Nonce,
		Scopes:       r.Request.Scopes,
		Audience:     audience,
		ClaimsText:   r.Request.ClaimsText,
		JKT:          r.Request.JKT,
		Session:      r.Session,
		AuthTime:     r.AuthTime,
		ACR:          r.ACR,
		AMR:          r.AMR,
		Device:       session.ClampText(r.Device),
		ClientIP:     session.ClampText(r.ClientIP),
		Epoch:        r.Epoch,
		Created:      now,
		Expires:      now.Add(terms.Code),
	}, r.Pushed)
	if errors.Is(err, authorization.ErrOvertaken) {
		return "", notAllowed(owners)
	}
	if err != nil {
		return "", err
	}
	s.observe("authorization_code")
	return text, nil
}
