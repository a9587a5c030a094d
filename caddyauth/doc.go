// Package caddyauth is the gateway as a Caddy plugin: who imports it registers all its modules.
// Seven wings lie below it; what each of their packages owns says its doc.go, and
// docs/architecture.md says which may import which.
//
//	module   all that knows Caddy: the app, its settings, directives, commands
//	guard    a request on its way to an application
//	serve    what people and programs call
//	domain   who there is and what they may have
//	jose     keys and tokens
//	store    the database
//	web      what several packages ask of URLs and HTTP
//
// The Caddyfile, the JSON configuration, the HTTP endpoints and the command line are the product's
// interface. The Go packages are not: they change without notice.
package caddyauth
