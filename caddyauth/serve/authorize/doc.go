// Package authorize owns the authorization endpoint of OAuth 2.1 and OpenID Connect, where a person's
// browser brings the request of a client, and the endpoint at which clients push requests beforehand
// (RFC 9126). The server keeps no state of a request before it has issued the code: the request stands
// in the address, and what was asked of the person meanwhile is noted there under a MAC (visit.go).
package authorize
