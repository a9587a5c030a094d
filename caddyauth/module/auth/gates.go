package auth

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
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
	// Sessions are those of browsers.
	Sessions *browser.Sessions
	// Pages is what gates know of the server's own pages.
	Pages *browser.Server
	// Browsers says that browsers sign in or are let in.
	Browsers bool
}

// freeze ends the time in which gates can be added.
func (g *Gates) freeze() {
	g.Survey.Freeze()
	g.Owned.Freeze()
	g.Credentials.Freeze()
}

// admissionVar is where the admission of a request is kept between gates.
const admissionVar = "caddyauth.admission"

// Filter removes from a request what only the gateway may set, the credentials that it brings, and
// upgrades. Headers that gates have set stay.
func (g *Gates) Filter(r *http.Request) {
	vars := request.Vars(r)
	prior, _ := vars[admissionVar].(*gate.Admission)
	hideUpgrade(r, vars)
	g.Owned.Strip(r, prior, passedUpgrade(vars)...)
	g.concealForLater(r, vars)
}

// Decision is what one gate decided about a request.
type Decision struct {
	Gate      *JWTAuth
	Err       error // nil if the request passes
	Admission *gate.Admission
}

type collectorKey struct{}

// collecting says that some request of this process has a collector, which those of a server never
// have: looking for one costs more than a gate's other work around its decision.
var collecting atomic.Bool

// CollectDecisions has f told of each decision about requests with the context that it returns.
// Gates renew no session for these.
func CollectDecisions(ctx context.Context, f func(Decision)) context.Context {
	collecting.Store(true)
	return context.WithValue(ctx, collectorKey{}, f)
}

// collector returns who is told of decisions about a request; nil when nobody is.
func collector(r *http.Request) func(Decision) {
	if !collecting.Load() {
		return nil
	}
	f, _ := r.Context().Value(collectorKey{}).(func(Decision))
	return f
}

// decided tells the collector of a request.
func decided(r *http.Request, d Decision) {
	if f := collector(r); f != nil {
		f(d)
	}
}
