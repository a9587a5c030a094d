package jwtauth

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

func init() {
	httpcaddyfile.RegisterDirective("jwt_auth", parseJWTAuth)
	httpcaddyfile.RegisterDirectiveOrder("jwt_auth", httpcaddyfile.After, "basic_auth")
}

// parseJWTAuth parses the directive and, when it has a matcher, adds a strip beside it: requests
// that the matcher leaves alone must not carry forged identity headers either. A gate that only
// reports has none, because it touches nothing. Syntax:
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
//		app             <name> <url> [icon <url>]
//		from            header [<name>] | cookie [<name>] | insecure_query <name>
//		login           <url>|off
//		leeway          <duration>
//		max_age         <duration>
//		stream_grace    <duration>|off
//		dpop            optional|required|off
//		dpop_nonce
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
		return nil, option.At(h.Dispenser, err)
	}
	h.Next() // directive name, again
	var j JWTAuth
	if err := j.unmarshal(h.Dispenser); err != nil {
		return nil, err
	}
	routes := h.NewRoute(matcher, &j)
	if matcher != nil && j.Mode != option.Off && j.Mode != "report_only" {
		routes = append(routes, h.NewRoute(nil, j.filter())...)
	}
	return routes, nil
}

// filter returns what stands beside a gate with a matcher: it removes what clients forged, and lets
// the same paths pass.
func (j *JWTAuth) filter() *JWTAuth {
	return &JWTAuth{
		Mode:               option.Off,
		PathParameters:     j.PathParameters,
		PathLeadingSlashes: j.PathLeadingSlashes,
		PathTrailingDots:   j.PathTrailingDots,
		PathSessions:       j.PathSessions,
	}
}

func (j *JWTAuth) unmarshal(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if slices.Equal(args, []string{option.Off}) {
		j.Mode = option.Off
		return option.Block(d, func() error { return j.unmarshalOff(d) })
	}
	if j.Audiences = args; len(args) == 0 {
		return d.Err("jwt_auth: it needs at least one audience, for example `jwt_auth web`")
	}
	if err := config.ValidateAudiences(args); err != nil {
		return option.At(d, err)
	}
	return option.Block(d, func() error { return j.unmarshalOption(d) },
		"require", "deny", "forward", "forward_preset", "app", "from", "issuer", "origins")
}

func (j *JWTAuth) unmarshalOption(d *caddyfile.Dispenser) error {
	switch word := d.Val(); word {
	case "name":
		return option.One(d, &j.Name)
	case "project":
		return option.One(d, &j.Project)
	case "resource":
		return option.One(d, &j.Resource)
	case "login":
		return option.One(d, &j.Login)
	case "issuer":
		return option.Some(d, &j.Issuers)
	case "mode":
		return j.unmarshalChecked(d, option.One(d, &j.Mode))
	case "stream_grace":
		return j.unmarshalChecked(d, option.One(d, &j.StreamGrace))
	case "forward_preset":
		return j.unmarshalChecked(d, option.Some(d, &j.Presets))
	case "upgrades":
		return j.unmarshalChecked(d, option.Some(d, &j.Upgrades))
	case "require", "deny":
		return j.unmarshalRule(d, word == "deny")
	case "forward":
		return j.unmarshalForward(d)
	case "app":
		return j.unmarshalApp(d)
	case "from":
		return j.unmarshalFrom(d)
	case "max_age":
		return j.unmarshalMaxAge(d)
	case "leeway":
		return j.unmarshalLeeway(d)
	case "origins":
		return j.unmarshalOrigins(d)
	case "dpop":
		return j.unmarshalChecked(d, option.One(d, &j.DPoP))
	case "dpop_nonce":
		j.DPoPNonce = true
		return j.unmarshalChecked(d, option.None(d))
	case "preflight":
		j.Preflight = true
		return option.None(d)
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
	if err := option.One(d, &value); err != nil {
		return err
	}
	if value != "allow" {
		return d.Errf("%s: %q is not `allow`; without the option such paths are refused where paths decide",
			word, value)
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
	if j.Mode == option.Off {
		return d.Err("mode: write `jwt_auth off` instead")
	}
	return option.At(d, j.check())
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
	if err := gate.ValidateHeaderName(args[1]); err != nil {
		return d.Errf("forward: %v", err)
	}
	j.Forward = append(j.Forward, Forward{Claim: args[0], Header: args[1]})
	return nil
}

// unmarshalApp reads the name of an application, its address and its icon.
func (j *JWTAuth) unmarshalApp(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 && (len(args) != 4 || args[2] != "icon") {
		return d.Err("app: want `app <name> <url> [icon <url>]`; a name of several words stands in quotes")
	}
	app := App{Name: args[0], URL: args[1]}
	if len(args) == 4 {
		if app.Icon = args[3]; app.Icon == "" {
			return d.Errf("app %q: the icon is empty", app.Name)
		}
	}
	j.Apps = append(j.Apps, app)
	if option.HasPlaceholder(app.Name + app.URL + app.Icon) {
		return option.At(d, j.check())
	}
	_, err := config.ParseApplication(app.Name, app.URL, app.Icon)
	return option.At(d, errors.Join(err, j.check()))
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
		return option.At(d, err)
	}
	j.From = append(j.From, f)
	return nil
}

func (j *JWTAuth) unmarshalLeeway(d *caddyfile.Dispenser) error {
	var text string
	if err := option.One(d, &text); err != nil {
		return err
	}
	value, err := option.ParseDuration(d, "leeway", text, "30s")
	if err != nil {
		return err
	}
	leeway := option.Duration(value)
	j.Leeway = &leeway
	return option.At(d, j.check())
}

func (j *JWTAuth) unmarshalOrigins(d *caddyfile.Dispenser) error {
	var values []string
	if err := option.Some(d, &values); err != nil {
		return err
	}
	for _, v := range values {
		if _, err := config.ParseOrigin("origins", v); err != nil {
			return option.At(d, err)
		}
	}
	j.Origins = append(j.Origins, values...)
	return nil
}
