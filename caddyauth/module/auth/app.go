package auth

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/option"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

func init() { caddy.RegisterModule(new(App)) }

// App is the gateway's one application module: it owns what all gates and servers of a
// configuration share.
type App struct {
	config.Settings

	server *config.Server // what the settings mean

	ctx    caddy.Context
	logger *zap.Logger
	audit  *auditor

	store        *pooledStore
	keys         *Keys
	charge       *charge
	gates        *Gates
	verification *Verification
	services     // ready once started

	release []func() error // undoes what Provision took
}

// services are what signs people in, and issues and ends what they are given.
type services struct {
	passwords *identity.Passwords
	throttle  *identity.Throttle
	grants    *session.Service
	issuing   *issuance.Service
	login     *login.Server
	clients   *knownClients
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "auth",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision resolves and checks the settings and joins what is shared between configurations. It
// writes nothing: `caddy validate` and `caddy auth check` provision too.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	a.logger = ctx.Logger()
	a.audit = newAuditor(a.logger)
	a.charge = buildCharge(a)
	var err error
	if a.server, err = a.Settings.Resolve(option.NewResolver()); err != nil {
		return option.WithMissing(err, &a.Settings)
	}
	for _, step := range []func() error{
		a.provisionServer,
		a.provisionUsers,
		a.provisionStore,
		a.provisionOpaque,
		a.provisionTrust,
	} {
		if err := step(); err != nil {
			return option.WithMissing(err, &a.Settings)
		}
	}
	untrack := a.store.streams.Track(a.keys)
	a.release = append(a.release, func() error { untrack(); return nil })
	if err := a.provisionCharge(ctx); err != nil {
		return err
	}
	return registerMetrics(ctx.GetMetricsRegistry(), a)
}

// provisionServer takes over what needs neither the store nor another module.
func (a *App) provisionServer() error {
	a.keys, a.gates = buildKeys(a), buildGates(a)
	return a.gates.Credentials.Add(gate.Source{Kind: gate.Cookie, Name: a.gates.Cookies.Access})
}

func (a *App) provisionUsers() error {
	declared, err := identity.NewDeclared(a.server.Users)
	if err != nil {
		return err
	}
	for _, u := range a.server.Users {
		if err := buildCookieLimit(a).check(u); err != nil {
			return fmt.Errorf("user %q: %w", u.Name, err)
		}
	}
	a.passwords = identity.NewPasswords(declared.HashKinds())
	return nil
}

func (a *App) provisionStore() error {
	store, release, err := joinStore(a.server.StoreURL)
	if err != nil {
		return err
	}
	a.release = append(a.release, release)
	if store.Shared() && a.server.Secret == nil {
		return errors.New("secret: it is required with PostgreSQL, because all nodes must have the same; set " +
			"`secret {env.AUTH_SECRET}`")
	}
	a.store, a.audit.trail = store, store
	a.gates.Possession = buildPossession(a)
	a.throttle = &identity.Throttle{Store: store}
	a.passwords.Kinds = store.HashKinds
	a.grants = buildGrants(a)
	a.verification = buildVerification(a)
	a.release = append(a.release, a.verification.Close)
	a.issuing = buildIssuance(a)
	a.clients = newKnownClients(a)
	a.gates.Launcher = buildLauncher(a)
	a.login = buildLogin(a)
	a.gates.Sessions, a.gates.Streams = buildBrowserSessions(a), buildStreams(a)
	if a.server.PublicURL != nil {
		a.gates.Applications = buildApplications(a)
	}
	a.gates.Pages = buildPages(a)
	return checkHome(a.server, a.login)
}

// provisionTrust joins the key sets of the trusted issuers and builds the verifier over them and
// the server's own ring.
func (a *App) provisionTrust() error {
	own := token.Issuer{Name: a.server.Issuer, Own: true, Keys: a.keys.Key, MaxLifetime: a.server.MaxLifetime}
	issuers := []token.Issuer{own}
	a.verification.accepts = map[string][]string{a.server.Issuer: nil}
	var asserting []token.Issuer
	for _, trusted := range a.server.Trust {
		issuer, err := a.joinIssuer(trusted)
		if err != nil {
			return err
		}
		issuers = append(issuers, issuer)
		if trusted.Assertions != nil {
			issuer.Types, issuer.MaxLifetime = []string{issuance.IDJAGType}, issuance.MaxIdentityAssertion
			issuer.CertificateBound = false // nothing asks for one
			asserting = append(asserting, issuer)
		}
	}
	var err error
	if a.verification.verifier, err = token.NewVerifier(issuers); err != nil {
		return err
	}
	if len(asserting) > 0 {
		if a.verification.assertions, err = token.NewVerifier(asserting); err != nil {
			return err
		}
	}
	own.Types = []string{issuance.IDTokenType}
	if a.verification.idTokens, err = token.NewVerifier([]token.Issuer{own}); err != nil {
		return err
	}
	return a.verification.remember(a.server.TokenCache)
}

// joinIssuer joins the key set of a trusted issuer.
func (a *App) joinIssuer(trusted config.TrustedIssuer) (token.Issuer, error) {
	remote, release, err := joinRemote(trusted.Issuer, trusted.JWKS, trusted.Algorithms)
	if err != nil {
		return token.Issuer{}, fmt.Errorf("trust: %w", err)
	}
	a.release = append(a.release, release)
	a.keys.remotes = append(a.keys.remotes, remote)
	a.verification.accepts[trusted.Issuer] = trusted.Audiences
	return token.Issuer{
		Name:        trusted.Issuer,
		Keys:        remote.Key,
		Algorithms:  trusted.Algorithms,
		Types:       trusted.Types,
		MaxLifetime: trusted.MaxLifetime,

		CertificateBound: true, // gates ask for the certificate
	}, nil
}

// isActive reports whether Caddy runs the App's configuration.
func isActive(a *App) bool {
	app, err := caddy.ActiveContext().AppIfConfigured("auth")
	return err == nil && app == any(a)
}

// provisionCharge asks to be told when all apps have started, and when the configuration ends.
func (a *App) provisionCharge(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("caddy's events: %w", err)
	}
	a.release = append(a.release, a.charge.leave)
	events := app.(*caddyevents.App)
	return errors.Join(events.On("started", onStarted{a.charge}), events.On("stopping", onStopping{a.charge}))
}

// Configured returns the configuration's App, for the directive of that name. An App that is
// there but was refused says itself why.
func Configured(ctx caddy.Context, directive string) (*App, error) {
	app, err := ctx.AppIfConfigured("auth")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, fmt.Errorf("%s needs the global option `auth`, which is missing", directive)
	}
	if err != nil {
		return nil, err
	}
	return app.(*App), nil
}

// Start opens the store, unlocks or makes the keys, and begins the background work. Requests that
// came a moment earlier wait for it.
//
// A database of several nodes that is away does not keep a node from starting: gates and server
// answer 503 until it is back. A reload is refused then: the configuration that runs has its keys
// and its list of revocations already, and goes on.
func (a *App) Start() error {
	a.gates.freeze()
	err := a.charge.openStore()
	if err != nil && (!a.store.Shared() || !errors.Is(err, sqlstore.ErrUnavailable) || a.store.followed()) {
		return err
	}
	if err != nil {
		a.logger.Error("the store cannot be reached; everything that needs it answers 503 until it can", zap.Error(err))
		a.charge.away.Store(true)
		go a.charge.keepOpening()
	}
	a.keys.Fetch()
	go buildJanitor(a).sweep()
	go buildNotices(a).run()
	buildReport(a).log()
	return nil
}

// Stop has nothing to do: background work ends with the context, shared things are left in Cleanup.
func (a *App) Stop() error { return nil }

// Cleanup leaves what Provision joined, and nothing more: it also runs after a Provision that
// failed half-way.
func (a *App) Cleanup() error {
	var errs []error
	for _, release := range a.release {
		errs = append(errs, release())
	}
	a.release = nil
	return errors.Join(errs...)
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
