package auth

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// TestTheLargestClaimsFitTheCookieInEachFormat: a JWT with a short signature is shorter than an opaque
// token of the same claims.
func TestTheLargestClaimsFitTheCookieInEachFormat(t *testing.T) {
	a := provisioned(t, config.Settings{
		Issuer:    "https://auth.example.com",
		PublicURL: "https://auth.example.com",
		Store:     filepath.Join(t.TempDir(), "auth.db"),
		Keys:      &config.Keys{Secrets: "k:" + strings.Repeat("c2VjcmV0", 8)},
	})
	limit := buildCookieLimit(a)
	for length := range 64 { // opaque tokens come in steps of 64 characters
		limit.name = strings.Repeat("n", length+1)
		checkLargestClaims(t, limit)
	}
}

func checkLargestClaims(t *testing.T, limit cookieLimit) {
	t.Helper()
	largest := 0
	for n := 2250; n < 2600; n++ {
		u := identity.User{Project: "default", Name: "alice", Claims: map[string]any{"note": strings.Repeat("a", n)}}
		if limit.check(u) != nil {
			break
		}
		largest = n
		sealed, err := sampleTokens(limit.server.Issuer).Issue(limit.sampleClaims(u, time.Now()))
		if size := len(limit.name) + len(sealed); err != nil || size > login.MaxCookie {
			t.Errorf("claims of %d bytes are let through, and the cookie has %d bytes, %v", n, size, err)
		}
	}
	if largest == 0 {
		t.Errorf("the largest claims have %d bytes", largest)
	}
}
