package sqlstore

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

var _ project.Store = (*Store)(nil)

// projectSet is what a change may set, in the order of projectRow.
const projectSet = `name, active, declared, audiences, refresh_window, refresh_check, keep_refresh,
	revoke_all_on_logout, access_token_format, fixed_refresh, reuse_interval, ` + lifetimeColumns

const projectColumns = `id, slug, version, created, changed, ` + projectSet

const projectKey = projectSet + `, id, slug, created, changed`

var addProject = `INSERT INTO project (` + projectKey + `, version) VALUES (` + parameters(projectKey) + `, 1)
	ON CONFLICT DO NOTHING`

var changeProject = changeRow("project", projectSet)

// projectRow are the values of projectSet.
func projectRow(p project.Project) []any {
	format, fixed, reuse := tokenOptionColumns(p.TokenOptions)
	row := []any{
		p.Name, switchOf(p.Active), switchOf(p.Declared), listText(p.Audiences),
		p.RefreshWindow.Milliseconds(), p.RefreshCheck.Milliseconds(),
		switchColumn(opposite(p.RevokeRefreshOnPasswordChange)), switchColumn(p.RevokeAllOnLogout),
		format, fixed, reuse,
	}
	return append(row, lifetimeValues(p.Lifetimes, p.Override)...)
}

// projectScan is a row of projects on its way to a project.Project.
type projectScan struct {
	project.Project
	audiences                       string
	lifetimes                       lifetimeRow
	tokens                          tokenRow
	window, check, created, changed int64
	active, declared, keep, all     int64
}

// into are the targets of projectColumns.
func (r *projectScan) into() []any {
	return append([]any{
		&r.ID, &r.Slug, &r.Version, &r.created, &r.changed, &r.Name, &r.active, &r.declared, &r.audiences,
		&r.window, &r.check, &r.keep, &r.all, &r.tokens.format, &r.tokens.fixed, &r.tokens.reuse,
	}, r.lifetimes.into()...)
}

func (r *projectScan) project() (project.Project, error) {
	p := r.Project
	p.Active, p.Declared, p.TokenOptions = r.active > 0, r.declared > 0, r.tokens.options()
	p.RevokeRefreshOnPasswordChange, p.RevokeAllOnLogout = opposite(switchIn(r.keep)), switchIn(r.all)
	p.Lifetimes, p.Override = r.lifetimes.lifetimes()
	p.RefreshWindow, p.RefreshCheck = time.Duration(r.window)*time.Millisecond, time.Duration(r.check)*time.Millisecond
	p.Created, p.Changed = instant(r.created), instant(r.changed)
	var err error
	p.Audiences, err = textList(r.audiences)
	return p, err
}

func scanProject(row rows) (project.Project, error) {
	var r projectScan
	if err := row.Scan(r.into()...); err != nil {
		return project.Project{}, failure(err)
	}
	return r.project()
}

// AddProject stores a new project; see project.Store.
func (s *Store) AddProject(ctx context.Context, p project.Project) error {
	return s.write(ctx, func(t tx) error { return insertProject(t, p) })
}

func insertProject(t tx, p project.Project) error {
	n, err := t.exec(addProject, append(projectRow(p), p.ID, p.Slug, millis(p.Created), millis(p.Created))...)
	if err == nil && n == 0 {
		err = project.ErrTaken
	}
	return err
}

// FindProject returns the project of that id or slug; see project.Store. No slug has the form of an
// id.
func (s *Store) FindProject(ctx context.Context, idOrSlug string) (project.Project, error) {
	db, err := s.database()
	if err != nil {
		return project.Project{}, err
	}
	return findProject(ctx, db, idOrSlug)
}

func findProject(ctx context.Context, q querier, idOrSlug string) (project.Project, error) {
	return oneRow(ctx, q, scanProject, project.ErrNoProject,
		`SELECT `+projectColumns+` FROM project WHERE id = $1 OR slug = $1`, idOrSlug)
}

// ListProjects returns projects by slug; see project.Store.
func (s *Store) ListProjects(ctx context.Context, page project.Page) ([]project.Project, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	return eachRow(ctx, db, scanProject,
		`SELECT `+projectColumns+` FROM project WHERE slug > $1 ORDER BY slug LIMIT $2`, page.After, page.Limit)
}

// ChangeProject stores p over the version it was read at; see project.Store.
func (s *Store) ChangeProject(ctx context.Context, p project.Project, now time.Time) (project.Project, error) {
	var after project.Project
	err := s.write(ctx, func(t tx) error {
		standing, err := findProject(ctx, t, p.ID)
		switch {
		case err != nil:
			return err
		case standing.Slug == project.Default && !p.Active:
			return project.ErrIsDefault
		}
		p.Slug, p.Declared = standing.Slug, standing.Declared
		p.Lifetimes, p.Created = standing.Lifetimes, standing.Created
		after, err = updateProject(t, p, now)
		return err
	})
	return after, err
}

// updateProject sets the row of p if it still has p's version.
func updateProject(t tx, p project.Project, now time.Time) (project.Project, error) {
	n, err := t.exec(changeProject, append(projectRow(p), millis(now), p.ID, p.Version)...)
	if err != nil {
		return project.Project{}, err
	}
	if n == 0 {
		return project.Project{}, project.ErrChanged
	}
	p.Version++
	p.Changed = instant(millis(now))
	return p, nil
}

// RemoveProject removes a project and what belongs to it; see project.Store.
func (s *Store) RemoveProject(ctx context.Context, id string, version int64) error {
	return s.write(ctx, func(t tx) error {
		p, err := findProject(ctx, t, id)
		switch {
		case err != nil:
			return err
		case p.Declared:
			return project.ErrDeclared
		case p.Slug == project.Default:
			return project.ErrIsDefault
		case version != 0 && p.Version != version:
			return project.ErrChanged
		}
		n, err := t.exec(`DELETE FROM project WHERE id = $1 AND version = $2 AND declared = 0`, p.ID, p.Version)
		if err == nil && n == 0 {
			return project.ErrChanged
		}
		if err == nil {
			_, err = t.exec(`DELETE FROM api_token WHERE project = $1`, p.Slug)
		}
		return err
	})
}

// holdProject keeps a project from being removed until the end of the transaction, and reports
// whether it exists.
func holdProject(t tx, slug string) (bool, error) {
	n, err := t.exec(`UPDATE project SET slug = slug WHERE slug = $1`, slug)
	return n > 0, err
}

// switchOf is a switch as it is stored.
func switchOf(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// listText is a list as it is stored.
func listText(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings can be written
	}
	return string(text)
}

func textList(text string) (list []string, err error) {
	if text == "[]" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &list)
	return slices.Clip(list), err // it may be shared, so nothing is appended in place
}

// claimsText is claims as they are stored; they were checked before.
func claimsText(claims map[string]any) (string, error) {
	if len(claims) == 0 {
		return "{}", nil
	}
	text, err := json.Marshal(claims)
	return string(text), err
}

// sameClaims compares claims as they are stored.
func sameClaims(a, b map[string]any) bool {
	before, errBefore := claimsText(a)
	after, errAfter := claimsText(b)
	return errBefore == nil && errAfter == nil && before == after
}

// textClaims reads stored claims and keeps all digits of numbers.
func textClaims(text string) (claims map[string]any, err error) {
	if text == "{}" {
		return nil, nil
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	return claims, dec.Decode(&claims)
}

// eachRow returns the rows of a query as scan reads them.
func eachRow[T any](ctx context.Context, q querier, scan func(rows) (T, error), query string,
	args ...any) ([]T, error) {
	if !findable(args) {
		return nil, nil
	}
	found, err := q.query(ctx, query, args...)
	if err != nil {
		return nil, failure(err)
	}
	defer found.Close()
	var list []T
	for found.Next() {
		element, err := scan(found)
		if err != nil {
			return nil, err
		}
		list = append(list, element)
	}
	return list, failure(found.Err())
}

// oneRow returns the only row of a query as scan reads it, or the error none.
func oneRow[T any](ctx context.Context, q querier, scan func(rows) (T, error), none error, query string,
	args ...any) (T, error) {
	list, err := eachRow(ctx, q, scan, query, args...)
	if err == nil && len(list) == 0 {
		err = none
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return list[0], nil
}
