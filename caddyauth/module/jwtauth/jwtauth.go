package jwtauth

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/option"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/module/survey"
)

func init() {
	caddy.RegisterModule(JWTAuth{})
	caddy.RegisterModule(new(ErrorFilter))
}

// JWTAuth guards a route: only requests with a verified token pass, and the application sees
// identity headers that no client can forge. With mode `off` it only removes the identity headers
// that clients send.
type JWTAuth struct {
	// What the gate is called in metrics and logs. Default: its site and path, as in
	// `app.example.com/admin*`, and a number where several gates have the same.
	Name string `json:"name,omitempty"`
	// The audience words of which a token must name at least one. Required, except with mode off.
	Audiences []string `json:"audiences,omitempty"`
	// `required`, `optional` (no credential passes without identity), `report_only` (decides and
	// logs, touches nothing) or `off` (removes what clients forged, asks for nothing). Default:
	// required.
	Mode string `json:"mode,omitempty"`
	// The project whose tokens pass. Default: default.
	Project string `json:"project,omitempty"`
	// The accepted issuers: the server's own or trusted ones. Default: the server's own.
	Issuers []string `json:"issuers,omitempty"`
	// A URL that `aud` must name too (RFC 8707). Default: none.
	Resource string `json:"resource,omitempty"`
	// The policy; all rules must hold. Default: none.
	Rules []Rule `json:"rules,omitempty"`
	// Which claims the application sees, under which headers. Default: none.
	Forward []Forward `json:"forward,omitempty"`
	// Ready-made header sets: remote_user, x_forwarded, x_auth_request, grafana. Default: none.
	Presets []string `json:"forward_presets,omitempty"`
	// The applications behind the gate, which the start page of the server lists for those whom the
	// gate would let pass. Default: none.
	Apps []App `json:"apps,omitempty"`
	// Where credentials are looked for. Default: the bearer header, and with audience web the
	// session cookie.
	From []From `json:"from,omitempty"`
	// Where browsers without a credential are sent: a URL, or `off` for a plain 401. Default: the
	// server's own login route, with audience web.
	Login string `json:"login,omitempty"`
	// The clock difference that is forgiven; 0s to 5m. Default: 30s.
	Leeway *option.Duration `json:"leeway,omitempty"`
	// How long ago the person may have signed in (`auth_time`): browsers are sent to sign in again, and
	// programs are told to (RFC 9470); 1s to 1y. Default: any time.
	MaxAge option.Duration `json:"max_age,omitempty"`
	// For how long a WebSocket, an event stream or another answer without an announced length may
	// outlive the token that admitted it; 0s to 1h, or `off` to let it go on even when the token is
	// revoked. Default: 0s.
	StreamGrace string `json:"stream_grace,omitempty"`
	// What becomes of tokens that are bound to a key (DPoP): `optional` (they need a proof, bearer
	// tokens pass without one), `required` (only bound tokens pass) or `off` (only bearer tokens
	// pass). Default: optional.
	DPoP string `json:"dpop,omitempty"`
	// Ask for a nonce of this server in each DPoP proof, so that clients make none in advance.
	// Default: false.
	DPoPNonce bool `json:"dpop_nonce,omitempty"`
	// Let CORS preflights pass without identity. Default: false.
	Preflight bool `json:"preflight,omitempty"`
	// The protocols besides websocket to which an admitted request may switch its connection, such
	// as tcp or SPDY/3.1, which no gate sees into. HTTP and TLS are refused. Default: none.
	Upgrades []string `json:"upgrades,omitempty"`
	// Other origins from which browsers may send requests with the session cookie. Default: none.
	Origins []string `json:"origins,omitempty"`
	// Let paths with `;` pass where paths decide, although servlet containers read `/private;x` as
	// `/private`. Default: false.
	PathParameters bool `json:"path_parameters,omitempty"`
	// Let paths that begin with `//` pass where paths decide, although some applications take the
	// first segment for a host. Default: false.
	PathLeadingSlashes bool `json:"path_leading_slashes,omitempty"`
	// Let paths with segments that end in dots or spaces pass where paths decide, although Windows
	// takes these off. Default: false.
	PathTrailingDots bool `json:"path_trailing_dots,omitempty"`
	// Let paths with segments that begin like `(S(` pass where paths decide, although ASP.NET takes
	// these out. Default: false.
	PathSessions bool `json:"path_sessions,omitempty"`

	server       *config.Server
	gates        *auth.Gates
	verification *auth.Verification

	gate   *gate.Gate // nil with mode off
	signIn browser.SignIn
	named  string // see label
	count  auth.DecisionCounter
	renews bool // the session cookie is a credential here
	place  survey.Place

	streams *stream.Policy // nil when it does not end them
}

// Rule is one line of a gate's policy.
type Rule struct {
	// The claim's name or dotted path; `scope` means the scopes. Required.
	Claim string `json:"claim"`
	// The values of which one must match; of scopes all must be there. Default: none, the claim
	// must be present.
	Values []string `json:"values,omitempty"`
	// Refuse instead of require. Default: false.
	Deny bool `json:"deny,omitempty"`
}

// Forward carries one claim under one header.
type Forward struct {
	// The claim's name or dotted path. Required.
	Claim string `json:"claim"`
	// The header's name. Required.
	Header string `json:"header"`
}

// App is an application for the start page of the server.
type App struct {
	// What people call it; 1 to 60 characters. Gates that name the same application give it the same
	// URL. Required.
	Name string `json:"name"`
	// Where it is opened: an absolute http or https URL. The gates that its path meets decide who sees
	// it, too. Required.
	URL string `json:"url"`
	// Its picture: an http or https URL, or `data:image/...` of at most 8192 bytes. Default: the first
	// letter of its name.
	Icon string `json:"icon,omitempty"`
}

// From is one place where a credential may be.
type From struct {
	// `bearer`, `header`, `cookie` or `insecure_query`. Required.
	Kind string `json:"kind"`
	// The name of the header, cookie or parameter. Default: the session cookie, with kind cookie.
	Name string `json:"name,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (JWTAuth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.jwt_auth",
		New: func() caddy.Module { return new(JWTAuth) },
	}
}

// Provision borrows the app and builds the gate.
func (j *JWTAuth) Provision(ctx caddy.Context) error {
	app, err := auth.Configured(ctx, "jwt_auth")
	if err != nil {
		return err
	}
	j.server, j.gates, j.verification = app.Server(), app.Gates(), app.Verification()
	if err := j.check(); err != nil {
		return err
	}
	j.signIn.Server = j.gates.Pages
	j.place = survey.Place{Guard: j, Paths: j.pathForms(), Named: j.Name != ""}
	if j.Mode != "report_only" {
		j.gates.Survey.GuardErrors(ctx)
	}
	if j.Mode == option.Off {
		j.count = auth.CountDecisions(option.Off, "")
		return nil
	}
	if j.gate, err = j.build(option.NewResolver()); err != nil {
		return option.WithMissing(err, j)
	}
	j.streams = j.streamPolicy()
	j.renews = slices.Contains(j.gate.Sources, gate.Source{Kind: gate.Cookie, Name: j.gates.Cookies.Access}) &&
		!j.reports()
	j.gates.Browsers = j.gates.Browsers || j.renews || slices.Contains(j.Audiences, "web")
	if j.Name != "" {
		j.SetLabel(j.Name)
	}
	if err := j.nameApps(option.NewResolver()); err != nil {
		return option.WithMissing(err, j)
	}
	return j.gates.Survey.Add(j)
}

// reports says that the gate decides and touches nothing.
func (j *JWTAuth) reports() bool { return j.gate != nil && j.gate.Mode == gate.ReportOnly }

// check refuses what can be refused without the app.
func (j *JWTAuth) check() error {
	if err := j.checkApps(); err != nil {
		return err
	}
	switch j.Mode {
	case "", "required", "optional", "report_only":
		if len(j.Audiences) == 0 {
			return fmt.Errorf("jwt_auth: it needs at least one audience, for example `jwt_auth web`")
		}
	case option.Off:
		return nil
	default:
		return fmt.Errorf("mode: %q is unknown, want required, optional or report_only", j.Mode)
	}
	for _, name := range j.Presets {
		if _, ok := gate.Presets[name]; !ok {
			return fmt.Errorf("forward_preset: %q is unknown, want remote_user, x_forwarded, x_auth_request or grafana",
				name)
		}
	}
	if j.Leeway != nil && (*j.Leeway < 0 || time.Duration(*j.Leeway) > leeway.Max) {
		return fmt.Errorf("leeway: %s is not between 0s and %s", project.FormatDuration(time.Duration(*j.Leeway)),
			project.FormatDuration(leeway.Max))
	}
	if err := j.maxAge().Validate(); err != nil {
		return err
	}
	for _, protocol := range j.Upgrades {
		if err := gate.CheckUpgrade(protocol); err != nil {
			return err
		}
	}
	if _, _, err := parseStreamGrace(j.StreamGrace); err != nil {
		return err
	}
	return j.checkDPoP()
}

// build turns the settings into a gate.
func (j *JWTAuth) build(r option.Resolver) (*gate.Gate, error) {
	g := &gate.Gate{
		Audiences: j.Audiences,
		Project:   j.Project,
		Leeway:    leeway.Default,
		Preflight: j.Preflight,
		Upgrades:  j.Upgrades,
		MaxAge:    time.Duration(j.MaxAge),
		Session:   gate.Source{Kind: gate.Cookie, Name: j.gates.Cookies.Access}, VerifySession: j.verification.Verify,
		Credentials: &j.gates.Credentials, Owned: &j.gates.Owned, Revoked: j.verification.Revoked,
		CountsAt: j.verification.CountsAt, Placeholders: userPlaceholders,
	}
	if g.Project == "" {
		g.Project = project.Default
	}
	if j.Mode != "required" {
		g.Mode = gate.Mode(j.Mode)
	}
	if j.Leeway != nil {
		g.Leeway = time.Duration(*j.Leeway)
	}
	for _, step := range []func(*gate.Gate, option.Resolver) error{
		j.buildIssuers, j.buildRules, j.buildForward, j.buildSources, j.buildBrowser, j.buildPossession,
	} {
		if err := step(g, r); err != nil {
			return nil, err
		}
	}
	g.Verify = j.verification.For(g.Issuers)
	if err := g.Validate(); err != nil {
		return nil, err
	}
	for _, m := range g.Forward {
		j.verification.Keep(m.Claim)
	}
	for _, rule := range g.Rules {
		j.verification.Keep(rule.Claim)
	}
	if g.MaxAge > 0 {
		j.verification.Keep("auth_time")
	}
	return g, nil
}

func (j *JWTAuth) buildIssuers(g *gate.Gate, r option.Resolver) (err error) {
	for _, word := range j.Audiences {
		if !slices.Contains(j.server.Audiences, word) {
			return fmt.Errorf("jwt_auth: audience %q is not among the server's audiences (%s)", word,
				strings.Join(j.server.Audiences, " "))
		}
	}
	if g.Resource, err = r.Text("resource", j.Resource); err != nil {
		return err
	}
	issuers, err := r.List("issuer", j.Issuers)
	if err != nil {
		return err
	}
	if len(issuers) == 0 {
		issuers = []string{j.server.Issuer}
	}
	g.Issuers = make(map[string][]string)
	for _, name := range issuers {
		accepts, ok := j.verification.Accepts(name)
		if !ok {
			return fmt.Errorf("issuer: %q is neither the server's own nor trusted; add `trust %s` to the global option",
				name, name)
		}
		g.Issuers[name] = both(j.Audiences, accepts)
	}
	return nil
}

// both returns the words that are in both lists; a nil second list allows all.
func both(words, allowed []string) []string {
	if allowed == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !slices.Contains(allowed, w) })
}

func (j *JWTAuth) buildRules(g *gate.Gate, _ option.Resolver) error {
	for _, rule := range j.Rules {
		g.Rules = append(g.Rules, gate.Rule(rule))
	}
	return nil
}

func (j *JWTAuth) buildForward(g *gate.Gate, _ option.Resolver) error {
	for _, f := range j.Forward {
		g.Forward = append(g.Forward, gate.Mapping{Claim: f.Claim, Header: textproto.CanonicalMIMEHeaderKey(f.Header)})
	}
	for _, name := range j.Presets {
		g.Forward = append(g.Forward, gate.Presets[name]...)
	}
	return nil
}

func (j *JWTAuth) buildSources(g *gate.Gate, _ option.Resolver) error {
	if len(j.From) == 0 {
		g.Sources = []gate.Source{{Kind: gate.Bearer}}
		if slices.Contains(j.Audiences, "web") {
			g.Sources = append(g.Sources, gate.Source{Kind: gate.Cookie, Name: j.gates.Cookies.Access})
		}
		return nil
	}
	for _, f := range j.From {
		source, err := f.source(j.gates.Cookies.Access)
		if err != nil {
			return err
		}
		g.Sources = append(g.Sources, source)
	}
	return nil
}

func (f From) source(sessionCookie string) (gate.Source, error) {
	switch {
	case f.Kind == "bearer" && f.Name == "":
		return gate.Source{Kind: gate.Bearer}, nil
	case f.Kind == "header" && f.Name != "":
		if err := gate.ValidateHeaderName(f.Name); err != nil {
			return gate.Source{}, fmt.Errorf("from: %w", err)
		}
		return gate.Source{Kind: gate.Header, Name: textproto.CanonicalMIMEHeaderKey(f.Name)}, nil
	case f.Kind == "cookie" && f.Name == "":
		return gate.Source{Kind: gate.Cookie, Name: sessionCookie}, nil
	case f.Kind == "cookie":
		return gate.Source{Kind: gate.Cookie, Name: f.Name}, nil
	case f.Kind == "insecure_query" && f.Name != "":
		return gate.Source{Kind: gate.Query, Name: f.Name}, nil
	}
	return gate.Source{}, fmt.Errorf("from: %q is not one of header [name], cookie [name] or insecure_query <name>",
		f.Kind)
}

func (j *JWTAuth) buildBrowser(g *gate.Gate, r option.Resolver) error {
	for _, value := range j.Origins {
		origin, err := config.ParseOrigin("origins", value)
		if err != nil {
			return err
		}
		g.Origins = append(g.Origins, origin)
	}
	login, err := r.Text("login", j.Login)
	switch {
	case err != nil:
		return err
	case login == option.Off || !slices.Contains(j.Audiences, "web"):
		return nil
	case login != "":
		u, err := config.ParsePublicURL("login", login)
		if err != nil {
			return err
		}
		j.signIn.Page = u.String()
	case j.server.PublicURL != nil:
		j.signIn.Page = j.server.PublicURL.JoinPath("login").String()
	}
	return nil
}

// ServeHTTP lets the request pass, or answers it.
func (j *JWTAuth) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) (err error) {
	j.gates.Survey.Find()
	if asked := j.place.Asked(r); j.gates.Applications.Owns(asked.Path) && !j.reports() && j.serveOwn(w, r, asked) {
		return nil
	}
	vars := request.Vars(r)
	if missed := j.place.Missed(r, vars); missed != nil {
		return missed.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			return j.ServeHTTP(w, r, next)
		}))
	}
	prior, _ := vars[auth.AdmissionVar].(*gate.Admission)
	if j.gates.Browsers && !j.reports() {
		outer, guarded := w, browser.Guard(w, vars)
		defer func() { guarded.Finish(outer, err != nil && j.gates.Survey.AnswersErrors(r)) }()
		w = guarded
	}
	if j.gate == nil {
		return j.serveFiltered(w, r, next)
	}
	revealed := j.gates.Reveal(r, vars, j.gate)
	asksForPage := j.signIn.Page != "" && len(r.Header["Authorization"]) == 0 // the gate removes what was there
	admission, err := j.admit(w, r, vars, prior)
	decided(r, Decision{Gate: j, Err: err, Admission: admission})
	j.settleCredentials(r, vars, admission, revealed, err)
	if err != nil {
		j.refused(r, admission, err)
		if !j.reports() {
			return j.answer(w, r, err, admission, asksForPage)
		}
		return next.ServeHTTP(w, r)
	}
	j.count.Admitted.Inc()
	if j.reports() {
		return next.ServeHTTP(w, r)
	}
	j.setUserVars(w, r, vars, prior, admission)
	j.offerNonce(w, admission)
	return j.serveNext(w, r, admission, next)
}

// serveFiltered removes what a client may have forged, and credentials, and asks for nothing.
func (j *JWTAuth) serveFiltered(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	j.gates.Filter(r)
	if err := j.place.CheckTarget(r); err != nil {
		decided(r, Decision{Gate: j, Err: err})
		j.refused(r, nil, err)
		return j.answer(w, r, err, nil, false)
	}
	return next.ServeHTTP(w, r)
}

// pathForms are the spellings of a path that the settings let through.
func (j *JWTAuth) pathForms() gate.PathForms {
	return gate.PathForms{
		Parameters:     j.PathParameters,
		LeadingSlashes: j.PathLeadingSlashes,
		TrailingDots:   j.PathTrailingDots,
		Sessions:       j.PathSessions,
	}
}

// Filter implements survey.Guard.
func (j *JWTAuth) Filter(r *http.Request) {
	prior, _ := request.Vars(r)[auth.AdmissionVar].(*gate.Admission)
	j.gates.Owned.Strip(r, prior)
	j.gates.Credentials.Conceal(r)
	if j.gate != nil {
		j.gate.RemoveCredential(r)
	}
}

// Place implements survey.Guard.
func (j *JWTAuth) Place() *survey.Place { return &j.place }

// SetLabel gives the gate its label, and the counters that go with it.
func (j *JWTAuth) SetLabel(label string) {
	j.named, j.count = label, auth.CountDecisions(label, strings.Join(j.Audiences, "+"))
}

// label is what the gate is called in logs and metrics, once the survey has found its place.
func (j *JWTAuth) label() string {
	switch {
	case j.gate == nil:
		return option.Off
	case j.named != "":
		return j.named
	}
	return strings.Join(j.Audiences, "+")
}

// admit asks the gate.
func (j *JWTAuth) admit(w http.ResponseWriter, r *http.Request, vars map[string]any,
	prior *gate.Admission) (*gate.Admission, error) {
	if err := j.place.CheckOriginal(r); err != nil {
		j.gate.Refuse(r, prior)
		return nil, err
	}
	if len(j.Upgrades) > 0 && !j.reports() && prior == nil {
		auth.BringBackUpgrade(r, vars)
	}
	if !j.renews || prior != nil {
		return j.gate.Admit(r, prior, time.Now())
	}
	renewal, err := j.renew(w.(*browser.Response), r)
	if err != nil {
		j.gate.Refuse(r, prior)
		return nil, err
	}
	cookies := r.Header["Cookie"] // Admit removes the session's
	admission, err := j.gate.AdmitSession(r, renewal.Living(), time.Now())
	if err == nil || gate.ReasonOf(err) != token.Revoked {
		return admission, err
	}
	// A change of claims ends access tokens and keeps sessions. One that came since renew looked is
	// found here, and the person gets the token that a later request would have got.
	r.Header["Cookie"] = cookies
	again, renewErr := j.gates.Sessions.RenewAgain(w.(*browser.Response), r, j.gate, renewal)
	if !again {
		j.gate.Refuse(r, prior)
		if renewErr != nil {
			err = renewErr
		}
		return admission, err
	}
	return j.gate.Admit(r, prior, time.Now())
}

// renew renews the session of a browser, if it is due. `caddy auth explain` uses up no token.
func (j *JWTAuth) renew(w *browser.Response, r *http.Request) (browser.Renewal, error) {
	if collector(r) != nil {
		return browser.Renewal{}, nil
	}
	return j.gates.Sessions.Renew(w, r, j.gate)
}

// setUserVars leaves the admission for later gates, and the user for placeholders and access logs.
func (j *JWTAuth) setUserVars(w http.ResponseWriter, r *http.Request, vars map[string]any,
	prior, admission *gate.Admission) {
	if admission == nil {
		return
	}
	if vars != nil {
		vars[auth.AdmissionVar] = admission
	}
	if len(j.Upgrades) > 0 && vars != nil {
		auth.NotePassedUpgrade(r, vars)
	}
	if admission.Stale {
		j.gates.Sessions.ClearStale(browser.Guard(w, vars))
	}
	user := caddy.ReplacerFunc(noUser)
	if admission.Placeholders != nil {
		user = admission.Placeholders
	}
	switch repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); {
	case !j.place.Alone(), prior != nil && prior.Token == nil: // an earlier gate has said that there is none
		request.AnswerFirst(repl, user)
	default:
		repl.Map(user)
	}
}

// noUser leaves the user's placeholders empty: an unknown placeholder would reach the application
// as it is written.
func noUser(key string) (any, bool) { return "", strings.HasPrefix(key, userPrefix) }

const userPrefix = "http.auth.user."

// userPlaceholders answers {http.auth.user.id} and {http.auth.user.<claim>}, at no cost until one
// is used. An absent claim is empty.
func userPlaceholders(t *token.Token) func(key string) (any, bool) {
	return func(key string) (any, bool) {
		name, ok := strings.CutPrefix(key, userPrefix)
		if !ok {
			return nil, false
		}
		if name == "id" {
			return t.Subject, true
		}
		claim, _ := t.Claim(name)
		value, _ := gate.HeaderValue(claim)
		return value, true
	}
}

// asSent is a request with its URL as it came, before the site rewrote it.
func asSent(r *http.Request) browser.Request {
	return browser.Request{Request: r, Original: request.OriginalURL(r)}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*JWTAuth)(nil)
	_ caddyhttp.MiddlewareHandler = (*JWTAuth)(nil)
)
