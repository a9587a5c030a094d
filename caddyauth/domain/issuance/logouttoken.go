package issuance

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/backchannel"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const (
	// LogoutTokenType is the `typ` of logout tokens. No verifier of ours takes it.
	LogoutTokenType = "logout+jwt"

	// logoutTokenLifetime is the longest that OpenID Connect Back-Channel Logout recommends (section
	// 2.4).
	logoutTokenLifetime = 2 * time.Minute

	// logoutEvent is the one member of `events`.
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

// LogoutToken makes the logout token of a notice (OpenID Connect Back-Channel Logout, section 2.4),
// with the key of the client's ID tokens. The error is the keys'.
func (s *Service) LogoutToken(ctx context.Context, n backchannel.Notice, now time.Time) (string, error) {
	key, err := s.IDTokenKey(ctx, n.Algorithm, logoutTokenLifetime, now)
	if err != nil {
		return "", fmt.Errorf("the key for logout tokens: %w", err)
	}
	raw, err := token.Sign(key, LogoutTokenType, map[string]any{
		"iss":    s.Issuer,
		"aud":    n.ClientID,
		"iat":    now.Unix(),
		"exp":    now.Add(logoutTokenLifetime).Unix(),
		"jti":    rand.Text(),
		"events": map[string]any{logoutEvent: map[string]any{}},
		"sub":    n.Subject,
		"sid":    n.Session,
	})
	if err != nil {
		return "", fmt.Errorf("signing the logout token: %w", err)
	}
	s.observe("logout_token")
	return raw, nil
}
