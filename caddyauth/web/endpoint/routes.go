package endpoint

import (
	"net/http"
	"slices"
	"strings"
)

// Route is one operation of a server: a method at a path.
type Route[H any] struct {
	// Method is the method of the operation. GET answers HEAD too.
	Method string

	// Path is the path below the server's public URL. It may contain one `{name}`, which stands for
	// one segment that is not empty; http.Request.PathValue returns that segment.
	Path string

	// Handler is what the server does for the operation.
	Handler H

	// AnyOrigin says that pages of any origin may call the operation and read the answer. It must
	// not depend on cookies.
	AnyOrigin bool
}

// Routes are the operations of a server. Operations at one path differ in their methods.
type Routes[H any] []Route[H]

// Rule is what of an operation is to be known outside its server: which method it has at which path,
// and whether pages of any origin may call it. The fields are those of Route.
type Rule struct {
	Method    string
	Path      string
	AnyOrigin bool
}

// Rules lists the operations without their handlers.
func (rs Routes[H]) Rules() []Rule {
	rules := make([]Rule, len(rs))
	for i, r := range rs {
		rules[i] = Rule{Method: r.Method, Path: r.Path, AnyOrigin: r.AnyOrigin}
	}
	return rules
}

// Handles reports whether an operation is at the path, as in URL.Path. base is the path of the
// public URL, "" or "/auth".
func (rs Routes[H]) Handles(base, path string) bool {
	below, ok := strings.CutPrefix(path, base)
	return ok && slices.ContainsFunc(rs, func(r Route[H]) bool { return r.isAt(below) })
}

// Match returns the operation that a request is for, with status 0. Otherwise the operation is
// empty, and the status says why:
//
//   - 404: there is no operation at the path
//   - 405: there are operations at the path, but not of this method; the header Allow is set
//   - 204: the request was a preflight of CORS, and was answered
func (rs Routes[H]) Match(w http.ResponseWriter, r *http.Request, base string) (route Route[H], status int) {
	below, ok := strings.CutPrefix(r.URL.Path, base)
	if !ok {
		return Route[H]{}, http.StatusNotFound
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}

	// All operations at the path are looked at: a refusal lists their methods.
	var allowed []string
	anyOrigin := false
	for _, candidate := range rs {
		if !candidate.isAt(below) {
			continue
		}
		if candidate.Method == method {
			candidate.admit(w, r, below)
			return candidate, 0
		}
		allowed = append(allowed, candidate.Method)
		anyOrigin = anyOrigin || candidate.AnyOrigin
	}
	if allowed == nil {
		return Route[H]{}, http.StatusNotFound
	}
	return Route[H]{}, refuseMethod(w, r, allowed, anyOrigin)
}

// Find is Match for a server that has nothing to say in a refusal: it answers by itself whatever is for
// no operation. ok is false then.
func (rs Routes[H]) Find(w http.ResponseWriter, r *http.Request, base string) (route Route[H], ok bool) {
	route, status := rs.Match(w, r, base)
	if status != 0 && status != http.StatusNoContent { // a preflight was answered
		WriteJSON(w, status, nil)
	}
	return route, status == 0
}

// admit prepares the request and the answer for the operation.
func (r Route[H]) admit(w http.ResponseWriter, req *http.Request, below string) {
	if r.AnyOrigin {
		allowAnyOrigin(w.Header())
	}
	if name, segment, _ := r.segment(below); name != "" {
		req.SetPathValue(name, segment)
	}
}

// isAt reports whether the operation is at a path below the public URL.
func (r Route[H]) isAt(below string) bool {
	if !strings.Contains(r.Path, "{") {
		return r.Path == below
	}
	_, _, ok := r.segment(below)
	return ok
}

// segment returns the name in the path and the segment of below that it stands for.
func (r Route[H]) segment(below string) (name, segment string, ok bool) {
	before, rest, ok := strings.Cut(r.Path, "{")
	if !ok {
		return "", "", false
	}
	name, after, _ := strings.Cut(rest, "}")
	segment, ok = strings.CutPrefix(below, before)
	if !ok {
		return "", "", false
	}
	segment, ok = strings.CutSuffix(segment, after)
	return name, segment, ok && segment != "" && !strings.Contains(segment, "/")
}

// refuseMethod answers a preflight where other origins may call, and otherwise sets Allow.
func refuseMethod(w http.ResponseWriter, r *http.Request, allowed []string, anyOrigin bool) (status int) {
	if anyOrigin {
		allowAnyOrigin(w.Header())
		allowed = append(allowed, http.MethodOptions)
	}
	if anyOrigin && r.Method == http.MethodOptions {
		answerPreflight(w)
		return http.StatusNoContent
	}
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return http.StatusMethodNotAllowed
}
