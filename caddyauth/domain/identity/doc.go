// Package identity owns who a person is and how a password proves it: users and the directory that
// finds them, the canonical form of account names, password hashes and the work spent on them, and
// the throttle that counts attempts before any of that work is done.
//
// It knows no HTTP and no configuration. Package login asks its questions; the Caddy layer fills
// the directory from the configuration; the store keeps the throttle.
package identity
