package auth

// build.go is the composition root: what a configuration consists of, one struct literal for each
// part. This file has the endpoints of the authorization server, which Endpoints lists;
// build_tokens.go has the life of a configuration and what issues and judges tokens, build_gates.go
// what gates share. Nothing is decided here. What a part asks of another one is a function field or
// an interface that its own package declares.

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/authorize"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
	"github.com/caddyauth/gateway/caddyauth/serve/device"
	"github.com/caddyauth/gateway/caddyauth/serve/discovery"
	"github.com/caddyauth/gateway/caddyauth/serve/endsession"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
	"github.com/caddyauth/gateway/caddyauth/serve/manage"
	"github.com/caddyauth/gateway/caddyauth/serve/oauth"
	"github.com/caddyauth/gateway/caddyauth/serve/registration"
	"github.com/caddyauth/gateway/caddyauth/serve/userinfo"
	"github.com/caddyauth/gateway/caddyauth/web/egress"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

func buildLogin(a *App) *login.Server {
	return &login.Server{
		Base:        a.server.PublicURL,
		ReturnTo:    a.server.ReturnTo,
		CleanTarget: a.gates.cleanTarget,
		Onward: func(ctx context.Context, target string) (login.Onward, bool) {
			onward, ok := buildAuthorize(a).Onward(ctx, target)
			return login.Onward(onward), ok
		},
		HandsOver: func(origin string) bool { return a.gates.Applications.handover.Knows(origin) },
		Home:      a.server.Home,
		Project:   project.Default,
		Find:      a.store.findFirstParty,
		Audiences: a.server.Audiences,
		Passwords: a.passwords,
		Throttle:  a.throttle,
		SignIn:    a.issuing.SignIn,
		Verify:    a.verification.signedIn,
		Renew:     hashes{a.passwords, a.store, a.logger}.renew,
		Revoke: func(ctx context.Context, accesses, refreshes []string) (ended bool, err error) {
			return a.issuing.SignOut(ctx, accesses, refreshes, time.Now())
		},
		Owner: func(ctx context.Context, refresh string) string {
			return a.issuing.SessionOwner(ctx, refresh, time.Now())
		},
		Keep: func(w http.ResponseWriter, r *http.Request) error {
			return authorizing{a.gates.Sessions, a.verification, a.gates.Cookies.Access}.renew(w, r)
		},
		Launcher:   a.gates.Launcher,
		EndSession: buildEndSession(a),
		ClientIP:   request.ClientIP,
		Events:     a.audit.report,
		SentBack: func(r *http.Request, b login.SentBack) {
			detail := refusedByGate
			if b.Unreachable {
				detail = "the session cookie belongs to " + a.server.PublicURL.Hostname() + " alone"
			}
			a.audit.sentBack(r, b.Subject, b.Host, detail)
		},
		CookieName:        a.gates.Cookies.Access,
		RefreshCookieName: a.gates.Cookies.Refresh,
		SecureCookie:      secureCookie(a.server),
	}
}

// buildEndSession is what clients need to sign people out at /logout.
func buildEndSession(a *App) login.EndSession {
	e := ending{a.store, a.verification, a.issuing}
	return login.EndSession{ReadHint: e.hint, FindClient: e.client, Current: e.session}
}

// buildNotices tells clients of sign-ins that have ended.
func buildNotices(a *App) notices {
	return notices{
		ctx:     a.ctx,
		started: a.charge.started,
		sender: &endsession.Sender{
			Store:   a.store,
			Token:   a.issuing.LogoutToken,
			Client:  &egress.Client{Allow: a.server.Egress.Allow, Roots: a.server.Egress.Roots},
			Events:  a.audit.report,
			Failing: logNotices(a.logger),
		},
	}
}

// buildPageSession answers the routes of session.js, by which a page that stays open keeps its
// session.
func buildPageSession(a *App) *login.Session {
	renew := buildRenewals(a)
	return &login.Session{
		Base:      a.server.PublicURL,
		Current:   a.gates.Sessions.Current,
		Renewable: a.gates.Sessions.Renewable,
		Renew: func(w http.ResponseWriter, r *http.Request) (string, time.Time, error) {
			return renew.page(a.gates.Sessions, w, r)
		},
		RenewalTimes: a.gates.Sessions.PageWindow,
	}
}

// buildClientAuthenticator authenticates the clients at every endpoint for programs.
func buildClientAuthenticator(a *App) *clientauth.Authenticator {
	return &clientauth.Authenticator{
		Issuer:        a.server.Issuer,
		TokenEndpoint: a.server.PublicURL.JoinPath("token").String(),
		Find:          a.clients.findClient,
		UseOnce:       a.store.UseOnce,
		Keys: &keyring.Published{
			Sets:  &a.store.clientKeys,
			Allow: a.server.Egress.Allow,
			Roots: a.server.Egress.Roots,
		},
	}
}

// buildAuthorize answers /authorize and /par.
func buildAuthorize(a *App) *authorize.Server {
	people := authorizing{a.gates.Sessions, a.verification, a.gates.Cookies.Access}
	return &authorize.Server{
		Base:          a.server.PublicURL,
		Issuer:        a.server.Issuer,
		Project:       project.Default,
		Find:          a.clients.findParties,
		Session:       people.session,
		Hint:          people.hint,
		Issue:         a.issuing.IssueCode,
		Consents:      a.store,
		Scopes:        a.server.Scopes,
		Pushed:        a.store,
		Authenticator: buildClientAuthenticator(a),
		Proofs:        buildProofs(a),
		PushRate:      buildRequestRate(a, "pushed request"),
		Visits:        visits{a.grants},
		ClientIP:      request.ClientIP,
		Events:        a.audit.report,
	}
}

// buildRequestRate counts requests of a kind that the store keeps for whoever sends them.
func buildRequestRate(a *App, kind string) clientauth.Rate {
	return func(ctx context.Context, clientIP string, now time.Time) (time.Duration, error) {
		return a.throttle.TakeRequest(ctx, kind, clientIP, now)
	}
}

// buildProofs checks the DPoP proofs of requests to endpoints for programs.
func buildProofs(a *App) *clientauth.Proofs {
	return &clientauth.Proofs{
		Base:    a.server.PublicURL,
		UseOnce: a.gates.Possession.proofs.UseOnce,
		Nonces:  a.gates.Possession.noncesIf(a.server.DPoPNonce),
	}
}

// buildDevice answers /device_authorization and /device.
func buildDevice(a *App) *device.Server {
	return &device.Server{
		Base:          a.server.PublicURL,
		Project:       project.Default,
		Authenticator: buildClientAuthenticator(a),
		Find:          a.clients.findParties,
		Store:         a.store,
		Rate:          buildRequestRate(a, "device request"),
		Lifetime:      a.issuing.LifetimesOf,
		Session:       authorizing{a.gates.Sessions, a.verification, a.gates.Cookies.Access}.session,
		Guess:         a.throttle.TakeGuess,
		Scopes:        a.server.Scopes,
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
		AnswerKey:         a.keys.Answer,
		Clients:           buildClientAuthenticator(a),
		Proofs:            buildProofs(a),
		ExchangeCode:      a.issuing.ExchangeCode,
		PollDevice:        a.issuing.PollDevice,
		Refresh:           a.issuing.Refresh,
		IDToken:           a.issuing.IDTokenFor,
		ClientCredentials: a.issuing.ClientCredentials,
		TokenExchange:     a.issuing.TokenExchange,
		IdentityAssertion: a.issuing.IdentityAssertion,
		AssertionGrant:    buildAssertionGrant(a),
		Verify:            a.verification.VerifyBound,
		Revoked:           func(t *token.Token) error { return a.verification.Revoked(t, time.Now()) },
		ClientIP:          request.ClientIP,
		Events:            a.audit.report,
	}
}

// buildRegistration answers /register.
func buildRegistration(a *App, r *config.SelfRegistration) *registration.Server {
	return &registration.Server{
		Base:            a.server.PublicURL,
		Open:            r.Open,
		InitialTokens:   r.InitialTokens,
		RedirectHosts:   r.RedirectHosts,
		MaxClients:      r.MaxClients,
		UnapprovedAfter: r.UnapprovedAfter,
		Terms:           buildArrivalTerms(r.Arrivals),
		Store:           a.store,
		Take:            buildArrivalLimit(a, clients.Registered, r.Arrivals),
		Revoke:          revoker{a.grants}.RevokeClient,
		ClientIP:        request.ClientIP,
		Events:          a.audit.report,
	}
}

// buildDocuments makes clients of metadata documents.
func buildDocuments(a *App, m *config.MetadataDocuments) *registration.Documents {
	return &registration.Documents{
		Terms:   buildArrivalTerms(m.Arrivals),
		Domains: m.Domains,
		AtOnce:  m.AtOnce,

		MaxClients:      m.MaxClients,
		UnapprovedAfter: m.UnapprovedAfter,
		Client: &egress.Client{
			Allow:   m.Networks(a.server.Egress),
			Roots:   a.server.Egress.Roots,
			Timeout: registration.FetchTimeout,
			MaxBody: registration.MaxDocument,
		},
		Store:  a.store,
		Take:   buildArrivalLimit(a, clients.MetadataDocument, m.Arrivals),
		Events: a.audit.report,
	}
}

// buildArrivalTerms makes what clients get that come by themselves.
func buildArrivalTerms(r config.Arrivals) registration.Terms {
	return registration.Terms{
		Project:   project.Default,
		Scopes:    r.Scopes,
		Audience:  r.Audience,
		Resources: r.Resources,
	}
}

// buildArrivalLimit counts clients of a source that come by themselves.
func buildArrivalLimit(
	a *App,
	source string,
	r config.Arrivals,
) func(context.Context, string, time.Time) (time.Duration, error) {
	return func(ctx context.Context, clientIP string, now time.Time) (time.Duration, error) {
		return a.throttle.TakeArrival(ctx, source, r.AddressRate, r.TotalRate, clientIP, now)
	}
}

func buildManagement(a *App) *manage.Server {
	administrators := administrators{
		declared:     a.server.Users,
		verification: a.verification,
		store:        a.store,
		cookie:       a.gates.Cookies.Access,
	}
	return &manage.Server{
		Base:         a.server.PublicURL,
		Issuer:       a.server.Issuer,
		Projects:     freshStore{a.store},
		Clients:      freshStore{a.store},
		Users:        freshStore{a.store},
		Tokens:       a.store,
		Consents:     &consent.Service{Store: a.store, DenyList: &a.store.denied},
		Audit:        a.store,
		Passwords:    a.passwords,
		Revoker:      revoker{a.grants},
		TokenOptions: a.server.TokenOptions,
		Revocation:   a.server.Revocation,
		Lifetimes:    a.server.Lifetimes,
		Limits:       a.server.Limits,
		Audiences:    a.server.Audiences,
		Session:      administrators.caller,
		Privileged:   administrators.has,
		CheckUser:    buildCookieLimit(a).check,
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
			{Method: http.MethodGet, Path: "/jwks.json", Handler: keySet, AnyOrigin: true},
			{Method: http.MethodGet, Path: "/.well-known/jwks.json", Handler: keySet, AnyOrigin: true},
		},
	}
}

// buildUserInfo answers /userinfo.
func buildUserInfo(a *App) *userinfo.Server {
	return &userinfo.Server{
		Base:    a.server.PublicURL,
		Verify:  a.verification.VerifyBound,
		Revoked: a.verification.Revoked,
		Prove: func(r *http.Request, t *token.Token, now time.Time) error {
			return a.gates.Possession.Check(r, t, false, true, now)
		},
		OfferNonce: a.gates.Possession.OfferNonce,
		Claims:     a.issuing.UserInfo,
		ClientIP:   request.ClientIP,
		Events:     a.audit.report,
	}
}

// buildDiscovery answers with the metadata of the server.
func buildDiscovery(a *App) *discovery.Server {
	return &discovery.Server{
		Issuer:             a.server.Issuer,
		Base:               a.server.PublicURL,
		Scopes:             a.server.Scopes.Names(),
		Claims:             a.server.Scopes.Claims(a.server.Scopes.Names()...),
		IDTokenAlgorithms:  keyring.IDTokenAlgorithms(),
		IdentityAssertions: len(assertionIssuers(a.server)) > 0,
		Registration:       a.server.Registration != nil,
		ClientDocuments:    a.server.ClientMetadata != nil,
		Certificates:       a.gates.Survey.Certificates,
		Asserting:          (&asserting{store: a.store}).any,
	}
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
		ready:  a.charge.ready,
		store:  a.store,
		maxAge: a.server.Keys.JWKSMaxAge,
	}
}
