package clients

import (
	"context"
	"errors"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// ErrNotFound says that there is no such client.
var ErrNotFound = errors.New("no such client")

// Store is what keeps clients. Every verb is one atomic step; times are kept in milliseconds.
type Store interface {
	// AddClient stores a new client as version 1. project.ErrTaken when the id is in use in any
	// project, project.ErrNoProject.
	AddClient(ctx context.Context, c Client) error

	// FindClient returns the client of that id, or ErrNotFound.
	FindClient(ctx context.Context, id string) (Client, error)

	// ListClients returns clients by id: those of the project of that slug, or all when it is
	// empty.
	ListClients(ctx context.Context, slug string, page project.Page) ([]Client, error)

	// ChangeClient stores c over the client of the same id if that still has c.Version, and returns
	// it with its new version and time. Id, project, the time it was created, what is declared and
	// whether it is are not changed. Other claims deny the access tokens that were made before, in
	// the same step; sessions go on. ErrNotFound, project.ErrChanged.
	ChangeClient(ctx context.Context, c Client, now time.Time) (Client, error)

	// RemoveClient removes a client if it has that version (0: any). ErrNotFound,
	// project.ErrChanged, project.ErrDeclared. Whatever was issued must have been revoked before.
	RemoveClient(ctx context.Context, id string, version int64) error
}

// AssertionStore says what the metadata of the server has to know of clients.
type AssertionStore interface {
	// AnyAsserting reports whether there is an active client with IdentityAssertions.
	AnyAsserting(ctx context.Context) (bool, error)
}
