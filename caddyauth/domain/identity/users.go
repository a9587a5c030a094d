package identity

import (
	"context"
	"errors"
	"time"
)

// ErrNoUser says that a directory has no user of that project and name.
var ErrNoUser = errors.New("no such user")

// User is one person (or account) of one project. Directories share the value between requests:
// nobody may change it after it was handed out.
type User struct {
	// Name is the account name as it was declared; it becomes the subject of tokens. People may
	// type any spelling that has the same canonical form.
	Name string

	// Project is the project the user belongs to.
	Project string

	// PasswordHash is the bcrypt or argon2id hash of the password, as `caddy hash-password` prints
	// it. Default: none, and such a user cannot sign in with a password.
	PasswordHash string

	// Disabled users cannot sign in; to the outside they look like unknown ones.
	Disabled bool

	// Claims are added to the user's tokens.
	Claims map[string]any

	// ID is the user's UUID in the store; empty for a user who is not stored.
	ID string

	// Declared users are configured in the Caddyfile: the API does not change them.
	Declared bool

	// Admin users are those whom the Caddyfile declares as administrators. The API makes none.
	Admin bool

	// Version counts the changes in the store, from 1.
	Version int64

	// Created and Changed are when the store took the user and changed the row last;
	// PasswordChanged is when the password became what it is, zero for a user who never had one.
	Created, Changed, PasswordChanged time.Time
}

// Directory finds users.
type Directory interface {
	// FindUser returns the user of the project whose canonical name is that of name. A user who does
	// not exist, and a name that has no canonical form, is ErrNoUser; every other error means that the
	// directory could not be asked. Disabled users are returned.
	FindUser(ctx context.Context, project, name string) (*User, error)
}
