// Package project owns projects (tenants), their clients, and how long tokens are good for: a
// lifetime is the client's, else the project's, else the server's, else the default, and always
// within the operator's limits. It also owns who may administer all this by program (API tokens and
// their abilities) and the form of the record of what was done.
//
// It knows no HTTP, no database and no configuration: the room manage asks its questions, the store
// keeps its values, the face declares them.
package project
