package verdict

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/verdict"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

const directive = "auth_verdict"

func init() { caddy.RegisterModule(new(Verdict)) }

// Verdict turns the gates of a site into the answer for another proxy, which asks about each
// request before it passes it on: the rest of the site sees the asked request, and what no gate
// has let pass is refused.
type Verdict struct {
	// Which proxy asks: `nginx`, `traefik`, `caddy`, `haproxy` or `envoy`. Its address must be among
	// `trusted_proxies` of the server. Required.
	Proxy string `json:"proxy,omitempty"`

	dialect verdict.Dialect
	gates   *auth.Gates
	count   auth.DecisionCounter
	fields  func() []string
}

// CaddyModule returns the Caddy module information.
func (*Verdict) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers." + directive,
		New: func() caddy.Module { return new(Verdict) },
	}
}

// Provision borrows the app.
func (v *Verdict) Provision(ctx caddy.Context) error {
	app, err := auth.Configured(ctx, directive)
	if err != nil {
		return err
	}
	if err := v.check(); err != nil {
		return err
	}
	v.gates, v.count = app.Gates(), auth.CountDecisions(directive, "")
	v.dialect, _ = verdict.DialectOf(v.Proxy)
	v.fields = sync.OnceValue(v.listFields)
	return nil
}

func (v *Verdict) check() error {
	if _, known := verdict.DialectOf(v.Proxy); !known {
		return fmt.Errorf("%s: %q is unknown, want one of %s", directive, v.Proxy,
			strings.Join(verdict.Dialects(), ", "))
	}
	return nil
}

// ServeHTTP has the rest of the site judge the request that the proxy asks about, and answers.
func (v *Verdict) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	answer := verdict.NewAnswer(w, v.dialect)
	asked, refused := v.asked(answer, r)
	if refused != nil {
		v.refuse(answer, r, refused)
		return nil
	}
	if own := v.gates.RefuseOwnPath(asked); own != nil {
		v.refuseOwn(answer, asked, own)
		return nil
	}
	inURL := v.gates.Credentials.InURL(asked) // before the site rewrites it
	if err := next.ServeHTTP(answer, asked); err != nil {
		v.failed(answer, asked, err)
	}
	switch {
	case answer.Foreign():
		v.gates.Sampled.Error("something that is no gate answers in a site with auth_verdict; it was refused, and "+
			"the site should have gates alone", zap.String("host", asked.Host), zap.String("path", asked.URL.Path))
	case answer.Written():
	default:
		v.permit(answer, asked, inURL)
	}
	return nil
}

// asked returns the request that the proxy asks about, as Caddy's server would hand it on.
func (v *Verdict) asked(w http.ResponseWriter, r *http.Request) (*http.Request, *token.Refusal) {
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		return nil, refusal(gate.UntrustedProxy, "the peer is not among trusted_proxies of the server")
	}
	what, err := v.dialect.Asked(r)
	if err != nil {
		return nil, refusal(gate.UnclearRequest, err.Error())
	}
	// The gates would remove it, but no answer makes the proxy do so.
	if name := v.gates.Owned.Respelled(r.Header); name != "" {
		return nil, refusal(gate.UnclearRequest,
			fmt.Sprintf("the field %.80q is another spelling of one that tells who asks", name))
	}
	asked, err := what.Request(r)
	if err != nil {
		return nil, refusal(gate.UnclearRequest, err.Error())
	}
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	repl := caddy.NewReplacer()
	// The access log says who the user is.
	request.Replacer(r).Map(func(key string) (any, bool) {
		if !strings.HasPrefix(key, "http.auth.user.") {
			return nil, false
		}
		return repl.Get(key)
	})
	return caddyhttp.PrepareRequest(asked, repl, w, server), nil
}

func refusal(reason token.Reason, detail string) *token.Refusal {
	return &token.Refusal{Reason: reason, Detail: detail}
}

// refuse answers a request that no gate has refused, and says why in the log.
func (v *Verdict) refuse(w http.ResponseWriter, r *http.Request, refused *token.Refusal) {
	v.report(r, refused)
	endpoint.WriteError(w, gate.Status(refused.Reason), gate.BodyCode(refused.Reason), string(refused.Reason))
}

// refuseOwn answers a request that is for the gateway, and tells the client what the proxy must do.
func (v *Verdict) refuseOwn(w http.ResponseWriter, r *http.Request, refused *token.Refusal) {
	v.report(r, refused)
	endpoint.WriteError(w, gate.Status(refused.Reason), gate.BodyCode(refused.Reason), refused.Error())
}

// permit lets the proxy pass a request on, if a gate does, and nothing speaks against it.
func (v *Verdict) permit(w *verdict.Answer, asked *http.Request, inURL bool) {
	admitted := request.Vars(asked)[auth.AdmissionVar] != nil
	if refused := auth.RefusePermit(admitted, inURL); refused != nil {
		v.refuse(w, asked, refused)
		return
	}
	w.Permit(asked, v.fields())
}

// report counts a refusal and says why in the log.
func (v *Verdict) report(r *http.Request, refused *token.Refusal) {
	reason := refused.Reason
	v.count.Refused(reason)
	v.gates.Sampled.Info("request refused", zap.String("reason", string(reason)), zap.String("detail", refused.Detail),
		zap.String("gate", directive), zap.Int("status", gate.Status(reason)),
		zap.String("client_ip", request.ClientIP(r)), zap.String("remote_addr", r.RemoteAddr),
		zap.String("method", r.Method), zap.String("host", r.Host), zap.String("path", r.URL.Path))
}

// failed answers when a handler returned an error. No error route may answer: it could do so with
// success.
func (v *Verdict) failed(w *verdict.Answer, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if failure, ok := errors.AsType[caddyhttp.HandlerError](err); ok && failure.StatusCode >= http.StatusBadRequest {
		status = failure.StatusCode
	}
	if refused, ok := errors.AsType[*token.Refusal](err); ok {
		endpoint.WriteError(w, status, gate.BodyCode(refused.Reason), string(refused.Reason))
		return
	}
	v.gates.Log.Error("a request of another proxy could not be judged", zap.Error(err),
		zap.String("host", r.Host), zap.String("path", r.URL.Path))
	endpoint.WriteError(w, status, "server_error", "the request could not be judged")
}

// listFields lists those that a permission tells: what gates may set, and where credentials travel. All
// gates are known with the first request.
func (v *Verdict) listFields() []string {
	return slices.Concat(v.gates.Owned.Names(), v.gates.Credentials.Fields())
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Verdict)(nil)
	_ caddyhttp.MiddlewareHandler = (*Verdict)(nil)
)
