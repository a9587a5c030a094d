package adminapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/serve/manage"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

func init() { caddy.RegisterModule(Admin{}) }

// Admin mounts the management API below /auth/ of Caddy's admin endpoint, with the routes that only
// an operator may call: a client that reaches the admin endpoint can change everything anyway.
// `caddy auth user` and its siblings are its clients.
type Admin struct{}

const (
	// Mount is the path of the routes on the admin endpoint.
	Mount = "/auth"
	// Actor is the actor in the audit trail for calls through the admin endpoint.
	Actor = "command"
)

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.auth",
		New: func() caddy.Module { return new(Admin) },
	}
}

// Routes returns the one route, below which the management API finds its own.
func (Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: Mount + "/", Handler: caddy.AdminHandlerFunc(serve)}}
}

// runningApp returns the App of the running configuration, or nil. The first configuration of a
// process serves requests shortly before Caddy makes it the active one, so a request waits up to a
// second for it.
func runningApp(ctx context.Context) *auth.App {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		if app, err := caddy.ActiveContext().AppIfConfigured("auth"); err == nil {
			return app.(*auth.App)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// serve answers with the App of the configuration that runs now: the admin endpoint of a
// configuration answers before its apps are started, and still answers after the configuration was
// refused.
func serve(w http.ResponseWriter, r *http.Request) error {
	app := runningApp(r.Context())
	if app == nil {
		return apiError(http.StatusNotFound, "the running configuration has no global option `auth`")
	}
	if r.URL.Path == StorePath {
		return serveStore(w, r, app)
	}
	if err := app.Ready(r.Context()); err != nil {
		return apiError(http.StatusServiceUnavailable, "the server is starting")
	}
	r.Header.Del("Authorization") // it is for a proxy before the admin endpoint; API tokens are for the public routes
	server := operatorServer(app)
	if err := server.Validate(); err != nil {
		return err
	}
	server.ServeHTTP(w, r)
	return nil
}

func apiError(status int, text string) error {
	return caddy.APIError{HTTPStatus: status, Err: errors.New(text)}
}

// operatorServer is the management API for a client that reaches the admin endpoint.
func operatorServer(app *auth.App) *manage.Server {
	s := app.Management()
	s.Operator = operator{app.Services(), app.Verification()}
	s.PublicURL = s.Base
	s.Base = &url.URL{Scheme: "http", Host: "localhost", Path: Mount}
	s.Session = func(*http.Request) (manage.Caller, error) {
		return manage.Caller{Actor: Actor, Abilities: []string{apitoken.Admin}}, nil
	}
	s.ClientIP = endpoint.PeerIP
	return s
}

// Interface guard
var _ caddy.AdminRouter = Admin{}
