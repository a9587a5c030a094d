package manage

import (
	"net/http"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
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

	route(http.MethodGet, "/api/projects", apitoken.Read, "project.list", (*call).listProjects),
	route(http.MethodPost, "/api/projects", apitoken.Create, "project.create", (*call).createProject),
	route(http.MethodGet, "/api/projects/{id}", apitoken.Read, "project.read", (*call).getProject),
	route(http.MethodPatch, "/api/projects/{id}", apitoken.Update, "project.update", (*call).patchProject),
	route(http.MethodDelete, "/api/projects/{id}", apitoken.Delete, "project.delete", (*call).deleteProject),
	route(http.MethodGet, "/api/projects/{id}/settings/lifetimes", apitoken.Create, "project.settings.read",
		(*call).getProjectLifetimes),
	route(http.MethodPatch, "/api/projects/{id}/settings/lifetimes", apitoken.Create, "project.settings",
		(*call).patchProjectLifetimes),
	route(http.MethodGet, "/api/projects/{id}/settings/jwt-ttl", apitoken.Create, "project.settings.read",
		(*call).getProjectTTL),
	route(http.MethodPatch, "/api/projects/{id}/settings/jwt-ttl", apitoken.Create, "project.settings",
		(*call).patchProjectTTL),

	route(http.MethodGet, "/api/clients", apitoken.Read, "client.list", (*call).listClients),
	route(http.MethodPost, "/api/clients", apitoken.Create, "client.create", (*call).createClient),
	route(http.MethodGet, "/api/clients/{id}", apitoken.Read, "client.read", (*call).getClient),
	route(http.MethodPatch, "/api/clients/{id}", apitoken.Update, "client.update", (*call).patchClient),
	route(http.MethodDelete, "/api/clients/{id}", apitoken.Delete, "client.delete", (*call).deleteClient),
	route(http.MethodPost, "/api/clients/{id}/secret", apitoken.Update, "client.secret", (*call).renewClientSecret),
	route(http.MethodPost, "/api/clients/{id}/secrets", apitoken.Update, "client.secret.add", (*call).addClientSecret),
	route(http.MethodDelete, "/api/clients/{id}/secrets", apitoken.Update, "client.secret.remove",
		(*call).removeClientSecret),
	route(http.MethodGet, "/api/clients/{id}/settings/lifetimes", apitoken.Create, "client.settings.read",
		(*call).getClientLifetimes),
	route(http.MethodPatch, "/api/clients/{id}/settings/lifetimes", apitoken.Create, "client.settings",
		(*call).patchClientLifetimes),
	route(http.MethodGet, "/api/clients/{id}/settings/token-ttl", apitoken.Create, "client.settings.read",
		(*call).getClientTTL),
	route(http.MethodPatch, "/api/clients/{id}/settings/token-ttl", apitoken.Create, "client.settings",
		(*call).patchClientTTL),

	route(http.MethodGet, "/api/users", apitoken.Read, "user.list", (*call).listUsers),
	route(http.MethodPost, "/api/users", apitoken.Create, "user.create", (*call).createUser),
	route(http.MethodGet, "/api/users/{id}", apitoken.Read, "user.read", (*call).getUser),
	route(http.MethodPatch, "/api/users/{id}", apitoken.Update, "user.update", (*call).patchUser),
	route(http.MethodDelete, "/api/users/{id}", apitoken.Delete, "user.delete", (*call).deleteUser),
	route(http.MethodPut, "/api/users/{id}/password", apitoken.Update, "user.password", (*call).putPassword),

	route(http.MethodGet, "/api/consents", apitoken.Read, "consent.list", (*call).listConsents),
	route(http.MethodDelete, "/api/consents/{id}", apitoken.Delete, "consent.withdraw", (*call).withdrawConsent),

	route(http.MethodGet, "/api/tokens", apitoken.Admin, "api_token.list", (*call).listTokens),
	route(http.MethodPost, "/api/tokens", apitoken.Admin, "api_token.create", (*call).createToken),
	route(http.MethodGet, "/api/tokens/{id}", apitoken.Admin, "api_token.read", (*call).getToken),
	route(http.MethodDelete, "/api/tokens/{id}", apitoken.Admin, "api_token.revoke", (*call).revokeToken),

	route(http.MethodGet, "/api/audit", apitoken.Admin, "audit.list", (*call).listEntries),
}

// routes are the operations of this server.
func (s *Server) routes() endpoint.Routes[operation] {
	if s.Operator != nil {
		return allRoutes
	}
	return routes
}

var allRoutes = slices.Concat(routes, operatorRoutes)
