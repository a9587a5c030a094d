package auth

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("auth", parseGlobalOption)
	httpcaddyfile.RegisterDirective("jwt_auth", parseJWTAuth)
	httpcaddyfile.RegisterHandlerDirective("auth_server", parseAuthServer)
	// The server's own routes come first, so that a gate on the same site does not guard the way in.
	httpcaddyfile.RegisterDirectiveOrder("auth_server", httpcaddyfile.Before, "basic_auth")
	httpcaddyfile.RegisterDirectiveOrder("jwt_auth", httpcaddyfile.After, "basic_auth")
}

// parseGlobalOption parses the global option `auth`.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next() // option name, whose line the error tells
		return nil, d.Err("auth: the option is there twice")
	}
	var app App
	if err := app.Settings.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "auth", Value: caddyconfig.JSON(app.Settings, nil)}, nil
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
//		preset      <name>
//		limits      {...}
//		insecure_development
//		access_token_format jwt|opaque
//		refresh_rotation on|off
//		revoke_refresh_on_password_change on|off
//		revoke_all_on_logout [on|off]
//	}
func (s *Settings) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // option name
	if d.NextArg() {
		return d.ArgErr()
	}
	return block(d, func() error { return s.unmarshalOption(d) }, "return_to", "trust", "user", "project", "client")
}

func (s *Settings) unmarshalOption(d *caddyfile.Dispenser) error {
	word := d.Val()
	switch word {
	case "issuer":
		return oneArg(d, &s.Issuer)
	case "public_url":
		return oneArg(d, &s.PublicURL)
	case "audiences":
		return s.unmarshalAudiences(d)
	case "keys":
		return s.unmarshalKeys(d)
	case "secret":
		return oneSecret(d, &s.Secret)
	case "return_to":
		return s.unmarshalReturnTo(d)
	case "home":
		if err := oneArg(d, &s.Home); err != nil {
			return err
		}
		return at(d, s.checkHome())
	case "lifetimes":
		if err := s.Lifetimes.unmarshal(d); err != nil {
			return err
		}
		return at(d, s.checkLevels())
	case "max_lifetime", "audit_retention":
		return unmarshalDuration(d, s.durations())
	case "revocation_staleness":
		return unmarshalZeroable(d, &s.RevocationStaleness, 24*time.Hour)
	case "introspection_cache":
		return unmarshalZeroable(d, &s.IntrospectionCache, time.Hour)
	case "token_cache":
		return s.unmarshalTokenCache(d)
	case "store":
		return oneArg(d, &s.Store)
	case "preset":
		if err := oneArg(d, &s.Preset); err != nil {
			return err
		}
		return at(d, s.checkLevels())
	case "limits":
		return s.unmarshalLimits(d)
	case "project":
		return s.unmarshalProject(d)
	case "client":
		return s.unmarshalClient(d)
	case "trust":
		return s.unmarshalTrust(d)
	case "user":
		return s.unmarshalUser(d)
	}
	return s.unmarshalDefault(d)
}

func (s *Settings) unmarshalAudiences(d *caddyfile.Dispenser) error {
	if err := someArgs(d, &s.Audiences); err != nil {
		return err
	}
	return at(d, checkAudiences(s.Audiences))
}

func (s *Settings) unmarshalTokenCache(d *caddyfile.Dispenser) error {
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	size := 0
	if text != "off" {
		var err error
		if size, err = strconv.Atoi(text); err != nil {
			return d.Errf("token_cache: %q is neither a number nor off", text)
		}
	}
	s.TokenCache = &size
	return at(d, s.check())
}

func (s *Settings) unmarshalReturnTo(d *caddyfile.Dispenser) error {
	var values []string
	if err := someArgs(d, &values); err != nil {
		return err
	}
	for _, v := range values {
		if hasPlaceholder(v) {
			continue
		}
		if _, err := parseOrigin("return_to", v); err != nil {
			return at(d, err)
		}
	}
	s.ReturnTo = append(s.ReturnTo, values...)
	return nil
}

// unmarshalKeys parses:
//
//	keys [<kid:base64,...>] {
//		active      <kid>
//		algorithm   <name>
//		file        [<kid>] <path>
//		secret_text <kid> <text>
//		rotate_every <duration>|off
//		announce    <duration>
//	}
func (s *Settings) unmarshalKeys(d *caddyfile.Dispenser) error {
	k := new(Keys)
	s.Keys = k
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.Err("keys: it takes one value; entries are separated by commas, without spaces")
	}
	if len(args) == 1 {
		k.Secrets = args[0]
	}
	if err := block(d, func() error { return k.unmarshalOption(d) }, "file", "secret_text"); err != nil {
		return err
	}
	return at(d, k.check())
}

func (k *Keys) unmarshalOption(d *caddyfile.Dispenser) error {
	switch word := d.Val(); word {
	case "active", "algorithm":
		if err := oneArg(d, map[string]*string{"active": &k.Active, "algorithm": &k.Algorithm}[word]); err != nil {
			return err
		}
		return at(d, k.checkAlgorithm())
	case "rotate_every", "announce":
		return k.unmarshalRotation(d)
	case "file":
		args := d.RemainingArgs()
		switch len(args) {
		case 1:
			k.Files = append(k.Files, KeyFile{Path: args[0]})
		case 2:
			k.Files = append(k.Files, KeyFile{ID: args[0], Path: args[1]})
		default:
			return d.ArgErr()
		}
		return nil
	case "secret_text":
		args := d.RemainingArgs()
		if len(args) != 2 {
			return d.Err("secret_text: it takes a key id and one text; a text with spaces is quoted")
		}
		k.Texts = append(k.Texts, SecretText{ID: args[0], Secret: args[1]})
		return nil
	default:
		return d.Errf("keys: unrecognized option %q", word)
	}
}

// unmarshalRotation reads rotate_every, which may be off, and announce.
func (k *Keys) unmarshalRotation(d *caddyfile.Dispenser) error {
	if d.Val() == "announce" {
		return unmarshalDuration(d, k.durations())
	}
	k.RotateEvery = new(Duration)
	if d.CountRemainingArgs() == 1 {
		if d.NextArg(); d.Val() == "off" {
			return nil
		}
		d.Prev()
	}
	return unmarshalDuration(d, k.durations())
}

// unmarshal parses:
//
//	lifetimes {
//		access_token           <duration>
//		refresh_token          <duration>
//		refresh_absolute       <duration>
//		refresh_reuse_interval <duration>
//		refresh_window         <duration>
//		refresh_check          <duration>
//	}
func (l *Lifetimes) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return block(d, func() error {
		if d.Val() == "refresh_reuse_interval" {
			return unmarshalZeroable(d, &l.RefreshReuseInterval, session.MaxReuse)
		}
		return unmarshalDuration(d, l.durations())
	})
}

// unmarshalTrust parses:
//
//	trust <issuer> {
//		jwks         <url>
//		audiences    <words...>
//		algorithms   <names...>
//		types        <typ...>
//		max_lifetime <duration>
//		introspection <url> <client_id> <client_secret>
//	}
func (s *Settings) unmarshalTrust(d *caddyfile.Dispenser) error {
	var t Trust
	if err := oneArg(d, &t.Issuer); err != nil {
		return err
	}
	if err := block(d, func() error { return t.unmarshalOption(d) }); err != nil {
		return err
	}
	s.Trust = append(s.Trust, t)
	return nil
}

func (t *Trust) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch word := d.Val(); word {
	case "jwks":
		err = oneArg(d, &t.JWKS)
	case "audiences":
		err = someArgs(d, &t.Audiences)
	case "algorithms":
		err = someArgs(d, &t.Algorithms)
	case "types":
		err = someArgs(d, &t.Types)
	case "max_lifetime":
		return unmarshalDuration(d, t.durations())
	case "introspection":
		t.Introspection = new(Introspection)
		if !d.AllArgs(&t.Introspection.URL, &t.Introspection.ClientID, &t.Introspection.ClientSecret) {
			return d.Err("introspection: want an endpoint, a client id and a client secret, each one word")
		}
		return nil
	default:
		return d.Errf("trust: unrecognized option %q", word)
	}
	if err != nil {
		return err
	}
	return at(d, t.check())
}

// unmarshalUser parses:
//
//	user <name> {
//		password_hash <hash>
//		claim         <name> <values...>
//		project       <slug>
//		disabled
//		admin
//	}
func (s *Settings) unmarshalUser(d *caddyfile.Dispenser) error {
	var u User
	if err := oneArg(d, &u.Name); err != nil {
		return err
	}
	if err := block(d, func() error { return u.unmarshalOption(d) }, "claim"); err != nil {
		return err
	}
	if err := u.check(); err != nil {
		return at(d, err)
	}
	s.Users = append(s.Users, u)
	return nil
}

func (u *User) unmarshalOption(d *caddyfile.Dispenser) error {
	switch word := d.Val(); word {
	case "password_hash":
		if err := oneSecret(d, &u.PasswordHash); err != nil {
			return err
		}
		return at(d, u.check())
	case "project":
		return oneArg(d, &u.Project)
	case "disabled":
		u.Disabled = true
		return noArgs(d)
	case "admin":
		u.Admin = true
		return noArgs(d)
	case "claim":
		return unmarshalClaim(d, &u.Claims)
	default:
		return d.Errf("user: unrecognized option %q", word)
	}
}

// unmarshalClaim parses `claim <name> <values...>`: one value is text, or a boolean when it is `true` or `false`; several are a list.
func unmarshalClaim(d *caddyfile.Dispenser, claims *map[string]any) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.ArgErr()
	}
	name, values := args[0], args[1:]
	if err := checkClaimName(name); err != nil {
		return d.Errf("claim: %v", err)
	}
	if _, twice := (*claims)[name]; twice {
		return d.Errf("claim: %q is there twice", name)
	}
	if *claims == nil {
		*claims = make(map[string]any)
	}
	switch {
	case len(values) > 1:
		(*claims)[name] = values
	case values[0] == "true" || values[0] == "false":
		(*claims)[name] = values[0] == "true"
	default:
		(*claims)[name] = values[0]
	}
	return nil
}

func checkClaimName(name string) error {
	if name == "" || token.Reserved(name) {
		return fmt.Errorf("%q is reserved and cannot be set", name)
	}
	return nil
}

// parseJWTAuth parses the directive and, when it has a matcher, adds a strip beside it: requests that the matcher leaves alone must not
// carry forged identity headers either. A gate that only reports has none, because it touches nothing. Syntax:
//
//	jwt_auth [<matcher>] off {
//		path_parameters      allow
//		path_leading_slashes allow
//		path_trailing_dots   allow
//		path_sessions        allow
//	}
//	jwt_auth [<matcher>] <audiences...> {
//		name            <text>
//		mode            required|optional|report_only
//		project         <slug>
//		issuer          <issuers...>
//		resource        <url>
//		require         <claim> [<values...>]
//		require scope   <scopes...>
//		deny            <claim> [<values...>]
//		forward         <claim> <header>
//		forward_preset  remote_user|x_forwarded|x_auth_request|grafana
//		from            header [<name>] | cookie [<name>] | insecure_query <name>
//		login           <url>|off
//		leeway          <duration>
//		stream_grace    <duration>|off
//		preflight
//		upgrades        <protocols...>
//		origins         <origins...>
//		path_parameters      allow
//		path_leading_slashes allow
//		path_trailing_dots   allow
//		path_sessions        allow
//	}
func parseJWTAuth(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, at(h.Dispenser, err)
	}
	h.Next() // directive name, again
	var j JWTAuth
	if err := j.unmarshal(h.Dispenser); err != nil {
		return nil, err
	}
	routes := h.NewRoute(matcher, &j)
	if matcher != nil && j.Mode != modeOff && j.Mode != "report_only" {
		routes = append(routes, h.NewRoute(nil, j.filter())...)
	}
	return routes, nil
}

// filter returns what stands beside a gate with a matcher: it removes what clients forged, and lets the same paths pass.
func (j *JWTAuth) filter() *JWTAuth {
	return &JWTAuth{
		Mode:               modeOff,
		PathParameters:     j.PathParameters,
		PathLeadingSlashes: j.PathLeadingSlashes,
		PathTrailingDots:   j.PathTrailingDots,
		PathSessions:       j.PathSessions,
	}
}

func (j *JWTAuth) unmarshal(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if slices.Equal(args, []string{modeOff}) {
		j.Mode = modeOff
		return block(d, func() error { return j.unmarshalOff(d) })
	}
	if j.Audiences = args; len(args) == 0 {
		return d.Err("jwt_auth: it needs at least one audience, for example `jwt_auth web`")
	}
	if err := checkAudiences(args); err != nil {
		return at(d, err)
	}
	return block(d, func() error { return j.unmarshalOption(d) }, "require", "deny", "forward", "forward_preset", "from", "issuer", "origins")
}

func (j *JWTAuth) unmarshalOption(d *caddyfile.Dispenser) error {
	switch word := d.Val(); word {
	case "name":
		return oneArg(d, &j.Name)
	case "project":
		return oneArg(d, &j.Project)
	case "resource":
		return oneArg(d, &j.Resource)
	case "login":
		return oneArg(d, &j.Login)
	case "issuer":
		return someArgs(d, &j.Issuers)
	case "mode":
		return j.unmarshalChecked(d, oneArg(d, &j.Mode))
	case "stream_grace":
		return j.unmarshalChecked(d, oneArg(d, &j.StreamGrace))
	case "forward_preset":
		return j.unmarshalChecked(d, someArgs(d, &j.Presets))
	case "upgrades":
		return j.unmarshalChecked(d, someArgs(d, &j.Upgrades))
	case "require", "deny":
		return j.unmarshalRule(d, word == "deny")
	case "forward":
		return j.unmarshalForward(d)
	case "from":
		return j.unmarshalFrom(d)
	case "leeway":
		return j.unmarshalLeeway(d)
	case "origins":
		return j.unmarshalOrigins(d)
	case "preflight":
		j.Preflight = true
		return noArgs(d)
	case "path_parameters", "path_leading_slashes", "path_trailing_dots", "path_sessions":
		return j.unmarshalPaths(d)
	default:
		return d.Errf("jwt_auth: unrecognized option %q", word)
	}
}

// unmarshalOff reads an option of `jwt_auth off`: it judges paths, and nothing else.
func (j *JWTAuth) unmarshalOff(d *caddyfile.Dispenser) error {
	if !strings.HasPrefix(d.Val(), "path_") {
		return d.Errf("jwt_auth off: it takes no %q, only options that begin with path_", d.Val())
	}
	return j.unmarshalOption(d)
}

// unmarshalPaths reads an option that lets paths pass which applications read in different ways.
func (j *JWTAuth) unmarshalPaths(d *caddyfile.Dispenser) error {
	word := d.Val()
	var value string
	if err := oneArg(d, &value); err != nil {
		return err
	}
	if value != "allow" {
		return d.Errf("%s: %q is not `allow`; without the option such paths are refused where paths decide", word, value)
	}
	switch word {
	case "path_parameters":
		j.PathParameters = true
	case "path_leading_slashes":
		j.PathLeadingSlashes = true
	case "path_trailing_dots":
		j.PathTrailingDots = true
	case "path_sessions":
		j.PathSessions = true
	}
	return nil
}

func (j *JWTAuth) unmarshalChecked(d *caddyfile.Dispenser, err error) error {
	if err != nil {
		return err
	}
	if j.Mode == modeOff {
		return d.Err("mode: write `jwt_auth off` instead")
	}
	return at(d, j.check())
}

func (j *JWTAuth) unmarshalRule(d *caddyfile.Dispenser, deny bool) error {
	word, args := d.Val(), d.RemainingArgs()
	if len(args) == 0 || args[0] == "scope" && len(args) < 2 {
		return d.ArgErr()
	}
	if slices.Contains(args, "") {
		return d.Errf("%s: the rule on %q has an empty value", word, args[0])
	}
	j.Rules = append(j.Rules, Rule{Claim: args[0], Values: args[1:], Deny: deny})
	return nil
}

func (j *JWTAuth) unmarshalForward(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.ArgErr()
	}
	if args[0] == "" {
		return d.Err("forward: the claim has an empty name")
	}
	if err := gate.CheckHeaderName(args[1]); err != nil {
		return d.Errf("forward: %v", err)
	}
	j.Forward = append(j.Forward, Forward{Claim: args[0], Header: args[1]})
	return nil
}

func (j *JWTAuth) unmarshalFrom(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.ArgErr()
	}
	f := From{Kind: args[0]}
	if len(args) == 2 {
		f.Name = args[1]
	}
	if f.Kind == "header" && (f.Name == "" || strings.EqualFold(f.Name, "Authorization")) {
		f = From{Kind: "bearer"}
	}
	if _, err := f.source(""); err != nil {
		return at(d, err)
	}
	j.From = append(j.From, f)
	return nil
}

func (j *JWTAuth) unmarshalLeeway(d *caddyfile.Dispenser) error {
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	value, err := parseDuration(d, "leeway", text, "30s")
	if err != nil {
		return err
	}
	leeway := Duration(value)
	j.Leeway = &leeway
	return at(d, j.check())
}

func (j *JWTAuth) unmarshalOrigins(d *caddyfile.Dispenser) error {
	var values []string
	if err := someArgs(d, &values); err != nil {
		return err
	}
	for _, v := range values {
		if _, err := parseOrigin("origins", v); err != nil {
			return at(d, err)
		}
	}
	j.Origins = append(j.Origins, values...)
	return nil
}

// parseAuthServer parses the directive `auth_server`:
//
//	auth_server [<matcher>] {
//		manage <host>|off
//	}
func parseAuthServer(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // directive name
	if h.NextArg() {
		return nil, h.ArgErr()
	}
	s := new(AuthServer)
	return s, block(h.Dispenser, func() error { return s.unmarshalOption(h.Dispenser) })
}

func (s *AuthServer) unmarshalOption(d *caddyfile.Dispenser) error {
	switch word := d.Val(); word {
	case "manage":
		if err := oneArg(d, &s.Manage); err != nil || hasPlaceholder(s.Manage) {
			return err
		}
		return at(d, managedHost(s.Manage).check())
	default:
		return d.Errf("auth_server: unrecognized option %q", word)
	}
}

// block reads the options of a block. One that is there twice is refused, unless it is repeatable: of two values one would be lost without
// a word.
func block(d *caddyfile.Dispenser, option func() error, repeatable ...string) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if word := d.Val(); seen[word] {
			return d.Errf("%s: the option is there twice", word)
		} else if !slices.Contains(repeatable, word) {
			seen[word] = true
		}
		if err := option(); err != nil {
			return err
		}
	}
	return nil
}

func oneArg(d *caddyfile.Dispenser, into *string) error {
	if !d.AllArgs(into) {
		return d.ArgErr()
	}
	return nil
}

// oneSecret is oneArg for values that no error may hold.
func oneSecret(d *caddyfile.Dispenser, into *string) error {
	word, args := d.Val(), d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("%s: it takes one value, not %d", word, len(args))
	}
	*into = args[0]
	return nil
}

func someArgs(d *caddyfile.Dispenser, into *[]string) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	*into = append(*into, args...)
	return nil
}

func noArgs(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// unmarshalDuration reads the setting that the current word names.
func unmarshalDuration(d *caddyfile.Dispenser, settings []durationSetting) error {
	word := d.Val()
	i := slices.IndexFunc(settings, func(s durationSetting) bool { return s.name == word })
	if i < 0 {
		return d.Errf("lifetimes: unrecognized option %q", word)
	}
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	value, err := parseDuration(d, word, text, "15m or 30d")
	if err != nil {
		return err
	}
	if value == 0 {
		return d.Errf("%s: %q is below the limit of %s", word, text, spell(settings[i].least))
	}
	*settings[i].value = Duration(value)
	return at(d, settings[i].check())
}

// unmarshalZeroable reads a length of time that may be 0s.
func unmarshalZeroable(d *caddyfile.Dispenser, into **Duration, utmost time.Duration) error {
	word := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	value, err := parseDuration(d, word, text, "10s or 15m")
	if err != nil {
		return err
	}
	*into = new(Duration)
	**into = Duration(value)
	return at(d, checkZeroable(word, *into, utmost))
}

// hasPlaceholder reports whether a value is only known once the configuration is provisioned.
func hasPlaceholder(value string) bool { return strings.Contains(value, "{") }

// Interface guard
var _ caddyfile.Unmarshaler = (*Settings)(nil)

// at adds the Caddyfile's name and line to an error.
func at(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}
