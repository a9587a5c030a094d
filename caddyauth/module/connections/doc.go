// Package connections limits how many connections clients may hold: the listener wrapper
// `auth_connections`, and the warning about a limit of open files that idle clients can use up.
package connections
