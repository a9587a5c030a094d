package manage

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// route is one operation of the API.
type route struct {
	method  string
	pattern string // beneath Base; {id} is one segment
	ability string // what the caller must have; "" for everybody
	action  string // the word of the audit trail
	serve   func(*call) (reply, error)
}

// routes is the API. The settings ask for the ability `create` for reading and for changing.
var routes = []route{
	{http.MethodGet, "/api/openapi.json", "", "openapi.read", (*call).getOpenAPI},

	{http.MethodGet, "/api/projects", project.Read, "project.list", (*call).listProjects},
	{http.MethodPost, "/api/projects", project.Create, "project.create", (*call).createProject},
	{http.MethodGet, "/api/projects/{id}", project.Read, "project.read", (*call).getProject},
	{http.MethodPatch, "/api/projects/{id}", project.Update, "project.update", (*call).patchProject},
	{http.MethodDelete, "/api/projects/{id}", project.Delete, "project.delete", (*call).deleteProject},
	{http.MethodGet, "/api/projects/{id}/settings/jwt-ttl", project.Create, "project.settings.read", (*call).getProjectTTL},
	{http.MethodPatch, "/api/projects/{id}/settings/jwt-ttl", project.Create, "project.settings", (*call).patchProjectTTL},

	{http.MethodGet, "/api/clients", project.Read, "client.list", (*call).listClients},
	{http.MethodPost, "/api/clients", project.Create, "client.create", (*call).createClient},
	{http.MethodGet, "/api/clients/{id}", project.Read, "client.read", (*call).getClient},
	{http.MethodPatch, "/api/clients/{id}", project.Update, "client.update", (*call).patchClient},
	{http.MethodDelete, "/api/clients/{id}", project.Delete, "client.delete", (*call).deleteClient},
	{http.MethodPost, "/api/clients/{id}/secret", project.Update, "client.secret", (*call).renewClientSecret},
	{http.MethodGet, "/api/clients/{id}/settings/token-ttl", project.Create, "client.settings.read", (*call).getClientTTL},
	{http.MethodPatch, "/api/clients/{id}/settings/token-ttl", project.Create, "client.settings", (*call).patchClientTTL},

	{http.MethodGet, "/api/users", project.Read, "user.list", (*call).listUsers},
	{http.MethodPost, "/api/users", project.Create, "user.create", (*call).createUser},
	{http.MethodGet, "/api/users/{id}", project.Read, "user.read", (*call).getUser},
	{http.MethodPatch, "/api/users/{id}", project.Update, "user.update", (*call).patchUser},
	{http.MethodDelete, "/api/users/{id}", project.Delete, "user.delete", (*call).deleteUser},
	{http.MethodPut, "/api/users/{id}/password", project.Update, "user.password", (*call).putPassword},

	{http.MethodGet, "/api/tokens", project.Admin, "api_token.list", (*call).listTokens},
	{http.MethodPost, "/api/tokens", project.Admin, "api_token.create", (*call).createToken},
	{http.MethodGet, "/api/tokens/{id}", project.Admin, "api_token.read", (*call).getToken},
	{http.MethodDelete, "/api/tokens/{id}", project.Admin, "api_token.revoke", (*call).revokeToken},

	{http.MethodGet, "/api/audit", project.Admin, "audit.list", (*call).listEntries},
}

// find returns the routes of a path.
func (s *Server) find(path string) []route {
	rest, ok := strings.CutPrefix(path, s.Base.Path)
	if !ok || !strings.HasPrefix(rest, "/api/") {
		return nil
	}
	served := routes
	if s.Operator != nil {
		served = slices.Concat(routes, operatorRoutes)
	}
	var found []route
	for _, r := range served {
		if _, ok := match(r.pattern, rest); ok {
			found = append(found, r)
		}
	}
	return found
}

// match holds a path against a pattern and returns what stands for {id}.
func match(pattern, path string) (id string, ok bool) {
	before, after, variable := strings.Cut(pattern, "{id}")
	if !variable {
		return "", pattern == path
	}
	rest, begins := strings.CutPrefix(path, before)
	id, ends := strings.CutSuffix(rest, after)
	return id, begins && ends && id != "" && !strings.Contains(id, "/")
}

// choose takes the route of the request's method.
func (c *call) choose(found []route) bool {
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	i := slices.IndexFunc(found, func(r route) bool { return r.method == method })
	if i < 0 {
		return false
	}
	c.route = found[i]
	c.id, _ = match(c.route.pattern, strings.TrimPrefix(c.r.URL.Path, c.Base.Path))
	return true
}

func allow(found []route) string {
	var methods []string
	for _, r := range found {
		methods = append(methods, r.method)
		if r.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}
