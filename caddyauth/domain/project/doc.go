// Package project owns projects (tenants), and how long tokens are valid: a lifetime is the
// client's, else the project's, else the server's, else the default, and always within the
// operator's limits. Clients are in package clients.
//
// It knows no HTTP, no database and no configuration: package manage edits its values, the store
// keeps them, and the Caddyfile can declare them.
package project
