package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/handover"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/module/request"
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

// buildLauncher lists applications on the start page.
func buildLauncher(a *App) *Launcher {
	return &Launcher{
		routes:  &a.gates.Survey,
		session: a.verification.Session,
		cookie:  a.gates.Cookies.Access,
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
		Verify:     a.verification.WebSession,
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
		Elsewhere:    a.gates.Applications.Elsewhere,
		LoginAt:      a.gates.Applications.loginAt,
		LogoutAt:     a.gates.Applications.logoutAt,
	}
}

func buildReport(a *App) report {
	return report{
		routes: &a.gates.Survey,
		signIn: buildSignIn(a),
		apps:   a.gates.Launcher,
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
		Path:           a.server.WebPath,
	}
}

// buildApplications signs browsers in at the hosts of applications. What it shares with the
// server's own routes are the sessions and their cookies, which are made for one host each.
func buildApplications(a *App) *Applications {
	base := *a.server.PublicURL
	base.Path = a.server.WebPath
	renew := buildRenewals(a)
	session := buildPageSession(a)
	session.Base = &base
	return &Applications{
		handover: &handover.Server{
			Base:     a.server.PublicURL,
			Issuer:   a.server.Issuer,
			Path:     a.server.WebPath,
			ClientID: clients.Web,
			Project:  project.Default,
			Origins:  func() []string { return a.gates.Survey.Applications(buildSignIn(a)) },
			Ready:    a.charge.ready,
			Redeem:   renew.redeem,
			Renew: func(w http.ResponseWriter, r *http.Request) (living bool, err error) {
				return renew.living(a.gates.Sessions, w, r)
			},
			Subject: func(r *http.Request) string {
				if subject, _, living := a.gates.Sessions.Current(r); living {
					return subject
				}
				return a.issuing.SessionOwner(r.Context(), gate.FindCookie(r, a.gates.Cookies.Refresh), time.Now())
			},
			End: func(ctx context.Context, accesses, refreshes []string) (ended bool, err error) {
				return a.issuing.SignOut(ctx, accesses, refreshes, time.Now())
			},
			AccessCookie:  a.gates.Cookies.Access,
			RefreshCookie: a.gates.Cookies.Refresh,
			Cleared:       a.gates.Sessions.Cleared,
			Secure:        secureCookie(a.server),
			ClientIP:      request.ClientIP,
			Events:        a.audit.report,
			SentBack: func(r *http.Request, subject string, accepted bool) {
				detail := refusedByGate
				if accepted {
					detail = sentByPage
				}
				a.audit.sentBack(r, subject, r.Host, detail)
			},
		},
		session:  session,
		gates:    a.gates,
		serverAt: a.server.PublicURL.Hostname(),
	}
}
