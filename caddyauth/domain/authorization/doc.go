// Package authorization owns the authorization request of OAuth 2.1 and OpenID Connect: which
// parameters it may have and how it is refused, the codes that a person's agreement becomes, and the
// requests that clients push beforehand (RFC 9126). It knows no HTTP.
package authorization
