package auth

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/module/survey"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

func buildGates(a *App) *Gates {
	cookies := browser.NamesFor(secureCookie(a.server))
	return &Gates{
		Survey: survey.Survey{HTTP: func() *caddyhttp.App { return httpApp(a.ctx) }},
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

// buildPossession wires what asks for DPoP proofs.
func buildPossession(a *App) *Possession {
	return &Possession{
		proofs:  replay.Local{Store: a.store},
		ready:   a.charge.ready,
		started: a.charge.started,
	}
}

func buildRenewals(a *App) renewals {
	return renewals{
		issuing: a.issuing,
		login:   a.login,
		store:   a.store,
		window:  browser.RenewalWindow{Length: a.server.RefreshWindow, Check: a.server.RefreshCheck},
		logger:  a.logger,
	}
}

func buildBrowserSessions(a *App) *browser.Sessions {
	renew := buildRenewals(a)
	return &browser.Sessions{
		Names:      a.gates.Cookies,
		Ready:      a.charge.ready,
		Verify:     a.verification.Session,
		Refresh:    renew.refresh,
		Cleared:    func() []*http.Cookie { return a.login.Cookies(login.Issued{}) },
		Project:    project.Default,
		Window:     renew.window,
		FindWindow: renew.findWindow,
	}
}

func buildCookieLimit(a *App) cookieLimit {
	return cookieLimit{
		server: a.server,
		keys:   a.keys,
		name:   a.gates.Cookies.Access,
	}
}

// buildPages is what gates know of the server's own pages.
func buildPages(a *App) *browser.Server {
	return &browser.Server{
		Base:         a.server.PublicURL,
		ListedOrigin: listedOrigin(a.server.ReturnTo),
		LeadsTo:      a.login.LeadsTo,
		CleanTarget:  a.gates.cleanTarget,
		SentQuery:    login.SentQuery,
		Home:         a.login.HomeLink,
		HomeIsSet:    a.server.Home != "",
	}
}

func buildReport(a *App) report {
	return report{
		routes: &a.gates.Survey,
		signIn: buildSignIn(a),
		server: a.server,
		store:  a.store,
		logger: a.logger,
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
