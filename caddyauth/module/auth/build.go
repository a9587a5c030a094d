package auth

// This file is the composition root: what a configuration consists of, one struct literal for each
// part. Nothing is decided here. What a part asks of another one is a function field or an
// interface that its own package declares.

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/module/survey"
	"github.com/caddyauth/gateway/caddyauth/serve/authorize"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
	"github.com/caddyauth/gateway/caddyauth/serve/discovery"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
	"github.com/caddyauth/gateway/caddyauth/serve/manage"
	"github.com/caddyauth/gateway/caddyauth/serve/oauth"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// Tokens and sessions.

func buildVerification(a *App) *Verification {
	return &Verification{
		denied:    &a.store.denied,
		stale:     a.store.watch.Stale,
		staleness: a.server.RevocationStaleness + pollGrace,
		ready:     a.ready,
		ctx:       a.ctx,
	}
}

func buildOpaque(a *App) *opaque.Tokens {
	return &opaque.Tokens{
		Store:    a.store,
		Issuer:   token.Issuer{Name: a.server.Issuer, Own: true, MaxLifetime: a.server.MaxLifetime},
		Denied:   &a.store.denied,
		CacheFor: a.introspectionCache(),
	}
}

func buildGrants(a *App) *session.Service {
	return &session.Service{
		Store:    a.store,
		DenyList: &a.store.denied,
		Stranger: a.store.strangers.enter,
		Alert:    a.alert,
	}
}

// buildIssuance wires what decides about tokens and makes them.
func buildIssuance(a *App) *issuance.Service {
	return &issuance.Service{
		Issuer:       a.server.Issuer,
		Lifetimes:    a.server.Lifetimes,
		Limits:       a.server.Limits,
		TokenOptions: a.server.TokenOptions,
		Revocation:   a.server.Revocation,
		Store:        a.store,
		Codes:        a.store,
		Sessions:     a.grants,
		SigningKey:   a.keys.Signing,
		Opaque: func(ctx context.Context, c token.Claims) (string, error) {
			return a.verification.opaque.Issue(ctx, c)
		},
		Verify:  func(ctx context.Context, raw string) (*token.Token, error) { return a.verification.Verify(ctx, raw) },
		Revoked: a.verification.Revoked,
		Observe: func(kind string) { issuedTotal.WithLabelValues(kind).Inc() },
	}
}

func buildKeys(a *App) *Keys {
	k := &Keys{
		ready:  a.ready,
		issuer: a.server.Issuer,
		nudge:  func() { a.store.streams.Nudge() },
		logger: a.logger,
	}
	k.ring.Store(a.server.Ring)
	return k
}

// buildKeeper wires what keeps the generated keys, which the secret seals.
func buildKeeper(a *App, secret *keyring.SecretRing) *keyring.Keeper {
	return &keyring.Keeper{
		Store:        a.store,
		Lifecycle:    a.lifecycle(secret),
		Configured:   a.server.Ring,
		Changed:      a.keys.adopt,
		Past:         a.store.steady.Past,
		StateChanged: a.keys.logState,
		Failing:      a.keys.logKeeper,
	}
}

// buildPossession wires what asks for DPoP proofs.
func buildPossession(a *App) *Possession {
	return &Possession{
		proofs:  replay.Local{Store: a.store},
		ready:   a.ready,
		started: a.charge.started,
	}
}

// What gates have for browsers.

func buildGates(a *App) *Gates {
	cookies := browser.NamesFor(a.secureCookie())
	return &Gates{
		Survey: survey.Survey{HTTP: a.httpApp},
		Credentials: gate.Credentials{
			RefreshCookie: cookies.Refresh,
			Issued:        func(word string) bool { return a.verification.isIssued(word) },
		},
		Cookies: cookies,
		Log:     a.audit.all,
		Sampled: a.audit.sampled,
	}
}

// buildStreams is what the streams of all gates are held to.
func buildStreams(a *App) stream.Policy {
	return stream.Policy{
		Watcher:   &a.store.streams,
		Session:   gate.Source{Kind: gate.Cookie, Name: a.gates.Cookies.Access},
		Staleness: a.verification.staleness,
	}
}

func buildBrowserSessions(a *App) *browser.Sessions {
	return &browser.Sessions{
		Names:      a.gates.Cookies,
		Ready:      a.ready,
		Verify:     a.verification.Session,
		Refresh:    a.refreshBrowser,
		Cleared:    func() []*http.Cookie { return a.login.Cookies(login.Issued{}) },
		Project:    project.Default,
		Window:     a.serverWindow(),
		FindWindow: a.findWindow,
	}
}

// buildPages is what gates know of the server's own pages.
func buildPages(a *App) *browser.Server {
	return &browser.Server{
		Base:         a.server.PublicURL,
		ListedOrigin: a.listedOrigin,
		LeadsTo:      a.login.LeadsTo,
		CleanTarget:  a.gates.cleanTarget,
		SentQuery:    login.SentQuery,
		Home:         a.login.HomeLink,
		HomeIsSet:    a.server.Home != "",
	}
}

// buildSignIn is what the survey of the routes must know to tell why nobody can sign in.
func buildSignIn(a *App) survey.SignIn {
	return survey.SignIn{
		PublicURL:      a.server.PublicURL,
		ReturnTo:       a.server.ReturnTo,
		Issuer:         a.server.Issuer,
		SessionCookie:  a.gates.Cookies.Access,
		AccessLifetime: a.server.AccessLifetime(),
		MaxLifetime:    a.server.MaxLifetime,
		Projects:       a.server.Projects,
	}
}

// The endpoints of the authorization server; Endpoints lists them.

func buildLogin(a *App) *login.Server {
	return &login.Server{
		Base:        a.server.PublicURL,
		ReturnTo:    a.server.ReturnTo,
		CleanTarget: a.gates.cleanTarget,
		Onward:      a.onward,
		Home:        a.server.Home,
		Project:     project.Default,
		Find:        a.findParties,
		Audiences:   a.server.Audiences,
		Passwords:   a.passwords,
		Throttle:    a.throttle,
		SignIn:      a.issuing.SignIn,
		Verify:      a.signedIn,
		Renew:       a.renewHash,
		Revoke:      a.endSession,
		Owner:       a.sessionOwner,
		ClientIP:    request.ClientIP,
		Events:      a.audit.report,
		SentBack: func(r *http.Request, b login.SentBack) {
			a.audit.sentBack(r, b, a.server.PublicURL.Hostname())
		},
		CookieName:        a.gates.Cookies.Access,
		RefreshCookieName: a.gates.Cookies.Refresh,
		SecureCookie:      a.secureCookie(),
	}
}

// buildPageSession answers the routes of session.js, by which a page that stays open keeps its
// session.
func buildPageSession(a *App) *login.Session {
	return &login.Session{
		Base:         a.server.PublicURL,
		Current:      a.gates.Sessions.Current,
		Renewable:    a.gates.Sessions.Renewable,
		Renew:        a.renewPage,
		RenewalTimes: a.gates.Sessions.PageWindow,
	}
}

// buildClientAuthenticator authenticates the clients at every endpoint for programs.
func buildClientAuthenticator(a *App) *clientauth.Authenticator {
	return &clientauth.Authenticator{
		Issuer:        a.server.Issuer,
		TokenEndpoint: a.server.PublicURL.JoinPath("token").String(),
		Find:          a.store.FindClientParties,
		UseOnce:       a.store.UseOnce,
		Keys:          &a.store.clientKeys,
	}
}

// buildAuthorize answers /authorize and /par.
func buildAuthorize(a *App) *authorize.Server {
	return &authorize.Server{
		Base:          a.server.PublicURL,
		Issuer:        a.server.Issuer,
		Project:       project.Default,
		Find:          a.store.FindParties,
		Session:       a.authorizingSession,
		Issue:         a.issuing.IssueCode,
		Consents:      a.store,
		Pushed:        a.store,
		Authenticator: buildClientAuthenticator(a),
		Visits:        visits{a},
		ClientIP:      request.ClientIP,
		Events:        a.audit.report,
	}
}

// buildOAuth answers /token, /revoke and /introspect.
func buildOAuth(a *App) *oauth.Server {
	return &oauth.Server{
		Base:              a.server.PublicURL,
		Sessions:          a.grants,
		Issuer:            a.server.Issuer,
		SigningKey:        a.keys.SigningNow,
		Clients:           buildClientAuthenticator(a),
		ExchangeCode:      a.issuing.ExchangeCode,
		Refresh:           a.issuing.Refresh,
		ClientCredentials: a.issuing.ClientCredentials,
		TokenExchange:     a.issuing.TokenExchange,
		Verify:            a.verification.VerifyBound,
		Revoked:           func(t *token.Token) error { return a.verification.Revoked(t, time.Now()) },
		ClientIP:          request.ClientIP,
		Events:            a.audit.report,
	}
}

func buildManagement(a *App) *manage.Server {
	return &manage.Server{
		Base:         a.server.PublicURL,
		Projects:     freshStore{a.store},
		Clients:      freshStore{a.store},
		Users:        freshStore{a.store},
		Tokens:       a.store,
		Consents:     &consent.Service{Store: a.store, DenyList: &a.store.denied},
		Audit:        a.store,
		Passwords:    a.passwords,
		Revoker:      revoker{a},
		TokenOptions: a.server.TokenOptions,
		Revocation:   a.server.Revocation,
		Lifetimes:    a.server.Lifetimes,
		Limits:       a.server.Limits,
		Audiences:    a.server.Audiences,
		Session:      a.administrator,
		Privileged:   a.isAdministrator,
		CheckUser:    a.checkCookie,
		ClientIP:     request.ClientIP,
		Events:       a.audit.report,
	}
}

// buildKeySet answers with the public keys.
func buildKeySet(a *App) endpoint.Handlers {
	keySet := buildStatus(a).keySet
	return endpoint.Handlers{
		Base: a.server.PublicURL,
		Routes: endpoint.Routes[http.HandlerFunc]{
			{Method: http.MethodGet, Path: "/jwks.json", Handler: keySet},
			{Method: http.MethodGet, Path: "/.well-known/jwks.json", Handler: keySet},
		},
	}
}

// buildDiscovery answers with the metadata of the server.
func buildDiscovery(a *App) *discovery.Server {
	return &discovery.Server{Issuer: a.server.Issuer, Base: a.server.PublicURL}
}

func buildHealth(a *App) endpoint.Handlers {
	return endpoint.Handlers{
		Base: a.server.PublicURL,
		Routes: endpoint.Routes[http.HandlerFunc]{
			{Method: http.MethodGet, Path: "/healthz", Handler: buildStatus(a).health},
		},
	}
}

func buildStatus(a *App) status {
	return status{
		ring:   a.keys.Ring,
		ready:  a.ready,
		store:  a.store,
		maxAge: a.server.Keys.JWKSMaxAge,
	}
}
