package caddyauth

import (
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddyauth/gateway/caddyauth/gate"
)

// place is what a gate or filter knows about where it stands in the configuration's routes. The zero value is that of one which was not
// found there: paths decide, and something may have rewritten the request.
type place struct {
	paths     gate.PathForms
	untouched bool    // nothing in the site rewrites requests
	alone     bool    // nothing else in the site says who the user is
	guards    []guard // the gates of the site that only some requests meet; none where nothing rewrites requests
}

// guard is a gate with the conditions under which routes lead to it.
type guard struct {
	gate  *JWTAuth
	steps []step
}

// step is one route on the way to a gate, or a prefix that is taken off the path there.
type step struct {
	match  caddyhttp.MatcherSets
	unless []caddyhttp.MatcherSets // of earlier routes of the same group, which exclude this one
	strip  *rewrite.Rewrite
}

// pathForms are the spellings of a path that the settings let through.
func (j *JWTAuth) pathForms() gate.PathForms {
	return gate.PathForms{
		Parameters:     j.PathParameters,
		LeadingSlashes: j.PathLeadingSlashes,
		TrailingDots:   j.PathTrailingDots,
		Sessions:       j.PathSessions,
	}
}

// checkTarget judges what a filter passes on, and what the client asked for before something rewrote it.
func (j *JWTAuth) checkTarget(r *http.Request) error {
	if err := gate.CheckTarget(r, r.URL, j.place.paths); err != nil {
		return err
	}
	return j.checkOriginal(r)
}

// checkOriginal judges the URL that the client asked for where it is another one by now: php_fastcgi tells the application both. The
// gate judges the one of now itself.
func (j *JWTAuth) checkOriginal(r *http.Request) error {
	if _, original := j.rewritten(r); original != nil {
		return gate.CheckTarget(r, original, j.place.paths)
	}
	return nil
}

// rewritten returns method and URL as the client sent them when something has changed one of them since; no URL otherwise.
func (j *JWTAuth) rewritten(r *http.Request) (method string, u *url.URL) {
	if j.place.untouched {
		return "", nil
	}
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.URL == nil || original.Method == r.Method && sameTarget(original.URL, r.URL) {
		return "", nil
	}
	return original.Method, original.URL
}

func sameTarget(a, b *url.URL) bool {
	return a.Path == b.Path && a.RawPath == b.RawPath && a.RawQuery == b.RawQuery && a.Opaque == b.Opaque
}

// ranVar is where the gates are kept that have judged a rewritten request.
const ranVar = "caddyauth.gates"

// ran are gates of one request.
type ran struct{ gates []*JWTAuth }

// String says nothing: a placeholder may print every variable of a request.
func (*ran) String() string { return "gates" }

// missed returns the next gate that routes would have led the request to if nothing had rewritten it, and that has not judged it yet.
// `try_files` and `rewrite` run before gates, and a matcher sees the path that they make; the application may go by the one before.
func (j *JWTAuth) missed(r *http.Request, vars map[string]any) *JWTAuth {
	if len(j.place.guards) == 0 || j.reports() || vars == nil {
		return nil
	}
	method, original := j.rewritten(r)
	if original == nil {
		return nil
	}
	done, _ := vars[ranVar].(*ran)
	if done == nil {
		done = new(ran)
		vars[ranVar] = done
	}
	if !slices.Contains(done.gates, j) {
		done.gates = append(done.gates, j)
	}
	var before *http.Request
	for _, g := range j.place.guards {
		if slices.Contains(done.gates, g.gate) {
			continue
		}
		if before == nil {
			before = prepareAgain(r, method, original)
		}
		if g.guards(before) {
			done.gates = append(done.gates, g.gate)
			return g.gate
		}
	}
	return nil
}

// prepareAgain returns a copy of r with another method and URL, whose placeholders tell of these. What handlers have set is kept.
func prepareAgain(r *http.Request, method string, u *url.URL) *http.Request {
	again := *r
	target := *u
	again.Method, again.URL, again.RequestURI = method, &target, target.RequestURI()
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	repl := caddy.NewReplacer()
	prepared := caddyhttp.PrepareRequest(&again, repl, nil, server)
	maps.Copy(varsOf(prepared), varsOf(r))
	if set, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(set.Get)
	}
	return prepared
}

// guards reports whether routes lead r to the gate. A prefix that is taken off on the way may have been there or not, so that both forms
// count from then on. A matcher that fails counts as one that matches: the gate refuses too much then, not too little.
func (g guard) guards(r *http.Request) bool {
	forms := []*http.Request{r}
	for _, s := range g.steps {
		if s.strip == nil {
			if !slices.ContainsFunc(forms, s.takes) {
				return false
			}
			continue
		}
		for _, form := range forms {
			stripped := prepareAgain(form, form.Method, form.URL)
			if s.strip.Rewrite(stripped, stripped.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)) {
				forms = append(forms, stripped)
			}
		}
	}
	return true
}

func (s step) takes(r *http.Request) bool {
	if taken, err := s.match.AnyMatchWithError(r); err == nil && !taken {
		return false
	}
	return !slices.ContainsFunc(s.unless, func(sets caddyhttp.MatcherSets) bool {
		taken, err := sets.AnyMatchWithError(r)
		return err == nil && taken
	})
}
