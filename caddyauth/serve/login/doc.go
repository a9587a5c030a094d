// Package login owns how a person, or a program that knows a person's password, proves who they
// are: the sign-in form, the same as JSON, the API login, signing out, the session cookie, and the
// addresses that a sign-in may lead back to.
//
// It mints and revokes nothing itself: the functions in Server do, and the Caddy layer sets them.
// Every answer carries no-store; every refusal has one stable word that stands in the answer, in
// the event and so in logs and metrics. No event and no answer contains a password or a token,
// except the answer to a successful sign-in.
package login
