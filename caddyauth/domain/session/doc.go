// Package session owns what outlives an access token: grants (families of refresh tokens), the rule
// by which a refresh token is used up and replaced, and the ways to end a grant.
//
// A grant is one row in the store, whatever the number of its refresh tokens: they are made from
// the family, a generation and a MAC (token.go), so that nothing secret is stored and a successor
// can be made again. The rule of their use stands in use.go; the store applies it in one atomic
// step. Service (service.go, revoke.go) is what other packages call. How a revocation reaches
// access tokens is owned by package revocation.
package session
