// Package authserver is the directive `auth_server` and its handler. It owns which requests of a
// site are the server's own, in whatever spelling, and what answers where there is no route. The
// endpoints themselves are the App's; see auth.App.Endpoints.
package authserver
