package project

import (
	"context"
	"errors"
	"time"
)

// What a store answers when a verb cannot be carried out. Every other error means that the store
// could not be asked.
var (
	// ErrNoProject says that there is no such project.
	ErrNoProject = errors.New("no such project")

	// ErrTaken says that the slug, or a client's id, is in use.
	ErrTaken = errors.New("the name is taken")

	// ErrChanged says that another caller was faster: the row no longer has the version that the
	// change is for.
	ErrChanged = errors.New("it was changed meanwhile")

	// ErrDeclared says that the Caddyfile declares it, so that it cannot be removed here.
	ErrDeclared = errors.New("the Caddyfile declares it")

	// ErrIsDefault says that the project `default` cannot be removed or paused.
	ErrIsDefault = errors.New("the project default always exists")
)

// Page is a part of a list that is ordered by name.
type Page struct {
	// After is the name of the last element of the page before. Default: the list begins.
	After string

	// Limit is how many elements to return at most. Required.
	Limit int
}

// Store is what keeps projects. Every verb is one atomic step; times are kept in
// milliseconds.
type Store interface {
	// AddProject stores a new project as version 1. ErrTaken when the slug or the id is in use.
	AddProject(ctx context.Context, p Project) error

	// FindProject returns the project of that id or slug, or ErrNoProject.
	FindProject(ctx context.Context, idOrSlug string) (Project, error)

	// ListProjects returns projects by slug.
	ListProjects(ctx context.Context, page Page) ([]Project, error)

	// ChangeProject stores p over the project of the same id if that still has p.Version, and
	// returns it with its new version and time. Id, slug, the time it was created, what is declared
	// and whether it is are not changed. ErrNoProject, ErrChanged; ErrIsDefault when it would pause
	// the default project.
	ChangeProject(ctx context.Context, p Project, now time.Time) (Project, error)

	// RemoveProject removes a project with its users, clients and API tokens if it has that version
	// (0: any). ErrNoProject, ErrChanged, ErrDeclared, ErrIsDefault. Whatever was issued must have
	// been revoked before.
	RemoveProject(ctx context.Context, id string, version int64) error
}
