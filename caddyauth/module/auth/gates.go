package auth

import (
	"net/http"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/module/survey"
)

// Gates is what the gates, the header filters and the server's own routes of one configuration
// share. What requests read of it is added while handlers are provisioned, and frozen at the start.
type Gates struct {
	// Survey knows where gates stand in the routes.
	Survey survey.Survey
	// Owned are the headers that only gates may set.
	Owned gate.Owned
	// Credentials are the places where some gate looks for a credential.
	Credentials gate.Credentials
	// Cookies are the names of the session's cookies.
	Cookies browser.Names
	// Sessions are those of browsers.
	Sessions *browser.Sessions
	// Pages is what gates know of the server's own pages.
	Pages *browser.Server
	// Applications signs browsers in at hosts other than the server's; nil without a public URL.
	Applications *Applications
	// Launcher knows the applications that gates name.
	Launcher *Launcher
	// Browsers says that browsers sign in or are let in.
	Browsers bool
	// Streams is what the streams of every gate are held to; a gate adds its own leeway and grace,
	// and its log.
	Streams stream.Policy
	// Log has the lines about requests. Sampled has those that anybody can cause as often as he
	// likes: a crawler must not fill the disk.
	Log, Sampled *zap.Logger
	// Possession asks for DPoP proofs.
	Possession *Possession
}

// freeze ends the time in which gates can be added.
func (g *Gates) freeze() {
	g.Survey.Freeze()
	g.Owned.Freeze()
	g.Credentials.Freeze()
}

// AdmissionVar is the variable of a request where gates leave its admission for those behind them.
const AdmissionVar = "caddyauth.admission"

// Filter removes from a request what only the gateway may set, the credentials that it brings, and
// upgrades. Headers that gates have set stay.
func (g *Gates) Filter(r *http.Request) {
	vars := request.Vars(r)
	prior, _ := vars[AdmissionVar].(*gate.Admission)
	hideUpgrade(r, vars)
	g.Owned.Strip(r, prior, passedUpgrade(vars)...)
	g.concealForLater(r, vars)
}

// PassOn takes out of a request that auth_server passes on what an application may not see although
// no gate has seen it yet: what only the server's own routes read, and upgrades.
func (g *Gates) PassOn(r *http.Request, vars map[string]any) {
	g.concealServerSecrets(r)
	hideUpgrade(r, vars)
	gate.StripUpgrade(r)
}
