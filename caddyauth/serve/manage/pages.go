package manage

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// The number of elements that a list returns at once.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// query is the query of a list, without duplicate and unknown parameters.
type query struct {
	values url.Values
	after  string
	limit  int
}

// list is a part of a list.
type list[E any] struct {
	Items []E     `json:"items"`
	Next  *string `json:"next_cursor"`
}

// query reads limit, cursor and the filters of a list.
func (c *call) query(filters ...string) (query, error) {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return query{}, refuse(http.StatusBadRequest, "invalid_request", "the query is malformed")
	}
	q := query{values: values, limit: defaultLimit}
	for name, given := range values {
		if name != "limit" && name != "cursor" && !slices.Contains(filters, name) {
			return query{}, invalid("%.70q: unknown parameter", name)
		}
		if len(given) > 1 {
			return query{}, invalid("duplicate parameter %q", name)
		}
	}
	if text := values.Get("limit"); text != "" {
		q.limit, err = strconv.Atoi(text)
		if err != nil || q.limit < 1 || q.limit > maxLimit {
			return query{}, invalid("limit: %.20q is not between 1 and %d", text, maxLimit)
		}
	}
	after, err := base64.RawURLEncoding.DecodeString(values.Get("cursor"))
	if err != nil || len(after) > 1024 {
		return query{}, invalid("cursor: not a cursor of this list")
	}
	q.after = string(after)
	return q, nil
}

// time reads a filter that is a time (RFC 3339).
func (q query) time(name string) (time.Time, error) {
	text := q.values.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, invalid("%s: %.40q is not a time of RFC 3339", name, text)
	}
	return t, nil
}

// listOfProject answers with a list that can be narrowed to one project; key is the cursor of an
// element.
func listOfProject[T, E any](
	c *call,
	find func(ctx context.Context, slug string, page project.Page) ([]T, error),
	show func(T) (E, error),
	key func(E) string,
) (reply, error) {
	q, err := c.query("project")
	if err != nil {
		return reply{}, err
	}
	slug, err := c.projectFilter(q)
	if err != nil {
		return reply{}, err
	}
	found, err := find(c.r.Context(), slug, project.Page{After: q.after, Limit: q.limit + 1})
	if err != nil {
		return reply{}, err
	}
	shown := make([]E, len(found))
	for i, element := range found {
		if shown[i], err = show(element); err != nil {
			return reply{}, err
		}
	}
	return listOf(shown, q.limit, func(e E) E { return e }, key), nil
}

// listOf makes the answer of a list that was read with one element more than the limit; key is the
// cursor of an element.
func listOf[T, E any](found []T, limit int, show func(T) E, key func(T) string) reply {
	out := list[E]{Items: make([]E, 0, min(len(found), limit))}
	if len(found) > limit {
		found = found[:limit]
		next := base64.RawURLEncoding.EncodeToString([]byte(key(found[limit-1])))
		out.Next = &next
	}
	for _, element := range found {
		out.Items = append(out.Items, show(element))
	}
	return reply{status: http.StatusOK, body: out}
}
