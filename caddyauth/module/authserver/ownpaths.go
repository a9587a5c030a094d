package authserver

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// managementPrefix is where programs call the server: the login API and the management API.
const managementPrefix = "/api"

// prefixesOf lists the paths that belong to the server where its public URL has no path, each with
// everything below it: the first segment of each route, and behind /.well-known, which the server
// shares with others, the second one, too. Below a path, everything is the server's.
func prefixesOf(endpoints []auth.Endpoint) (prefixes []string) {
	for _, e := range endpoints {
		for _, rule := range e.Rules() {
			prefix := firstSegments(rule.Path)
			if prefix != "/" && !slices.Contains(prefixes, prefix) {
				prefixes = append(prefixes, prefix)
			}
		}
	}
	return prefixes
}

func firstSegments(route string) string {
	first, rest, _ := strings.Cut(strings.TrimPrefix(route, "/"), "/")
	if first == ".well-known" {
		second, _, _ := strings.Cut(rest, "/")
		first += "/" + second
	}
	return "/" + first
}

// passOn hands the request to the application that shares the site, unless the path is the
// server's: a route that does not exist is answered here. The application would see the API token
// of a mistyped call, and could answer in the server's name.
func (s *AuthServer) passOn(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	route, ours := s.ownRoute(r.URL.Path)
	if !ours {
		vars := request.Vars(r)
		s.gates.PassOn(r, vars)
		guarded := browser.Guard(w, vars)
		err := next.ServeHTTP(guarded, r)
		guarded.Finish(w, err != nil && s.gates.Survey.AnswersErrors(r))
		return err
	}
	s.notFound(w, r, route)
	return nil
}

// ownRoute returns what follows the mount in a path that is the server's, in any spelling that an
// application could take for it.
func (s *AuthServer) ownRoute(requested string) (route string, ours bool) {
	route = lenientPath(requested)
	if !isBelow(route, s.mount) {
		return "", false
	}
	route = route[len(s.mount):]
	return route, s.mount != "" ||
		slices.ContainsFunc(s.prefixes, func(prefix string) bool { return isBelow(route, prefix) })
}

// isBelow says whether a path is the prefix or lies below it, whatever the case of its letters.
func isBelow(p, prefix string) bool {
	return len(p) >= len(prefix) && strings.EqualFold(p[:len(prefix)], prefix) &&
		(len(p) == len(prefix) || p[len(prefix)] == '/')
}

// lenientPath reads a path as the most careless application would: without path parameters, with
// backslashes for slashes, and cleaned. A path that has nothing of this is returned as it is,
// without an allocation.
func lenientPath(p string) string {
	if strings.ContainsAny(p, `;\`) {
		segments := strings.Split(strings.ReplaceAll(p, `\`, "/"), "/")
		for i, segment := range segments {
			segments[i], _, _ = strings.Cut(segment, ";")
		}
		p = strings.Join(segments, "/")
	}
	return path.Clean(p)
}

// notFound says that the server has no such route: as JSON, or as a page to a person's browser
// outside the APIs.
func (s *AuthServer) notFound(w http.ResponseWriter, r *http.Request, route string) {
	if !isBelow(route, managementPrefix) && gate.IsNavigation(r) {
		w.Header().Set("Cache-Control", "no-store")
		ui.Render(w, http.StatusNotFound, ui.Message{
			Site:  s.server.PublicURL.Host,
			Title: "Not found",
			Text:  "There is nothing here.",
			Code:  "not_found",
			Links: append([]ui.Link{{Text: "Go to the sign-in page", URL: s.mount + "/login"}}, s.homeLink()...),
		})
		return
	}
	endpoint.WriteError(w, http.StatusNotFound, "not_found", "nothing is at this address")
}
