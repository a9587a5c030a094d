package request

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Vars returns the variables that Caddy keeps with a request; nil where there are none.
func Vars(r *http.Request) map[string]any {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	return vars
}

// Replacer returns what answers the placeholders of a request.
func Replacer(r *http.Request) *caddy.Replacer {
	repl, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	return repl
}

// OriginalURL returns the URL as the client sent it, before the site rewrote it.
func OriginalURL(r *http.Request) *url.URL {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.URL
	}
	return r.URL
}

// OriginalURI returns path and query byte for byte as the client sent them.
func OriginalURI(r *http.Request) string {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.URL == nil {
		return r.URL.RequestURI()
	}
	if strings.HasPrefix(original.RequestURI, "/") {
		return original.RequestURI
	}
	return original.URL.RequestURI()
}

// ClientIP is the address that Caddy takes for the client's, with `trusted_proxies` in mind.
func ClientIP(r *http.Request) string { return ClientIPOf(r.Context()) }

// ClientIPOf is ClientIP for the context of a request.
func ClientIPOf(ctx context.Context) string {
	ip, _ := caddyhttp.GetVar(ctx, caddyhttp.ClientIPVarKey).(string)
	return ip
}

// HasErrorRoutes reports whether the operator wants to answer errors.
func HasErrorRoutes(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && server.Errors != nil && len(server.Errors.Routes) > 0
}

// ClientURL returns the URL of a request as its client sees it, without query: behind a trusted
// proxy with the scheme and host that this says.
func ClientURL(r *http.Request) string {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		if said := r.Header["X-Forwarded-Proto"]; len(said) == 1 && (said[0] == "http" || said[0] == "https") {
			scheme = said[0]
		}
		if said := r.Header["X-Forwarded-Host"]; len(said) == 1 && said[0] != "" {
			host = said[0]
		}
	}
	return scheme + "://" + host + OriginalURL(r).EscapedPath()
}
