// Package oauth owns the authorization server's endpoints for programs, and access tokens that are
// references.
//
// Server answers the endpoints, one file per RFC: /token (token.go, RFC 6749), /revoke (revoke.go,
// RFC 7009) and /introspect (introspect.go, RFC 7662). How a client proves who it is stands in
// client.go, the form of errors in answer.go. What is asked of grants is decided in the room
// session; this room speaks the protocol.
//
// Opaque (opaque.go) makes access tokens that say nothing by themselves and looks them up again;
// Foreign (foreign.go) asks the introspection endpoint of another issuer about its tokens. Both
// answer like a token.Verifier, so that a gate judges their tokens as it judges JWTs, and both
// remember answers for a short while (answers.go). What is remembered is what a token is, which is
// the same for everybody; what a caller of /introspect may learn of it is decided anew for each
// call. Foreign's answers depend on the credentials it asks with, and every Foreign has a memory of
// its own.
package oauth
