package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/serve/manage"
)

func init() { caddy.RegisterModule(Admin{}) }

// Admin mounts the management API beneath /auth/ of Caddy's admin endpoint, with the routes that only an operator may call: who gets
// to that endpoint may do everything already. `caddy auth user` and its siblings are its clients.
type Admin struct{}

// adminMount is the path of the routes on the admin endpoint.
const adminMount = "/auth"

// commandActor stands in the audit trail for whoever used the admin endpoint.
const commandActor = "command"

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.auth",
		New: func() caddy.Module { return new(Admin) },
	}
}

// Routes returns the one route, below which the management API finds its own.
func (Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminMount + "/", Handler: caddy.AdminHandlerFunc(serveAdmin)}}
}

// runningApp returns the App of the configuration that is running, or nil. The first configuration of a process serves requests a
// moment before Caddy says that it is the running one, so whoever finds none waits a second for it.
func runningApp(ctx context.Context) *App {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		if app, err := caddy.ActiveContext().AppIfConfigured("auth"); err == nil {
			return app.(*App)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// serveAdmin answers with the App of the configuration that is running at this moment: the admin endpoint of a configuration is there
// before its apps are, and stays when it is refused.
func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	a := runningApp(r.Context())
	if a == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("the running configuration has no global option `auth`")}
	}
	if r.URL.Path == storePath {
		return a.serveStore(w, r)
	}
	if err := a.ready(r.Context()); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("the server is starting")}
	}
	r.Header.Del("Authorization") // for whatever stands before the admin endpoint; API tokens are for the public routes
	server := a.operatorServer()
	if err := server.Check(); err != nil {
		return err
	}
	server.ServeHTTP(w, r)
	return nil
}

// operatorServer is the management API for whoever gets to the admin endpoint.
func (a *App) operatorServer() *manage.Server {
	s := a.manageServer()
	s.Base = &url.URL{Scheme: "http", Host: "localhost", Path: adminMount}
	s.Operator = operator{a}
	s.Session = func(*http.Request) (manage.Caller, error) {
		return manage.Caller{Actor: commandActor, Abilities: []string{project.Admin}}, nil
	}
	s.ClientIP = peer
	return s
}

// peer is the address at the other end; none of a socket.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return ""
	}
	return host
}

// operator carries out what the operator orders.
type operator struct{ app *App }

// ListSessions implements manage.Operator.
func (o operator) ListSessions(ctx context.Context, f session.Filter) ([]session.Grant, error) {
	return o.app.store.ListGrants(ctx, f)
}

// EndSession implements manage.Operator.
func (o operator) EndSession(ctx context.Context, id, reason string) error {
	return o.app.grants.RevokeFamily(ctx, id, reason, time.Now())
}

// EndSessions implements manage.Operator.
func (o operator) EndSessions(ctx context.Context, order session.Order) (int, error) {
	return o.app.grants.RevokeAll(ctx, order, time.Now())
}

// MintToken implements manage.Operator. The epoch is read before the owner is asked for, so that an order in between wins.
func (o operator) MintToken(ctx context.Context, m manage.Mint, now time.Time) (raw, id string, err error) {
	epoch, err := o.app.grants.Epoch(ctx)
	if err != nil {
		return "", "", err
	}
	g := session.Grant{Project: m.User.Project, Subject: m.User.Name, ClientID: cmp.Or(m.ClientID, firstPartyClient), Audience: m.Audience}
	may, err := o.app.mayIssue(ctx, g)
	if err != nil {
		return "", "", err
	}
	if !may {
		return "", "", manage.ErrMayNotIssue
	}
	raw, err = o.app.issueAccess(ctx, g, nil, epoch, now, now.Add(m.Lifetime))
	if err != nil {
		return "", "", err
	}
	t, err := o.app.verify(ctx, raw)
	if err != nil {
		return "", "", fmt.Errorf("reading the minted token: %w", err)
	}
	return raw, t.ID, nil
}

// Keys implements manage.Operator.
func (o operator) Keys(ctx context.Context) ([]manage.Key, error) {
	infos, err := o.app.listKeys(ctx)
	keys := make([]manage.Key, len(infos))
	for i, k := range infos {
		keys[i] = manage.Key{ID: k.ID, Algorithm: k.Algorithm, State: k.State, Created: k.Created, Since: k.Since, Until: k.Until}
	}
	return keys, err
}

// RotateKeys implements manage.Operator.
func (o operator) RotateKeys(ctx context.Context) error {
	_, err := o.app.rotateKeys(ctx)
	return keyVerdict(err)
}

// RevokeKey implements manage.Operator.
func (o operator) RevokeKey(ctx context.Context, id string) error {
	_, err := o.app.revokeKey(ctx, id)
	return keyVerdict(err)
}

// keyVerdict says in the words of the management API what became of an order about keys.
func keyVerdict(err error) error {
	switch {
	case errors.Is(err, errConfiguredKeys):
		return manage.ErrKeysConfigured
	case errors.Is(err, keyring.ErrUnknownKey):
		return manage.ErrNoKey
	}
	return err
}

// Interface guards
var (
	_ caddy.AdminRouter = Admin{}
	_ manage.Operator   = operator{}
)
