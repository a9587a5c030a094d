package manage

import (
	"net/http"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// operation is what a route does.
type operation struct {
	ability string // what the caller must have; "" for everybody
	action  string // the word of the audit trail
	serve   func(*call) (reply, error)
}

// route writes an operation in one line of the tables.
func route(method, path, ability, action string, serve func(*call) (reply, error)) endpoint.Route[operation] {
	return endpoint.Route[operation]{Method: method, Path: path, Handler: operation{ability, action, serve}}
}

// routes is the API. The settings ask for the ability `create` for reading and for changing.
var routes = endpoint.Routes[operation]{
	route(http.MethodGet, "/api/openapi.json", "", "openapi.read", (*call).getOpenAPI),

	route(http.MethodGet, "/api/projects", project.Read, "project.list", (*call).listProjects),
	route(http.MethodPost, "/api/projects", project.Create, "project.create", (*call).createProject),
	route(http.MethodGet, "/api/projects/{id}", project.Read, "project.read", (*call).getProject),
	route(http.MethodPatch, "/api/projects/{id}", project.Update, "project.update", (*call).patchProject),
	route(http.MethodDelete, "/api/projects/{id}", project.Delete, "project.delete", (*call).deleteProject),
	route(http.MethodGet, "/api/projects/{id}/settings/jwt-ttl", project.Create, "project.settings.read", (*call).getProjectTTL),
	route(http.MethodPatch, "/api/projects/{id}/settings/jwt-ttl", project.Create, "project.settings", (*call).patchProjectTTL),

	route(http.MethodGet, "/api/clients", project.Read, "client.list", (*call).listClients),
	route(http.MethodPost, "/api/clients", project.Create, "client.create", (*call).createClient),
	route(http.MethodGet, "/api/clients/{id}", project.Read, "client.read", (*call).getClient),
	route(http.MethodPatch, "/api/clients/{id}", project.Update, "client.update", (*call).patchClient),
	route(http.MethodDelete, "/api/clients/{id}", project.Delete, "client.delete", (*call).deleteClient),
	route(http.MethodPost, "/api/clients/{id}/secret", project.Update, "client.secret", (*call).renewClientSecret),
	route(http.MethodGet, "/api/clients/{id}/settings/token-ttl", project.Create, "client.settings.read", (*call).getClientTTL),
	route(http.MethodPatch, "/api/clients/{id}/settings/token-ttl", project.Create, "client.settings", (*call).patchClientTTL),

	route(http.MethodGet, "/api/users", project.Read, "user.list", (*call).listUsers),
	route(http.MethodPost, "/api/users", project.Create, "user.create", (*call).createUser),
	route(http.MethodGet, "/api/users/{id}", project.Read, "user.read", (*call).getUser),
	route(http.MethodPatch, "/api/users/{id}", project.Update, "user.update", (*call).patchUser),
	route(http.MethodDelete, "/api/users/{id}", project.Delete, "user.delete", (*call).deleteUser),
	route(http.MethodPut, "/api/users/{id}/password", project.Update, "user.password", (*call).putPassword),

	route(http.MethodGet, "/api/tokens", project.Admin, "api_token.list", (*call).listTokens),
	route(http.MethodPost, "/api/tokens", project.Admin, "api_token.create", (*call).createToken),
	route(http.MethodGet, "/api/tokens/{id}", project.Admin, "api_token.read", (*call).getToken),
	route(http.MethodDelete, "/api/tokens/{id}", project.Admin, "api_token.revoke", (*call).revokeToken),

	route(http.MethodGet, "/api/audit", project.Admin, "audit.list", (*call).listEntries),
}

// routes are the operations of this server.
func (s *Server) routes() endpoint.Routes[operation] {
	if s.Operator != nil {
		return allRoutes
	}
	return routes
}

var allRoutes = slices.Concat(routes, operatorRoutes)
