package survey

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"

	"github.com/caddyauth/gateway/caddyauth/module/request"
)

// Place is what a gate or header filter knows about where it stands in the configuration's routes.
// One that the survey did not find is strict: paths decide, and something may have rewritten the
// request.
type Place struct {
	// Guard is the one that stands here.
	Guard Guard
	// Paths are the spellings of a path that it lets through.
	Paths gate.PathForms
	// Named says that it has a name of its own.
	Named bool

	untouched bool    // nothing in the site rewrites requests
	alone     bool    // nothing else in the site says who the user is
	guards    []guard // the gates of the site that only some requests meet; none where nothing rewrites requests
	later     []later // rewrites behind it
	ahead     *outlook
	set       setters // before it
	met       int     // how often routes lead to it
	fields    bool    // headers or the query may decide about guards
}

// Alone reports whether nothing else in the site says who the user is.
func (p *Place) Alone() bool { return p.alone }

// settle stores what the survey found.
func (p *Place) settle(found *Place) {
	p.untouched, p.alone, p.guards, p.ahead = found.untouched, found.alone, found.guards, found.ahead
	p.set, p.met = found.set, found.met
	p.fields = slices.ContainsFunc(p.guards, func(g guard) bool { return asksFields(g.steps) })
	p.Paths.Undecided = found.Paths.Undecided
	if g := p.Guard.Gate(); g != nil {
		g.Paths = p.Paths
	}
}

// guard is a gate with the conditions under which routes lead to it.
type guard struct {
	gate  Guard
	steps []step
	set   setters // before it
}

// step is one route on the way to a gate, or a prefix that is taken off the path there.
type step struct {
	match  caddyhttp.MatcherSets
	unless []caddyhttp.MatcherSets // of earlier routes of the same group, which exclude this one
	strip  *rewrite.Rewrite
	mount  bool // the path has led here by that prefix, and so all requests lose it
}

// CheckTarget judges what a filter passes on, and what the client asked for before something
// rewrote it.
func (p *Place) CheckTarget(r *http.Request) error {
	if err := gate.CheckTarget(r, r.URL, p.Paths); err != nil {
		return err
	}
	return p.CheckOriginal(r)
}

// CheckOriginal judges the URL that the client asked for where it is another one by now:
// php_fastcgi tells the application both. The gate judges the one of now itself.
func (p *Place) CheckOriginal(r *http.Request) error {
	if _, original := p.rewritten(r); original != nil {
		return gate.CheckTarget(r, original, p.Paths)
	}
	return nil
}

// Asked is the URL that the client asked for.
func (p *Place) Asked(r *http.Request) *url.URL {
	if _, original := p.rewritten(r); original != nil {
		return original
	}
	return r.URL
}

// rewritten returns method and URL as the client sent them when something has changed one of them
// since; no URL otherwise.
func (p *Place) rewritten(r *http.Request) (method string, u *url.URL) {
	if p.untouched {
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

// ran are the gates that have judged one request.
type ran struct {
	gates   []Guard
	work    int // matchers that were asked
	cleared view
}

// view is everything that decides whether a filter finds a missed gate. Adjacent filters have the
// same view, so the first one looks for all of them.
type view struct {
	ahead    *outlook
	guards   *guard // the first
	n        int
	set      setters
	method   string
	path     string
	rawPath  string
	rawQuery string
	opaque   string
}

// view returns the zero view for a gate, because the request is different behind it.
func (p *Place) view(r *http.Request) (v view) {
	if p.met != 1 || p.Guard.Gate() != nil {
		return v
	}
	v = view{
		ahead:    p.ahead,
		n:        len(p.guards),
		set:      p.set,
		method:   r.Method,
		path:     r.URL.Path,
		rawPath:  r.URL.RawPath,
		rawQuery: r.URL.RawQuery,
		opaque:   r.URL.Opaque,
	}
	if v.n > 0 {
		v.guards = &p.guards[0]
	}
	return v
}

// String is empty, because a placeholder may print every variable of a request.
func (*ran) String() string { return "gates" }

// Missed returns the next gate that routes would have led the request to if nothing had rewritten
// it, and that has not judged it yet. `try_files` and `rewrite` run before gates, and a matcher
// sees the path that they make; the application may go by the one before.
func (p *Place) Missed(r *http.Request, vars map[string]any) Guard {
	if len(p.guards) == 0 && p.ahead == nil || p.Guard.ReportsOnly() || vars == nil {
		return nil
	}
	method, original := p.rewritten(r)
	if original == nil && p.ahead == nil {
		return nil
	}
	done, _ := vars[ranVar].(*ran)
	if done == nil {
		done = new(ran)
		vars[ranVar] = done
	}

	// What the filter before this one has found holds here too, unless something between them may
	// have changed it.
	seen := p.view(r)
	if seen != (view{}) && seen == done.cleared {
		return nil
	}
	done.cleared = view{}

	if !slices.Contains(done.gates, p.Guard) {
		done.gates = append(done.gates, p.Guard)
	}
	next := p.next(r, method, original, done)
	if next != nil {
		done.gates = append(done.gates, next)
		return next
	}
	done.cleared = p.view(r)
	return nil
}

// next returns a gate that has not judged the request, as it is and as the guard leaves it.
func (p *Place) next(r *http.Request, method string, original *url.URL, done *ran) Guard {
	next := p.before(r, method, original, done)
	if next == nil && p.ahead != nil {
		next = p.ahead.ahead(r, done)
	}
	fieldsBefore := original != nil && p.fields
	fieldsAhead := p.ahead != nil && p.ahead.fields
	if next != nil || !fieldsBefore && !fieldsAhead {
		return next
	}
	left, changed := p.filtered(r)
	switch {
	case !changed:
		return nil
	case fieldsBefore:
		next = p.before(left, method, original, done)
	}
	if next == nil && fieldsAhead {
		next = p.ahead.ahead(left, done)
	}
	return next
}

// before returns a gate that the request as the client sent it would have met.
func (p *Place) before(r *http.Request, method string, original *url.URL, done *ran) Guard {
	if original == nil {
		return nil
	}
	var sent *http.Request
	replay := newReplay(r)
	for _, g := range p.guards {
		if slices.Contains(done.gates, g.gate) {
			continue
		}
		if sent == nil {
			sent = replay.prepare(method, original)
		}
		if g.guards(replay, sent) {
			return g.gate
		}
	}
	return nil
}

// filtered returns the request as it is behind the guard, without credentials and forged headers,
// and whether that differs.
func (p *Place) filtered(r *http.Request) (left *http.Request, changed bool) {
	again := *r
	target := *r.URL
	again.URL, again.Header, again.Body, again.Trailer = &target, r.Header.Clone(), nil, nil
	p.Guard.Filter(&again)
	changed = again.URL.RawQuery != r.URL.RawQuery || !maps.EqualFunc(again.Header, r.Header, slices.Equal)
	return &again, changed
}

// replay makes other forms of a request.
type replay struct {
	r     *http.Request
	set   *caddy.Replacer
	ready bool // set answers for forms, too
	// what is known of the form for which set is being asked; nil when it is asked for the request
	// itself
	form *caddy.Replacer
}

func newReplay(r *http.Request) *replay {
	set, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	return &replay{r: r, set: set}
}

// prepare returns a copy of the request with another method and URL, whose placeholders tell of
// these. What handlers have set is kept.
func (p *replay) prepare(method string, u *url.URL) *http.Request {
	again := *p.r
	target := *u
	again.Method, again.URL, again.RequestURI = method, &target, target.RequestURI()
	server, _ := p.r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	repl := caddy.NewReplacer()
	repl.Map(p.ofRequest)
	prepared := caddyhttp.PrepareRequest(&again, repl, nil, server)
	maps.Copy(request.Vars(prepared), request.Vars(p.r))
	if p.set == nil {
		return prepared
	}
	if !p.ready {
		request.AnswerFirst(p.set, p.ofForm)
		p.ready = true
	}
	own := caddy.NewEmptyReplacer()
	caddyhttp.PrepareRequest(prepared, own, nil, server)
	repl.Map(func(key string) (any, bool) {
		outer := p.form
		p.form = own
		defer func() { p.form = outer }()
		return p.set.Get(key)
	})
	return prepared
}

// ofRequest answers what is the same for all forms: the request as it came, and its body, which can
// be read only through the request itself.
func (p *replay) ofRequest(key string) (any, bool) {
	if p.set == nil || !isOfRequest(key) {
		return nil, false
	}
	return p.set.Get(key)
}

func isOfRequest(key string) bool {
	return strings.HasPrefix(key, "http.request.orig_") || strings.HasPrefix(key, "http.request.body")
}

// ofForm answers for the form that is being looked at what `map` asks the request's own replacer:
// it works out its values only then.
func (p *replay) ofForm(key string) (any, bool) {
	if p.form == nil || !strings.HasPrefix(key, "http.request.") || isOfRequest(key) {
		return nil, false
	}
	return p.form.Get(key)
}

// guards reports whether routes lead r to the gate. A prefix that is taken off on the way may have
// been there or not, so that both forms count from then on, unless the path has led there by it. A
// matcher that fails counts as one that matches: the gate refuses too much then, not too little.
func (g guard) guards(replay *replay, r *http.Request) bool {
	forms := []*http.Request{r}
	for _, s := range g.steps {
		if s.strip == nil {
			if !slices.ContainsFunc(forms, s.takes) {
				return false
			}
			continue
		}
		for i, form := range forms {
			stripped := replay.prepare(form.Method, form.URL)
			switch {
			case !s.strip.Rewrite(stripped, stripped.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)):
			case s.mount:
				forms[i] = stripped
			default:
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
