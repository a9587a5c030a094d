// Package oauth owns the authorization server's endpoints for programs, one file per RFC: /token
// (token.go, RFC 6749), /revoke (revoke.go, RFC 7009) and /introspect (introspect.go, RFC 7662).
// How a client authenticates is in package clientauth. What a grant
// allows is decided in package session; this package speaks the protocol.
package oauth
