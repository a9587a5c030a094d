package auth

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Settings are the server's settings, as they stand in the global option `auth`. Text settings may hold placeholders
// (`{env.AUTH_SECRET}`, `{file./run/secrets/key}`); one that cannot be resolved refuses the configuration.
type Settings struct {
	// The issuer, exactly as it stands in the `iss` claim (RFC 7519, section 4.1.1). Usually the public URL of the route that
	// has `auth_server`; any other non-empty text needs `public_url` beside it. Required.
	Issuer string `json:"issuer,omitempty"`

	// The URL under which browsers reach `auth_server`: https, or http on a loopback host. Its path is where the routes are
	// mounted. Default: the issuer, when that is a URL.
	PublicURL string `json:"public_url,omitempty"`

	// The audience words that gates may name and tokens may be issued for. Default: web api a2a mcp.
	Audiences []string `json:"audiences,omitempty"`

	// The signing keys. Default: generated ES256 keys, kept sealed in the store and rotated.
	Keys *Keys `json:"keys,omitempty"`

	// What seals generated keys at rest: `kid:base64` entries of 32 bytes and more, separated by commas; the first seals, all
	// open. Default: generated into `auth/secret.key` (mode 0600) in Caddy's data directory.
	Secret string `json:"secret,omitempty"`

	// The origins to which a browser may be sent back after signing in, `https://host[:port]` (http on loopback hosts). The origin of
	// the public URL is always among them. Default: none.
	ReturnTo []string `json:"return_to,omitempty"`

	// Where a person goes who signs in without having come from somewhere, and what pages offer as a way on: a URL with the origin
	// of the public URL or one of `return_to`, or a path. Default: none; pages offer the root of the public URL's host when that has a path.
	Home string `json:"home,omitempty"`

	// How long what the server issues is good for.
	Lifetimes Lifetimes `json:"lifetimes,omitzero"`

	// The longest lifetime (`exp` minus `iat`) of the server's own tokens that gates accept; 60s to 1y. Default: 1y.
	MaxLifetime Duration `json:"max_lifetime,omitempty"`

	// For how long gates go on with the last known list of revocations while the store cannot be reached, before they answer 503; 0s to
	// 24h. Default: 10m.
	RevocationStaleness *Duration `json:"revocation_staleness,omitempty"`

	// For how long the answer to a look-up of an opaque token is remembered, never past the token's end; 0s to 1h. Default: 60s.
	IntrospectionCache *Duration `json:"introspection_cache,omitempty"`

	// How long entries of the audit trail are kept, and API tokens after their end; 1d to 10y. Default: 1y.
	AuditRetention Duration `json:"audit_retention,omitempty"`

	// How many verified tokens are remembered, so that each is verified once, with 2 KiB of memory for each at the most; 0 or `off` for
	// none, at most 10000000. Default: 20000.
	TokenCache *int `json:"token_cache,omitempty"`

	// The database: `sqlite:<path>`, or `postgres://...` for several nodes. Default: `auth/auth.db` in Caddy's data directory.
	Store string `json:"store,omitempty"`

	// Foreign issuers whose tokens gates may accept. Default: none.
	Trust []Trust `json:"trust,omitempty"`

	// The people who can sign in, besides those made through the management API. Default: none.
	Users []User `json:"users,omitempty"`

	// The projects besides `default`, and besides those made through the management API. Default: none.
	Projects []Project `json:"projects,omitempty"`

	// The programs that get tokens, besides those made through the management API. Default: none.
	Clients []Client `json:"clients,omitempty"`

	// A named set of lifetimes: high_security (5m, idle 8h, absolute 24h), standard, convenient (1h, idle 90d), api_only (no refresh
	// tokens), production (24h, idle 90d) or development (30d, idle 180d). What `lifetimes` says goes over it. Default: standard.
	Preset string `json:"preset,omitempty"`

	// Lets `preset development` stand on a public server, here and in projects and clients. Default: false.
	InsecureDevelopment bool `json:"insecure_development,omitempty"`

	// `jwt`, which gates verify by themselves, or `opaque`, which is looked up; for projects and clients that do not say. Default: jwt.
	AccessTokenFormat string `json:"access_token_format,omitempty"`

	// `off` keeps the same refresh token good again and again; for projects and clients that do not say. Default: on.
	RefreshRotation string `json:"refresh_rotation,omitempty"`

	// A new password does not end the sign-ins of before; for projects that do not say. Default: false.
	KeepRefreshOnPasswordChange bool `json:"keep_refresh_on_password_change,omitempty"`

	// Signing out of one session ends all of a person's; for projects that do not say. Default: false.
	RevokeAllOnLogout bool `json:"revoke_all_on_logout,omitempty"`

	// What bounds every lifetime that the server, projects, clients and the API set. Default: each its own.
	Limits Limits `json:"limits,omitzero"`
}

// Lifetimes says how long tokens are good for.
type Lifetimes struct {
	// Lifetime of an access token; 60s to 1y. Default: 15m.
	AccessToken Duration `json:"access_token,omitempty"`

	// How long a refresh token may lie unused; 60s to refresh_absolute. Default: 30d.
	RefreshToken Duration `json:"refresh_token,omitempty"`

	// How long a sign-in lasts, however often it is refreshed; 60s to 10y. Default: 1y.
	RefreshAbsolute Duration `json:"refresh_absolute,omitempty"`

	// How long after a rotation the refresh token before still gets the same successor, so that a lost answer loses no session; up
	// to 60s. For projects and clients that do not say. Default: 0s, and 10s for browser sessions.
	RefreshReuseInterval *Duration `json:"refresh_reuse_interval,omitempty"`

	// How long before its end a browser's access token is renewed; at most a third of its lifetime is used. 1s to 1h. Default: 5m.
	RefreshWindow Duration `json:"refresh_window,omitempty"`

	// How often `session.js` looks whether a renewal is due; 5s to 1h. Default: 60s.
	RefreshCheck Duration `json:"refresh_check,omitempty"`
}

// Keys says which keys sign and verify the server's own tokens.
type Keys struct {
	// HMAC keys as `kid:base64secret` entries, separated by commas; standard or URL alphabet, padded or not; at least 32 bytes
	// for HS256, 48 for HS384, 64 for HS512. Default: none.
	Secrets string `json:"secrets,omitempty"`

	// HMAC keys given as text instead of base64. Default: none.
	Texts []SecretText `json:"secret_texts,omitempty"`

	// Key files in PEM, JWK or JWKS form. Default: none.
	Files []KeyFile `json:"files,omitempty"`

	// The id of the key that signs; the others verify. Default: the first key that can sign.
	Active string `json:"active,omitempty"`

	// The algorithm of the generated key, of the HMAC keys or of the key files: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384,
	// PS512, ES256, ES384 or EdDSA. Default: ES256 for a generated key, HS256 for HMAC keys, the one that fits for key files.
	Algorithm string `json:"algorithm,omitempty"`

	// How long a generated key signs before the next one does; 10m to 1y, 0 or `off` for never by itself. Default: 30d.
	RotateEvery *Duration `json:"rotate_every,omitempty"`

	// How long the next generated key is published before it signs; 5m to 30d and less than rotate_every. Default: 1h, or half of
	// rotate_every where that is less.
	Announce Duration `json:"announce,omitempty"`
}

// SecretText is an HMAC key given as text.
type SecretText struct {
	// The key's id. Required.
	ID string `json:"id"`
	// The secret, at least 32 bytes; its bytes are the key. Required.
	Secret string `json:"secret"`
}

// KeyFile is a key file.
type KeyFile struct {
	// The key's id. Default: the `kid` of a JWK, or its RFC 7638 thumbprint.
	ID string `json:"id,omitempty"`
	// The file's path. Required.
	Path string `json:"path"`
}

// Trust is a foreign issuer whose tokens may be accepted.
type Trust struct {
	// The issuer, exactly as it stands in `iss`. Required.
	Issuer string `json:"issuer"`
	// Where its key set is; https, or http on a loopback host. Default: found through the issuer's discovery document.
	JWKS string `json:"jwks,omitempty"`
	// The audience words that its tokens may use. Default: all of the server's.
	Audiences []string `json:"audiences,omitempty"`
	// The accepted algorithms, asymmetric ones only. Default: ES256 RS256.
	Algorithms []string `json:"algorithms,omitempty"`
	// The accepted values of the `typ` header; many issuers write `JWT` instead of RFC 9068's `at+jwt`. Default: at+jwt.
	Types []string `json:"types,omitempty"`
	// The longest accepted lifetime of its tokens; 60s to 1y. Default: 1y.
	MaxLifetime Duration `json:"max_lifetime,omitempty"`
	// Where to ask about its opaque tokens (RFC 7662). Default: none, only JWTs are accepted.
	Introspection *Introspection `json:"introspection,omitempty"`
}

// Introspection is an endpoint of RFC 7662.
type Introspection struct {
	// The endpoint; https, or http on a loopback host. Required.
	URL string `json:"url"`
	// The client_id that it knows this server by. Required.
	ClientID string `json:"client_id"`
	// The secret that goes with it, sent as client_secret_basic. Required.
	ClientSecret string `json:"client_secret"`
}

// User is a person who can sign in.
type User struct {
	// The name to sign in with, which becomes `sub`; compared without regard to case (RFC 8265). Required.
	Name string `json:"name"`
	// The project the user belongs to. Default: default.
	Project string `json:"project,omitempty"`
	// The password's bcrypt or argon2id hash, as `caddy hash-password` makes it. Default: none, the user cannot sign in with a password.
	PasswordHash string `json:"password_hash,omitempty"`
	// A disabled user cannot sign in. Default: false.
	Disabled bool `json:"disabled,omitempty"`
	// An administrator may use the management API with their session. Default: false.
	Admin bool `json:"admin,omitempty"`
	// Claims that the user's tokens carry besides the registered ones. Default: none.
	Claims map[string]any `json:"claims,omitempty"`
}

// DefaultProject is the slug of the project that always exists.
const DefaultProject = "default"

const (
	defaultProject    = DefaultProject
	firstPartyClient  = project.FirstParty // the client_id of tokens issued at the login routes
	minLifetime       = time.Minute
	maxLifetime       = 365 * 24 * time.Hour
	defaultTokenCache = 20_000
	maxTokenCache     = 10_000_000

	defaultRotateEvery = 30 * 24 * time.Hour
	defaultAnnounce    = time.Hour
)

// durationSetting is one setting that is a length of time, with its limits.
type durationSetting struct {
	name          string
	value         *Duration
	fallback      time.Duration
	least, utmost time.Duration
}

func (s *Settings) durations() []durationSetting {
	list := append(s.Lifetimes.durations(), durationSetting{"max_lifetime", &s.MaxLifetime, maxLifetime, minLifetime, maxLifetime}, s.auditRetention())
	for i := range s.Trust {
		list = append(list, s.Trust[i].durations()...)
	}
	return list
}

func (s *Settings) auditRetention() durationSetting {
	return durationSetting{"audit_retention", &s.AuditRetention, project.DefaultAuditRetention, 24 * time.Hour, 10 * maxLifetime}
}

func (l *Lifetimes) durations() []durationSetting {
	return []durationSetting{
		{"access_token", &l.AccessToken, project.Defaults.Access, minLifetime, maxLifetime},
		{"refresh_token", &l.RefreshToken, project.Defaults.Refresh, minLifetime, 10 * maxLifetime}, // serverLifetimes holds it against refresh_absolute
		{"refresh_absolute", &l.RefreshAbsolute, project.Defaults.RefreshAbsolute, minLifetime, 10 * maxLifetime},
		{"refresh_window", &l.RefreshWindow, 5 * time.Minute, time.Second, time.Hour},
		{"refresh_check", &l.RefreshCheck, time.Minute, 5 * time.Second, time.Hour},
	}
}

// of returns the effective value of the setting called name.
func (l *Lifetimes) of(name string) time.Duration {
	for _, d := range l.durations() {
		if d.name == name {
			return d.effective()
		}
	}
	return 0
}

// checkZeroable refuses lengths of time outside their limits, where zero is a value like any other.
func checkZeroable(name string, value *Duration, utmost time.Duration) error {
	if value != nil && (*value < 0 || time.Duration(*value) > utmost) {
		return fmt.Errorf("%s: %s is not between 0s and %s", name, spell(time.Duration(*value)), spell(utmost))
	}
	return nil
}

func (t *Trust) durations() []durationSetting {
	return []durationSetting{{"max_lifetime", &t.MaxLifetime, maxLifetime, minLifetime, maxLifetime}}
}

// check refuses a value outside the setting's limits. Zero means the default.
func (d durationSetting) check() error {
	switch v := time.Duration(*d.value); {
	case v == 0:
		return nil
	case v < d.least:
		return fmt.Errorf("%s: %s is below the limit of %s", d.name, spell(v), spell(d.least))
	case v > d.utmost:
		return fmt.Errorf("%s: %s is above the limit of %s", d.name, spell(v), spell(d.utmost))
	}
	return nil
}

// spell writes a length of time as a Caddyfile has it: 30d instead of 720h0m0s.
func spell(d time.Duration) string { return project.Spell(d) }

func (d durationSetting) effective() time.Duration {
	if *d.value == 0 {
		return d.fallback
	}
	return time.Duration(*d.value)
}

// resolver replaces placeholders at provision time, never before, so that adapted configurations hold no secret.
type resolver struct{ replacer *caddy.Replacer }

func (r resolver) text(setting, value string) (string, error) {
	out, err := r.replacer.ReplaceOrErr(value, true, true)
	if err != nil {
		return "", fmt.Errorf("%s: %w", setting, err)
	}
	return out, nil
}

func (r resolver) list(setting string, values []string) ([]string, error) {
	out := make([]string, len(values))
	for i, v := range values {
		var err error
		if out[i], err = r.text(setting, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// issuer returns the issuer and the public URL; the latter is nil when there is none.
func (s *Settings) issuer(r resolver) (string, *url.URL, error) {
	name, err := r.text("issuer", s.Issuer)
	if err != nil {
		return "", nil, err
	}
	if name == "" {
		return "", nil, errors.New("issuer: it is required, for example `issuer https://auth.example.com`")
	}
	public, err := r.text("public_url", s.PublicURL)
	if err != nil {
		return "", nil, err
	}
	if public == "" {
		if !strings.Contains(name, "://") {
			return name, nil, nil
		}
		base, err := parsePublicURL("issuer", name)
		return name, base, err
	}
	base, err := parsePublicURL("public_url", public)
	return name, base, err
}

// parsePublicURL accepts https URLs and http ones on loopback hosts, without query, fragment or user.
func parsePublicURL(setting, value string) (*url.URL, error) {
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %q is not a URL", setting, value)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Opaque != "":
		return nil, fmt.Errorf("%s: %q is not an http or https URL", setting, value)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, fmt.Errorf("%s: %q must have no user, query or fragment", setting, u.Redacted())
	case u.Scheme == "http" && !weburl.IsLoopback(u.Hostname()):
		return nil, fmt.Errorf("%s: %q must be https; http is for loopback hosts only", setting, value)
	}
	u.Host = strings.ToLower(u.Host)
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// parseOrigin accepts an origin and nothing more.
func parseOrigin(setting, value string) (string, error) {
	u, err := parsePublicURL(setting, value)
	if err != nil {
		return "", err
	}
	if u.Path != "" {
		return "", fmt.Errorf("%s: %q must be an origin, without a path", setting, value)
	}
	origin, err := weburl.CanonicalOrigin(value)
	if err != nil {
		return "", fmt.Errorf("%s: %q: %w", setting, value, err)
	}
	return origin, nil
}

func (s *Settings) origins(r resolver, base *url.URL) ([]string, error) {
	values, err := r.list("return_to", s.ReturnTo)
	if err != nil {
		return nil, err
	}
	var origins []string
	if base != nil {
		own, err := weburl.CanonicalOrigin(base.Scheme + "://" + base.Host)
		if err != nil {
			return nil, fmt.Errorf("public_url: %q: %w", base, err)
		}
		origins = append(origins, own)
	}
	for _, v := range values {
		origin, err := parseOrigin("return_to", v)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins, nil
}

// checkHome refuses what can be no address of a page, without resolving placeholders.
func (s *Settings) checkHome() error {
	if s.Home == "" || hasPlaceholder(s.Home) || strings.HasPrefix(s.Home, "/") && !strings.HasPrefix(s.Home, "//") {
		return nil
	}
	u, err := url.Parse(s.Home)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return fmt.Errorf("home: %q is neither an http or https URL nor a path that begins with one slash", s.Home)
	}
	return nil
}

// audiences returns the configured audience words.
func (s *Settings) audiences() []string {
	if len(s.Audiences) > 0 {
		return s.Audiences
	}
	return []string{"web", "api", "a2a", "mcp"}
}

func checkAudiences(words []string) error {
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\r\n\",\\") || len(w) > 255 {
			return fmt.Errorf("audiences: %q is not a word of 1 to 255 characters without spaces, commas, quotes or backslashes", w)
		}
		if w == "off" {
			return errors.New("audiences: `off` is a word of the directive and cannot be an audience")
		}
		if slices.Contains(words[:i], w) {
			return fmt.Errorf("audiences: %q is there twice", w)
		}
	}
	return nil
}

// generated reports whether the signing key comes from the store.
func (k *Keys) generated() bool {
	return k == nil || k.Secrets == "" && len(k.Texts) == 0 && len(k.Files) == 0
}

// check refuses what can be refused without resolving placeholders.
func (k *Keys) check() error {
	if err := k.checkAlgorithm(); err != nil {
		return err
	}
	if k.generated() && k.Active != "" {
		return fmt.Errorf("active: %q names a key, but no keys are given", k.Active)
	}
	return k.checkRotation()
}

// checkRotation refuses what does not go together, whatever the order it is written in.
func (k *Keys) checkRotation() error {
	for _, d := range k.durations() {
		if err := d.check(); err != nil {
			return err
		}
	}
	switch every := k.rotateEvery(); {
	case every > 0 && k.announce() >= every:
		return fmt.Errorf("announce: %s is not less than rotate_every, which is %s", spell(k.announce()), spell(every))
	case !k.generated() && k.RotateEvery != nil:
		return errors.New("rotate_every: it is for generated keys, and keys are given")
	case !k.generated() && k.Announce != 0:
		return errors.New("announce: it is for generated keys, and keys are given")
	}
	return nil
}

func (k *Keys) durations() []durationSetting {
	every := k.RotateEvery
	if every == nil {
		every = new(Duration)
	}
	return []durationSetting{
		{"rotate_every", every, defaultRotateEvery, 10 * time.Minute, maxLifetime},
		{"announce", &k.Announce, defaultAnnounce, 5 * time.Minute, 30 * 24 * time.Hour},
	}
}

// rotateEvery returns how long a generated key signs, 0 for ever.
func (k *Keys) rotateEvery() time.Duration {
	if k == nil || k.RotateEvery == nil {
		return defaultRotateEvery
	}
	return time.Duration(*k.RotateEvery)
}

// announce returns how long a generated key is published before it signs.
func (k *Keys) announce() time.Duration {
	every := k.rotateEvery()
	switch {
	case k != nil && k.Announce != 0:
		return time.Duration(k.Announce)
	case every > 0:
		return min(defaultAnnounce, every/2)
	}
	return defaultAnnounce
}

// jwksMaxAge is for how long clients may keep the key set: at most half of the time for which a key is announced, so that whoever asks
// again too late, or by a clock that is behind, still knows it when it signs.
func (k *Keys) jwksMaxAge() time.Duration { return min(k.announce()/2, 5*time.Minute) }

// checkAlgorithm refuses an algorithm that is unknown or not one of the keys given so far.
func (k *Keys) checkAlgorithm() error {
	if k.Algorithm != "" && !slices.Contains(keyring.Algorithms(), k.Algorithm) {
		return fmt.Errorf("algorithm: %q is unknown, want one of %s", k.Algorithm, strings.Join(keyring.Algorithms(), ", "))
	}
	hmac := strings.HasPrefix(k.Algorithm, "HS")
	if k.Algorithm != "" && !hmac && (k.Secrets != "" || len(k.Texts) > 0) {
		return fmt.Errorf("algorithm: %s cannot be used with shared secrets, want HS256, HS384 or HS512", k.Algorithm)
	}
	return nil
}

// ring builds the ring of the configured keys.
func (k *Keys) ring(r resolver) (*keyring.Ring, error) {
	var keys []*keyring.Key
	secrets, err := r.text("keys", k.Secrets)
	if err != nil {
		return nil, err
	}
	if secrets != "" {
		parsed, err := keyring.ParseSecrets(secrets, k.Algorithm)
		if err != nil {
			return nil, err
		}
		keys = append(keys, parsed...)
	}
	for _, t := range k.Texts {
		key, err := t.key(r, k.Algorithm)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	for _, f := range k.Files {
		parsed, err := f.keys(r, k.fileAlgorithm())
		if err != nil {
			return nil, err
		}
		keys = append(keys, parsed...)
	}
	active, err := r.text("active", k.Active)
	if err != nil {
		return nil, err
	}
	return keyring.NewRing(keys, active)
}

// fileAlgorithm is what the algorithm means for key files: an RSA key alone does not say whether it is for RS256 or PS512. One of HMAC keys says
// nothing about files beside them.
func (k *Keys) fileAlgorithm() string {
	if strings.HasPrefix(k.Algorithm, "HS") {
		return ""
	}
	return k.Algorithm
}

func (t SecretText) key(r resolver, algorithm string) (*keyring.Key, error) {
	secret, err := r.text("secret_text", t.Secret)
	if err != nil {
		return nil, err
	}
	return keyring.ParseSecretText(t.ID, secret, algorithm)
}

func (f KeyFile) keys(r resolver, algorithm string) ([]*keyring.Key, error) {
	path, err := r.text("file", f.Path)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("file: reading key %q: %w", f.ID, err)
	}
	keys, err := keyring.ParseFile(f.ID, data, algorithm)
	if err != nil {
		return nil, fmt.Errorf("file: %s: %w", path, err)
	}
	return keys, nil
}

// check refuses what can be refused without resolving placeholders.
func (t *Trust) check() error {
	for _, a := range t.Algorithms {
		if strings.HasPrefix(a, "HS") || !slices.Contains(keyring.Algorithms(), a) {
			return fmt.Errorf("algorithms: %q is not an asymmetric algorithm that is known here", a)
		}
	}
	if t.JWKS != "" && !strings.Contains(t.JWKS, "{") {
		if _, err := parsePublicURL("jwks", t.JWKS); err != nil && !strings.Contains(t.JWKS, "?") {
			return err
		}
	}
	return checkAudiences(t.Audiences)
}

func (t *Trust) algorithms() []string {
	if len(t.Algorithms) > 0 {
		return t.Algorithms
	}
	return []string{"ES256", "RS256"}
}

func (u *User) project() string {
	if u.Project == "" {
		return defaultProject
	}
	return u.Project
}

// check refuses what can be refused without resolving placeholders.
func (u *User) check() error {
	if _, err := identity.CanonicalName(u.Name); err != nil {
		return fmt.Errorf("user %q: %w", u.Name, err)
	}
	for name := range u.Claims {
		if err := checkClaimName(name); err != nil {
			return fmt.Errorf("user %q: claim: %w", u.Name, err)
		}
	}
	if err := identity.CheckClaims(u.Claims); err != nil {
		return fmt.Errorf("user %q: %w", u.Name, err)
	}
	if u.PasswordHash == "" || strings.Contains(u.PasswordHash, "{") {
		return nil
	}
	if err := identity.CheckHash(u.PasswordHash); err != nil {
		return fmt.Errorf("user %q: password_hash: %w", u.Name, err)
	}
	return nil
}

func (u *User) resolve(r resolver) (identity.User, error) {
	hash, err := r.text("password_hash", u.PasswordHash)
	if err != nil {
		return identity.User{}, fmt.Errorf("user %q: %w", u.Name, err)
	}
	resolved := *u
	resolved.PasswordHash = hash
	if err := resolved.check(); err != nil {
		return identity.User{}, err
	}
	return identity.User{
		Name: u.Name, Project: u.project(), PasswordHash: hash, Disabled: u.Disabled, Admin: u.Admin, Claims: u.Claims,
	}, nil
}

// storeURL returns the configured store or the default one in Caddy's data directory.
func (s *Settings) storeURL(r resolver) (string, error) {
	if s.Store == "" {
		return "sqlite:" + filepath.Join(dataDir(), "auth.db"), nil
	}
	return r.text("store", s.Store)
}

// dataDir is where the gateway keeps its files.
func dataDir() string { return filepath.Join(caddy.AppDataDir(), "auth") }

// check refuses what can be refused without resolving placeholders; the Caddyfile parser asks the same questions line by line.
func (s *Settings) check() error {
	if err := checkAudiences(s.Audiences); err != nil {
		return err
	}
	for _, d := range s.durations() {
		if err := d.check(); err != nil {
			return err
		}
	}
	if _, err := s.serverTokenOptions(); err != nil {
		return err
	}
	if err := checkZeroable("revocation_staleness", s.RevocationStaleness, 24*time.Hour); err != nil {
		return err
	}
	if err := checkZeroable("introspection_cache", s.IntrospectionCache, time.Hour); err != nil {
		return err
	}
	if err := s.checkHome(); err != nil {
		return err
	}
	if err := s.checkTenancy(); err != nil {
		return err
	}
	if s.TokenCache != nil && (*s.TokenCache < 0 || *s.TokenCache > maxTokenCache) {
		return fmt.Errorf("token_cache: %d is not between 0 and %d", *s.TokenCache, maxTokenCache)
	}
	if s.Keys != nil {
		if err := s.Keys.check(); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	}
	for i := range s.Trust {
		if err := s.Trust[i].check(); err != nil {
			return fmt.Errorf("trust %s: %w", s.Trust[i].Issuer, err)
		}
	}
	for i := range s.Users {
		if err := s.Users[i].check(); err != nil {
			return err
		}
	}
	return nil
}
