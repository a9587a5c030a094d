// Package manage owns the management API: projects, clients, users, their lifetimes, API tokens and
// the audit trail, as JSON over HTTP, for programs with an API token and for people who are signed
// in as administrators.
//
// The routes stand in one table (routes.go) with the ability that each needs; every call goes one
// way (server.go): find the route, say who calls, ask for the ability, read the body, do it, write
// the audit trail, answer. The OpenAPI document (openapi.json) describes every route, and the tests
// hold the answers against it.
//
// A Server with an Operator (operator.go) also has the routes of sessions, test tokens and signing
// keys. They are for whoever runs the server, and are not in the document.
//
// The package stores nothing and revokes nothing itself: the stores and the Revoker in Server do.
// No event holds a secret, and an answer only the secret that its caller has just created.
package manage
