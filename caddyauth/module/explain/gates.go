package explain

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
	"github.com/caddyauth/gateway/caddyauth/module/jwtauth"
)

// findGates lists what is allowed at a gate and should not be overlooked.
func findGates(ctx caddy.Context, _ *auth.App) (found []finding.Finding) {
	http, err := ctx.AppIfConfigured("http")
	if err != nil {
		return []finding.Finding{{Severity: finding.Warning, Text: "no site, so nothing is guarded"}}
	}
	gates := 0
	for name, server := range http.(*caddyhttp.App).Servers {
		eachGate(server.Routes, func(j *jwtauth.JWTAuth) {
			gates++
			found = append(found, findDangers("server "+name, j)...)
		})
	}
	if gates == 0 {
		found = append(found, finding.Finding{
			Severity: finding.Warning,
			Text:     "no site has a `jwt_auth`, so nothing is guarded",
		})
	}
	return found
}

// findDangers lists what one gate lets through although a stricter setting exists.
func findDangers(where string, j *jwtauth.JWTAuth) (found []finding.Finding) {
	where += ", gate " + j.Label()
	if j.ReportsOnly() {
		found = append(found, finding.Finding{
			Severity: finding.Warning,
			Where:    where,
			Text:     "it only reports: it refuses nothing and lets forged identity headers through",
		})
	}
	for _, f := range j.From {
		if f.Kind == "insecure_query" {
			found = append(found, finding.Finding{
				Severity: finding.Warning,
				Where:    where,
				Text: fmt.Sprintf("it takes tokens from the query parameter %q: URLs end up in logs and histories",
					f.Name),
			})
		}
	}
	return found
}

// eachGate calls f for every gate of the routes, however deep. `jwt_auth off` is not a gate.
func eachGate(routes caddyhttp.RouteList, f func(*jwtauth.JWTAuth)) {
	for _, route := range routes {
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *jwtauth.JWTAuth:
				if h.Gate() != nil {
					f(h)
				}
			case *caddyhttp.Subroute:
				eachGate(h.Routes, f)
			}
		}
	}
}
