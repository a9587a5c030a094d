package auth

import (
	"crypto/rand"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// cookieLimit holds the claims of users to what fits into a session cookie.
type cookieLimit struct {
	server *config.Server
	keys   *Keys
	name   string // of the cookie
}

// check refuses a user whose claims would make the session cookie larger than browsers keep:
// such a user could not sign in. It counts with the key that signs now, and with the longer of both
// formats, because the format is changed without looking at the users. Users whose tokens are never
// for browsers have no cookie.
func (l cookieLimit) check(u identity.User) error {
	if l.server.PublicURL == nil || len(u.Claims) == 0 || !l.signsIn(u.Project) {
		return nil
	}
	key, err := l.sampleKey()
	if err != nil {
		return err
	}
	claims := l.sampleClaims(u, time.Now())
	jwt, err := token.Mint(key, "at+jwt", claims)
	if err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	sealed, err := sampleTokens(l.server.Issuer).Issue(claims)
	if err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	if size := len(l.name) + max(len(jwt), len(sealed)); size > login.MaxCookie {
		return fmt.Errorf("claims: the session cookie would have %d bytes, above the limit of %d;"+
			" make them %d bytes shorter",
			size, login.MaxCookie, int(math.Ceil(float64(size-login.MaxCookie)*3/4))) // base64
	}
	return nil
}

// sampleClaims are the claims of the longest access token that a browser may get for the user.
func (l cookieLimit) sampleClaims(u identity.User, now time.Time) token.Claims {
	return token.Claims{
		Issuer:   l.server.Issuer,
		Subject:  u.Name,
		Audience: []string{"web", l.sampleOrigin()},
		IssuedAt: now,
		Expiry:   now.Add(time.Hour),
		ID:       rand.Text(),
		ClientID: clients.Web, // the longer one
		Project:  u.Project,
		Session:  sampleFamily(),
		Extra:    u.Claims,
		Protocol: map[string]any{
			"epoch":     now.UnixMilli(),
			"auth_time": now.Unix(),
			"acr":       issuance.PasswordClass,
			"amr":       []string{issuance.PasswordMethod},
		},
	}
}

// sampleTokens makes opaque tokens that are as long as the server's, with a key of zeros.
func sampleTokens(issuer string) *opaque.Tokens {
	return &opaque.Tokens{
		Secrets: []keyring.Subkey{{Key: make([]byte, 32)}},
		Issuer:  token.Issuer{Name: issuer},
	}
}

// signsIn reports whether tokens of a project may be for browsers.
func (l cookieLimit) signsIn(slug string) bool {
	words := l.server.Audiences
	for _, p := range l.server.Projects {
		if p.Slug == slug && len(p.Audiences) > 0 {
			words = p.Audiences
		}
	}
	return slices.Contains(words, "web")
}

// sampleOrigin is the longest origin that the settings name. Those of the sites are not known yet.
func (l cookieLimit) sampleOrigin() string {
	longest := l.server.PublicURL.Scheme + "://" + l.server.PublicURL.Host
	for _, origin := range l.server.ReturnTo {
		if len(origin) > len(longest) {
			longest = origin
		}
	}
	return longest
}

// sampleFamily is as long as the id of a session.
func sampleFamily() string { return session.Tokens{Secrets: make([]session.Secret, 1)}.NewFamily() }

// sampleKey is the key that signs, or one like it where the store has not been opened yet.
func (l cookieLimit) sampleKey() (*keyring.Key, error) {
	if ring := l.keys.ring.Load(); ring != nil {
		if key := ring.Active(); key != nil {
			return key, nil
		}
	}
	return sampleOf(l.server.Keys.Algorithm)
}

// sampleOf keeps one generated key for each algorithm, because RSA keys take long to make. Nothing
// it signs leaves the process.
func sampleOf(algorithm string) (*keyring.Key, error) {
	samples.Lock()
	defer samples.Unlock()
	if key := samples.keys[algorithm]; key != nil {
		return key, nil
	}
	key, err := keyring.Generate(algorithm, time.Now())
	if err == nil {
		samples.keys[algorithm] = key
	}
	return key, err
}

var samples = struct {
	sync.Mutex
	keys map[string]*keyring.Key
}{keys: map[string]*keyring.Key{}}
