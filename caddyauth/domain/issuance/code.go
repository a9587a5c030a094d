package issuance

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// The kinds of the grants that codes buy: those of clients, and the sessions of browsers at
// applications on other hosts than the server's.
const (
	CodeGrant = "code"
	WebGrant  = "web"
)

// ErrNoCode says that a code was not issued here, or was forgotten.
var ErrNoCode = errors.New("no such code")

// CodeStore is what redeeming codes needs of a store. Every verb is one atomic step.
type CodeStore interface {
	// FindCode returns a code, a used or expired one, too, with those it was issued for as they stand
	// at that moment; or ErrNoCode.
	FindCode(ctx context.Context, hash string) (authorization.Code, Parties, error)

	// AddCode, RedeemCode and ReplayCode are those of authorization.Store.
	AddCode(ctx context.Context, c authorization.Code, pushed string) error
	RedeemCode(ctx context.Context, r authorization.Redemption, now time.Time) (authorization.Outcome, error)
	ReplayCode(ctx context.Context, hash string, now time.Time) (authorization.Outcome, error)
}

// CodeRefusal is the error for a code that is refused: `invalid_grant`.
type CodeRefusal struct {
	// Verdict is why.
	Verdict authorization.Verdict

	// Code is the code, when it is known. Whoever presents it must not be told whose it is.
	Code authorization.Code
}

// Error names the verdict.
func (r *CodeRefusal) Error() string { return "code refused: " + string(r.Verdict) }

// CodeExchange is a code that a client presents.
type CodeExchange struct {
	// Code is the code.
	Code string

	// ClientID is the client that has authenticated.
	ClientID string

	// RedirectURI and Verifier are the parameters `redirect_uri` and `code_verifier`.
	RedirectURI, Verifier string

	// JKT is the thumbprint of the key that the client has proved to have. Default: none.
	JKT string

	// X5T is the thumbprint of the TLS client certificate that the token is bound to. Default: none.
	X5T string

	// Resources are the part of the authorized ones that the access token is for. Default: all.
	Resources []string

	// MaxToken is how many bytes the access token may have. Default: any number.
	MaxToken int

	// Now is the time of the exchange.
	Now time.Time
}

// CodeExchanged is what a code has bought.
type CodeExchanged struct {
	Issued

	// Code is the code: nonce and claims go into the ID token.
	Code authorization.Code
}

// ExchangeCode gives tokens for a code. Everything is checked and made before the code is used up,
// in the step that stores the grant. The error is ErrTarget, ErrTooLarge or a *CodeRefusal; they have
// used nothing up. Every other error is the store's or that of making the access token.
func (s *Service) ExchangeCode(ctx context.Context, e CodeExchange) (CodeExchanged, error) {
	e.Now = e.Now.UTC().Truncate(time.Millisecond) // as sessions count
	hash := secrets.Hash(e.Code)
	code, parties, err := s.Codes.FindCode(ctx, hash)
	if errors.Is(err, ErrNoCode) {
		return CodeExchanged{}, &CodeRefusal{Verdict: authorization.Unknown}
	}
	if err != nil {
		return CodeExchanged{}, err
	}
	switch verdict := code.Judge(e.presented(hash), e.Now); verdict {
	case authorization.Redeemed:
		return s.exchange(ctx, e, code, parties)
	case authorization.Replayed:
		out, err := s.Codes.ReplayCode(ctx, hash, e.Now)
		return CodeExchanged{}, s.codeRefused(code, out, err)
	default:
		return CodeExchanged{}, &CodeRefusal{Verdict: verdict, Code: code}
	}
}

func (e CodeExchange) presented(hash string) authorization.Presented {
	return authorization.Presented{
		Hash:        hash,
		ClientID:    e.ClientID,
		RedirectURI: e.RedirectURI,
		Verifier:    e.Verifier,
		JKT:         e.JKT,
	}
}

// exchange makes the tokens of a code that was judged good, then uses it up.
func (s *Service) exchange(
	ctx context.Context,
	e CodeExchange,
	code authorization.Code,
	p Parties,
) (CodeExchanged, error) {
	begun, terms, err := s.codeGrant(e, code, p)
	if _, refused := errors.AsType[*session.Refusal](err); refused {
		return CodeExchanged{}, &CodeRefusal{Verdict: authorization.NotAllowed, Code: code}
	}
	if err != nil {
		return CodeExchanged{}, err
	}
	audience, ok := authorization.Narrow(begun.Grant.Audience, e.Resources)
	if !ok {
		return CodeExchanged{Code: code}, ErrTarget
	}
	r := accessRequest{
		grant:    begun.Grant,
		audience: audience,
		scopes:   begun.Grant.Scopes,
		epoch:    begun.Grant.Epoch,
		now:      begun.Now,
		until:    begun.AccessUntil,
	}
	raw, err := s.mint(ctx, r, terms)
	if err == nil {
		err = checkSize(raw, e.MaxToken)
	}
	if err != nil {
		return CodeExchanged{}, err
	}

	// Only now is the code used up.
	out, err := s.Codes.RedeemCode(ctx,
		authorization.Redemption{Hash: code.Hash, Session: code.Session, Grant: begun.Grant}, e.Now)
	if err != nil || out.Verdict != authorization.Redeemed {
		return CodeExchanged{}, s.codeRefused(code, out, err)
	}
	if raw, err = s.settleWithin(ctx, raw, r, e.MaxToken); err != nil {
		return CodeExchanged{}, err
	}
	return CodeExchanged{Code: code, Issued: s.issuedFor(raw, begun, terms, p)}, nil
}

// issuedFor is what goes out; a refresh token only where the client may have one.
func (s *Service) issuedFor(raw string, begun session.Issued, terms Terms, p Parties) Issued {
	issued := Issued{
		AccessToken: raw,
		AccessUntil: begun.AccessUntil,
		Scopes:      begun.Grant.Scopes,
		Grant:       begun.Grant,
		parties:     &p,
	}
	if terms.Refresh > 0 && p.Client.AllowsGrant(clients.GrantRefresh) {
		issued.RefreshToken = begun.RefreshToken
		s.observe("refresh_token")
	}
	return issued
}

// codeRefused is the refusal of a code by the store. What it denied holds on this node at once.
func (s *Service) codeRefused(code authorization.Code, out authorization.Outcome, err error) error {
	if err != nil {
		return err
	}
	if s.Sessions.DenyList != nil {
		s.Sessions.DenyList.Add(out.Denials...)
	}
	return &CodeRefusal{Verdict: out.Verdict, Code: code}
}

func kindOf(code authorization.Code) string {
	if code.ClientID == clients.Web {
		return WebGrant
	}
	return CodeGrant
}

// codeGrant makes the grant that a code buys, of what was authorized and the client may still have:
// under the session, and no longer than that, unless the person let the client have tokens without it.
func (s *Service) codeGrant(e CodeExchange, code authorization.Code, p Parties) (session.Issued, Terms, error) {
	terms, err := s.termsOf(p, session.Grant{Project: code.Project, Subject: code.Subject, ClientID: code.ClientID})
	if err != nil {
		return session.Issued{}, Terms{}, err
	}
	audience, scopes, ok := p.kept(code.Audience, code.Scopes)
	if !ok {
		return session.Issued{}, Terms{}, notAllowed(session.Grant{})
	}
	offline := slices.Contains(scopes, authorization.OfflineAccess)
	idle, absolute := terms.Refresh, terms.RefreshAbsolute
	if idle == 0 { // no refresh token; the grant is there so that its access token can be ended
		idle, absolute = terms.Access, terms.Access
	}
	request := session.GrantRequest{
		Project:       code.Project,
		Subject:       code.Subject,
		ClientID:      code.ClientID,
		Kind:          kindOf(code),
		Audience:      audience,
		Scopes:        scopes,
		Device:        code.Device,
		ClientIP:      code.ClientIP,
		Access:        terms.Access,
		Reuse:         terms.Reuse(defaultReuse(CodeGrant)),
		Fixed:         terms.RefreshRotation == project.Off,
		Offline:       offline,
		AuthTime:      code.AuthTime,
		ACR:           code.ACR,
		AMR:           code.AMR,
		JKT:           e.JKT,
		X5T:           e.X5T,
		ClaimsRequest: code.ClaimsText,
		Epoch:         p.Epoch,
	}
	switch {
	case offline:
		request.SignIn = code.Session
	case code.Session != "":
		request.Parent = code.Session
		absolute = min(absolute, code.SessionEnds.Sub(e.Now))
	}
	request.Absolute, request.Idle = absolute, min(idle, absolute)
	if absolute <= 0 {
		return session.Issued{}, Terms{}, notAllowed(session.Grant{})
	}
	if request.Kind == WebGrant {
		origin, err := originOf(code.RedirectURI)
		if err != nil {
			return session.Issued{}, Terms{}, notAllowed(session.Grant{})
		}
		request.Audience = append(slices.Clone(code.Audience), origin)
	}
	begun, err := s.Sessions.New(request, e.Now)
	return begun, terms, err
}
