package auth

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// ConcealedVar is the variable where a request keeps the credentials that were taken out of it. The header
// filter beside a gate with a matcher runs before the gates without one, and gates that stack may
// each look in a place of their own.
const ConcealedVar = "caddyauth.credentials"

// Reveal gives a gate what was concealed before of what it reads, and the server's own routes, for
// which to is nil, all of it. What is returned was concealed; nil when that was nothing.
func (g *Gates) Reveal(r *http.Request, vars map[string]any, to *gate.Gate) *gate.Concealed {
	concealed, _ := vars[ConcealedVar].(*gate.Concealed)
	if concealed != nil {
		concealed.Reveal(r, to)
	}
	return concealed
}

// concealForLater takes all credentials out of a request that no gate may be going to see, and
// keeps them with those that were concealed before.
func (g *Gates) concealForLater(r *http.Request, vars map[string]any) {
	concealed := g.Credentials.Conceal(r)
	if concealed != nil && vars != nil {
		before, _ := vars[ConcealedVar].(*gate.Concealed)
		vars[ConcealedVar] = before.Join(concealed)
	}
	g.CleanOriginal(r)
}

// concealServerSecrets takes what only the server's own routes read out of a request that
// auth_server passes on: API and refresh tokens and client secrets. A gate behind it still says
// what is wrong with them.
func (g *Gates) concealServerSecrets(r *http.Request) {
	if !slices.ContainsFunc(r.Header["Authorization"], opaque.MayHoldSecret) {
		return // as nearly always, and cheaper to say than word by word
	}
	if concealed := gate.ConcealAuthorization(r, opaque.IsServerSecret); concealed != nil {
		before, _ := request.Vars(r)[ConcealedVar].(*gate.Concealed)
		caddyhttp.SetVar(r.Context(), ConcealedVar, before.Join(concealed))
	}
}

// CleanOriginal takes credentials out of what Caddy keeps of the request as it came: php_fastcgi
// makes REQUEST_URI of it, error routes get it back, and placeholders and templates show it.
func (g *Gates) CleanOriginal(r *http.Request) {
	if !g.Credentials.InQuery() {
		return
	}
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok {
		return
	}
	query, dropped := weburl.DropNestedParameters(original.URL.RawQuery, g.Credentials.NamesParameter)
	dropped = append(dropped, weburl.EscapedParameters(original.URL.RawQuery, g.Credentials.NamesParameter)...)
	uri := weburl.DropParametersIn(original.RequestURI, g.Credentials.NamesParameter)
	if len(dropped) == 0 && uri == original.RequestURI {
		return
	}
	g.Credentials.EraseParameters(r, dropped) // a rewrite may have made a parameter of the whole URL
	eraser := weburl.NewEraser(dropped, g.Credentials.Issued)
	query, uri = eraser.Erase(query), eraser.Erase(uri)
	original.URL.RawQuery = query // shared with every copy of the request
	original.RequestURI = uri
	*r = *r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.request.orig_uri", uri) // the replacer may hold another copy of the request
	}
}

// cleanTarget takes credentials out of an address to which a browser is led, also out of URLs that
// stand escaped in its parameters. A fragment never leaves the browser and stays.
func (g *Gates) cleanTarget(target string) string {
	if !g.Credentials.InQuery() {
		return target
	}
	uri, fragment, hasFragment := strings.Cut(target, "#")

	// What a nested URL repeats shows only when it is unescaped, and is erased as it is written.
	_, query, _ := strings.Cut(uri, "?")
	_, dropped := weburl.DropNestedParameters(query, g.Credentials.NamesParameter)
	dropped = append(dropped, weburl.EscapedParameters(query, g.Credentials.NamesParameter)...)
	uri = weburl.DropParametersIn(uri, g.Credentials.NamesParameter)
	if address, query, found := strings.Cut(uri, "?"); found && len(dropped) > 0 {
		uri = address + "?" + weburl.NewEraser(dropped, g.Credentials.Issued).Erase(query)
	}

	if hasFragment {
		uri += "#" + fragment
	}
	return uri
}
