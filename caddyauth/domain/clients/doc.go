// Package clients owns OAuth clients: the programs of a project that get tokens, what they may ask
// for, and how they prove who they are.
//
// It knows no HTTP, no database and no configuration: package manage edits its values, the store
// keeps them, and the Caddyfile can declare them.
package clients
