// Package apitoken owns API tokens: the secrets by which programs call the management API, and the
// abilities that say which calls a token permits.
package apitoken
