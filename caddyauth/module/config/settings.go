package config

import (
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Settings are the server's settings as the global option `auth` has them. Text settings may hold
// placeholders (`{env.AUTH_SECRET}`, `{file./run/secrets/key}`). If one cannot be resolved, the
// configuration is refused.
type Settings struct {
	// The issuer, exactly as in the `iss` claim (RFC 7519, section 4.1.1). Usually the public URL
	// of the route that has `auth_server`; any other non-empty text needs `public_url`, too.
	// Required.
	Issuer string `json:"issuer,omitempty"`

	// The URL under which browsers reach `auth_server`: https, or http on a loopback host. Its path
	// is where the routes are mounted. Default: the issuer, when that is a URL.
	PublicURL string `json:"public_url,omitempty"`

	// The audience words that gates may name and tokens may be issued for. Default: web api a2a
	// mcp.
	Audiences []string `json:"audiences,omitempty"`

	// The signing keys. Default: generated ES256 keys, kept sealed in the store and rotated.
	Keys *Keys `json:"keys,omitempty"`

	// What encrypts generated keys at rest: `kid:base64` entries of 32 bytes and more, separated by
	// commas; the first encrypts, all decrypt. Default: generated into `auth/secret.key` (mode
	// 0600) in Caddy's data directory.
	Secret string `json:"secret,omitempty"`

	// The origins to which a browser may be sent back after signing in, `https://host[:port]` (http
	// on loopback hosts). The origin of the public URL is always among them. Default: none.
	ReturnTo []string `json:"return_to,omitempty"`

	// Where a sign-in without a return target leads, and the link on pages of the server: a URL
	// with the origin of the public URL or one of `return_to`, or a path. Default: none; if the
	// public URL has a path, pages link to the root of its host.
	Home string `json:"home,omitempty"`

	// The path below which gates answer at hosts other than the public URL's: where browsers come
	// back from signing in, sign out, and keep their session. What an application has below it is not
	// reached. Default: /.auth.
	WebPath string `json:"web_path,omitempty"`

	// The lifetimes of the server's tokens.
	Lifetimes Lifetimes `json:"lifetimes,omitzero"`

	// The longest lifetime (`exp` minus `iat`) of the server's own tokens that gates accept; 60s to
	// 1y. Default: 1y.
	MaxLifetime option.Duration `json:"max_lifetime,omitempty"`

	// How long gates use the last known revocation list while the store cannot be reached, before
	// they answer 503; 0s to 24h. Default: 10m.
	RevocationStaleness *option.Duration `json:"revocation_staleness,omitempty"`

	// How long the introspection response for an opaque token is cached, never past the token's
	// expiry; 0s to 1h. Default: 60s.
	IntrospectionCache *option.Duration `json:"introspection_cache,omitempty"`

	// How long audit entries are kept, and API tokens after their expiry; 1d to 10y.
	// Default: 1y.
	AuditRetention option.Duration `json:"audit_retention,omitempty"`

	// How many verified tokens are cached, so that each is verified once; each takes at most 2 KiB
	// of memory. 0 or `off` turns the cache off; at most 10000000. Default: 20000.
	TokenCache *int `json:"token_cache,omitempty"`

	// The database: `sqlite:<path>`, or `postgres://...` for several nodes. Default: `auth/auth.db`
	// in Caddy's data directory.
	Store string `json:"store,omitempty"`

	// Foreign issuers whose tokens gates may accept. Default: none.
	Trust []Trust `json:"trust,omitempty"`

	// The people who can sign in, besides those made through the management API. Default: none.
	Users []User `json:"users,omitempty"`

	// The projects besides `default`, and besides those made through the management API. Default:
	// none.
	Projects []Project `json:"projects,omitempty"`

	// The OAuth clients, besides those made through the management API. Default: none.
	Clients []Client `json:"clients,omitempty"`

	// Scopes of the operator's own, by which clients learn claims of people, besides those of OpenID
	// Connect (openid, profile, email, address, phone, offline_access). Default: none.
	Scopes []Scope `json:"scopes,omitempty"`

	// Lets clients register themselves (RFC 7591, RFC 7592). Default: off.
	Registration *Registration `json:"registration,omitempty"`

	// Lets clients have the URL of a metadata document as their client_id (OAuth Client ID Metadata
	// Document). Default: off.
	ClientMetadata *ClientMetadata `json:"client_metadata,omitempty"`

	// A named set of lifetimes: high_security (5m, idle 8h, absolute 24h), standard, convenient
	// (1h, idle 90d), api_only (no refresh tokens), production (24h, idle 90d) or development (30d,
	// idle 180d). `lifetimes` overrides it. Default: standard.
	Preset string `json:"preset,omitempty"`

	// Allows `preset development` on a public server, here and in projects and clients.
	// Default: false.
	InsecureDevelopment bool `json:"insecure_development,omitempty"`

	// `jwt`, which gates verify by themselves, or `opaque`, which only this server reads. Projects and
	// clients may override it. Default: jwt.
	AccessTokenFormat string `json:"access_token_format,omitempty"`

	// `off` lets the same refresh token be used more than once. Projects and clients may override
	// it. Default: on.
	RefreshRotation string `json:"refresh_rotation,omitempty"`

	// Whether sessions survive a change of the password. Projects may override it. Default: false.
	KeepRefreshOnPasswordChange bool `json:"keep_refresh_on_password_change,omitempty"`

	// Whether signing out of one session ends all sessions of the user. Projects may override it.
	// Default: false.
	RevokeAllOnLogout bool `json:"revoke_all_on_logout,omitempty"`

	// Ask for a nonce of this server in the DPoP proofs that clients send to the token endpoint.
	// Default: false.
	DPoPNonce bool `json:"dpop_nonce,omitempty"`

	// Limits of every lifetime that the server, projects, clients and the API set. Default: see
	// each limit.
	Limits Limits `json:"limits,omitzero"`

	// What the server may reach at addresses that clients name, `backchannel_logout_uri` and
	// `jwks_uri`. Default: public hosts over https.
	Egress Egress `json:"egress,omitzero"`
}

// UnmarshalCaddyfile sets up the settings. Syntax:
//
//	auth {
//		issuer      <text>
//		public_url  <url>
//		audiences   <words...>
//		keys        [<kid:base64,...>] {...}
//		secret      <kid:base64,...>
//		return_to   <origins...>
//		home        <url>
//		web_path    <path>
//		lifetimes   {...}
//		max_lifetime <duration>
//		revocation_staleness <duration>
//		introspection_cache <duration>
//		audit_retention <duration>
//		token_cache <entries>|off
//		store       <url>
//		trust       <issuer> {...}
//		user        <name> {...}
//		project     <slug> {...}
//		client      <id> {...}
//		scope       <name> {...}
//		registration {...}
//		client_metadata {...}
//		preset      <name>
//		limits      {...}
//		egress      {...}
//		insecure_development
//		access_token_format jwt|opaque
//		refresh_rotation on|off
//		revoke_refresh_on_password_change on|off
//		revoke_all_on_logout [on|off]
//		dpop_nonce  [on|off]
//	}
func (s *Settings) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // option name
	if d.NextArg() {
		return d.ArgErr()
	}
	return option.Block(d, func() error { return s.unmarshalOption(d) },
		"return_to", "trust", "user", "project", "client", "scope")
}

func (s *Settings) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch word := d.Val(); word {
	case "issuer":
		return option.One(d, &s.Issuer)
	case "public_url":
		return option.One(d, &s.PublicURL)
	case "store":
		return option.One(d, &s.Store)
	case "secret":
		return option.OneSecret(d, &s.Secret)
	case "audiences":
		return s.unmarshalAudiences(d)
	case "keys":
		return s.unmarshalKeys(d)
	case "return_to":
		return s.unmarshalReturnTo(d)
	case "web_path":
		return s.unmarshalWebPath(d)
	case "home":
		return s.unmarshalHome(d)
	case "preset":
		return s.unmarshalPreset(d)
	case "lifetimes":
		return s.unmarshalLifetimes(d)
	case "limits":
		return s.unmarshalLimits(d)
	case "egress":
		return s.unmarshalEgress(d)
	case "max_lifetime", "audit_retention":
		return option.ReadDuration(d, s.ownDurations())
	case "revocation_staleness":
		return option.ReadZeroable(d, &s.RevocationStaleness, maxStaleness)
	case "introspection_cache":
		return option.ReadZeroable(d, &s.IntrospectionCache, maxIntrospectionCache)
	case "token_cache":
		return s.unmarshalTokenCache(d)
	case "project":
		return s.unmarshalProject(d)
	case "client":
		return s.unmarshalClient(d)
	case "scope":
		return s.unmarshalScope(d)
	case "registration":
		return s.unmarshalRegistration(d)
	case "client_metadata":
		return s.unmarshalClientMetadata(d)
	case "trust":
		return s.unmarshalTrust(d)
	case "user":
		return s.unmarshalUser(d)
	case "dpop_nonce":
		s.DPoPNonce, err = option.Flag(d)
		return err
	}
	return s.unmarshalDefault(d)
}

// Validate refuses what can be refused without resolving placeholders. The Caddyfile parser applies
// the same rules line by line, so that the error names the line.
func (s *Settings) Validate() error {
	for _, validate := range []func() error{
		func() error { return ValidateAudiences(s.Audiences) },
		s.validateDurations,
		s.validateTokenOptions,
		s.validateHome,
		s.validateLifetimes,
		s.validateProjects,
		s.validateClients,
		s.validateRegistration,
		s.validateClientMetadata,
		s.validateTokenCache,
		s.validateKeys,
		s.validateTrust,
		s.validateUsers,
		s.validateScopes,
		s.validateEgress,
	} {
		if err := validate(); err != nil {
			return err
		}
	}
	return nil
}

const (
	maxStaleness     = 24 * time.Hour
	defaultStaleness = 10 * time.Minute
)

// ownDurations are the durations outside of blocks.
func (s *Settings) ownDurations() []option.DurationRange {
	return []option.DurationRange{
		{Name: "max_lifetime", Value: &s.MaxLifetime, Min: minLifetime, Max: MaxLifetime},
		{Name: "audit_retention", Value: &s.AuditRetention, Min: 24 * time.Hour, Max: 10 * MaxLifetime},
	}
}

func (s *Settings) validateDurations() error {
	for _, d := range append(s.Lifetimes.durations(), s.ownDurations()...) {
		if err := d.Validate(); err != nil {
			return err
		}
	}
	if err := option.ValidateZeroable("revocation_staleness", s.RevocationStaleness, maxStaleness); err != nil {
		return err
	}
	return option.ValidateZeroable("introspection_cache", s.IntrospectionCache, maxIntrospectionCache)
}

// durationOr returns the value of a duration that may be 0s, or its default.
func durationOr(value *option.Duration, fallback time.Duration) time.Duration {
	if value == nil {
		return fallback
	}
	return time.Duration(*value)
}
