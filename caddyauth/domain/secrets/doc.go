// Package secrets owns secrets of 256 random bits: how they are made, and the hash that a store
// keeps of them. Passwords, which people choose, are in package identity.
package secrets
