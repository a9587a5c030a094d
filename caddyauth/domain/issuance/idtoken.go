package issuance

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// IDTokenType is the `typ` of ID tokens. No gate takes a token of this type, whatever key signed it.
const IDTokenType = "JWT"

// IDTokenRequest is an ID token that is wanted beside an access token.
type IDTokenRequest struct {
	// Grant is what the access token was made from. Required.
	Grant session.Grant

	// Parties are those whom the grant is for, as they were read for the access token. Default: they
	// are read.
	Parties *Parties

	// Nonce is that of the authorization request. Default: none, as at a refresh.
	Nonce string

	// AccessToken is the token that is issued beside it. Default: none.
	AccessToken string

	// Now is the time of issue. Required.
	Now time.Time
}

// IDToken makes an ID token (OpenID Connect Core, section 2). Its claims about the person are those
// that the parameter `claims` asked for in it; those of the scopes are told by /userinfo (section
// 5.4). The error is a *session.Refusal (NotAllowed), or the store's or the keys'.
func (s *Service) IDToken(ctx context.Context, r IDTokenRequest) (string, error) {
	if r.Parties == nil {
		p, err := s.partiesOf(ctx, r.Grant)
		if err != nil {
			return "", err
		}
		r.Parties = &p
	}
	terms, err := s.termsOf(*r.Parties, r.Grant)
	if err != nil {
		return "", err
	}
	algorithm := r.Parties.Client.SignsIDTokenWith()
	key, err := s.IDTokenKey(ctx, algorithm, terms.IDToken, r.Now)
	if err != nil {
		return "", fmt.Errorf("the key for ID tokens: %w", err)
	}
	raw, err := token.Mint(key, IDTokenType, token.Claims{
		Issuer:   s.Issuer,
		Subject:  r.Grant.Subject,
		Audience: []string{r.Grant.ClientID},
		IssuedAt: r.Now,
		Expiry:   r.Now.Add(terms.IDToken),
		Session:  SignInOf(r.Grant),
		Protocol: r.protocol(algorithm),
		Extra: personOf(r.Parties.User).Tell(
			s.learns(r.Parties.Client, r.Grant, openid.InIDToken)),
	})
	if err != nil {
		return "", fmt.Errorf("minting the ID token: %w", err)
	}
	s.observe("id_token")
	return raw, nil
}

// IDTokenFor makes the ID token that goes with what was issued. nonce is that of the authorization
// request, empty at a refresh.
func (s *Service) IDTokenFor(ctx context.Context, i Issued, nonce string, now time.Time) (string, error) {
	return s.IDToken(ctx, IDTokenRequest{
		Grant:       i.Grant,
		Parties:     i.parties,
		Nonce:       nonce,
		AccessToken: i.AccessToken,
		Now:         now,
	})
}

// SignInOf is the `sid` of ID and logout tokens: the sign-in that a grant was given under, also where
// it outlives that; the grant itself where it was given under none.
func SignInOf(g session.Grant) string { return cmp.Or(g.Parent, g.SignIn, g.ID) }

// protocol are the claims about the sign-in and the request.
func (r *IDTokenRequest) protocol(algorithm string) map[string]any {
	claims := signInClaims(r.Grant)
	if r.Nonce != "" {
		claims["nonce"] = r.Nonce
	}
	if r.AccessToken != "" {
		claims["at_hash"] = halfHash(algorithm, r.AccessToken)
	}
	return claims
}

// signInClaims say when and how the person signed in.
func signInClaims(g session.Grant) map[string]any {
	claims := map[string]any{}
	if !g.AuthTime.IsZero() {
		claims["auth_time"] = g.AuthTime.Unix()
	}
	if g.ACR != "" {
		claims["acr"] = g.ACR
	}
	if len(g.AMR) > 0 {
		claims["amr"] = g.AMR
	}
	return claims
}

// halfHash is the left half of the hash that the algorithm signs with (OpenID Connect Core, section
// 3.1.3.6). Ed25519 hashes with SHA-512.
func halfHash(algorithm, text string) string {
	if algorithm == "EdDSA" {
		sum := sha512.Sum512([]byte(text))
		return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
