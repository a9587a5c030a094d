package survey

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// later is a rewrite behind a gate or filter, with the gates before it that the request may have
// gone past.
type later struct {
	steps   []step // what is asked between the gate and the rewrite
	rewrite *rewrite.Rewrite
	guards  []guard // with what is asked below where gate and rewrite part
	files   *files  // what it may lead to where the file that its matcher finds is not known beforehand
	set     setters // before the gate or filter
	unknown bool    // what it makes of a request cannot be worked out beforehand: every one of guards is asked
	own     bool    // of a proxy: nothing behind it sees what it makes
	queries bool    // the query may decide about guards and about where the rewrite leads
	fields  bool    // headers or the query may: a gate or filter removes some of them
}

// outlook is the rewrites behind a gate or filter. Places with the same rewrites share one.
type outlook struct {
	later   []later
	reach   []reached
	queries bool
	fields  bool
}

// reached is a gate that some rewrites lead past, the last of which has an index.
type reached struct {
	gate Guard
	last int
}

// newOutlook returns nil where nothing comes behind.
func newOutlook(all []later) *outlook {
	if len(all) == 0 {
		return nil
	}
	o := &outlook{later: all}
	index := make(map[Guard]int)
	for i, l := range all {
		o.queries, o.fields = o.queries || l.queries, o.fields || l.fields
		for _, g := range l.guards {
			at, known := index[g.gate]
			if !known {
				at = len(o.reach)
				index[g.gate] = at
				o.reach = append(o.reach, reached{gate: g.gate})
			}
			o.reach[at].last = i
		}
	}
	return o
}

// outlooks are those of one configuration, by the first rewrite.
type outlooks map[*rewrite.Rewrite][]*outlook

// of returns the outlook with these rewrites.
func (o outlooks) of(all []later) *outlook {
	if len(all) == 0 {
		return nil
	}
	first := all[0].rewrite
	for _, known := range o[first] {
		if slices.EqualFunc(known.later, all, later.same) {
			return known
		}
	}
	made := newOutlook(all)
	o[first] = append(o[first], made)
	return made
}

// same reports whether two stand for the same rewrite under the same conditions.
func (l later) same(other later) bool {
	return l.rewrite == other.rewrite && l.unknown == other.unknown && l.set == other.set && l.files == other.files &&
		sameSlice(l.steps, other.steps) && sameSlice(l.guards, other.guards)
}

func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// mostForms bounds how many forms of a request are looked at. Where there are more, every gate is
// asked that later rewrites lead past.
const mostForms = 32

// mostWork bounds how many matchers are asked while one request is looked at, besides a few for
// each rewrite. Beyond it every gate is asked that later rewrites lead past.
const mostWork = 4096

// ahead returns a gate of the site that has not judged the request and that would have, had it come
// as a later rewrite is going to make it: the application gets that form. Each rewrite may apply to
// what earlier ones have made.
func (o *outlook) ahead(r *http.Request, done *ran) Guard {
	replay := newReplay(r)
	var forms []*http.Request
	limit := mostWork + 4*len(o.later)
	for i := range o.later {
		l := &o.later[i]
		if done.work > limit || len(forms) > mostForms {
			return o.anyGate(i, done)
		}
		if forms == nil {
			forms = []*http.Request{replay.prepare(r.Method, r.URL)}
		}
		coming := l.coming(forms, done)
		switch {
		case len(coming) == 0:
			continue
		case l.unknown && !l.own:
			return o.anyGate(i, done)
		case l.unknown:
			if next := l.anyGate(done); next != nil {
				return next
			}
			continue
		}
		for _, made := range l.apply(replay, coming, done) {
			same := func(form *http.Request) bool { return sameForm(form, made, o.queries) }
			if slices.ContainsFunc(forms, same) {
				continue
			}
			if next := l.guarding(replay, made, done); next != nil {
				return next
			}
			if !l.own && len(forms) <= mostForms { // one more than allowed shows that not all are known
				forms = append(forms, made)
			}
		}
	}
	return nil
}

// guarding returns a gate that has not judged the request and takes this form of it.
func (l *later) guarding(replay *replay, made *http.Request, done *ran) Guard {
	for _, g := range l.guards {
		if slices.Contains(done.gates, g.gate) {
			continue
		}
		done.work += len(g.steps)
		if g.guards(replay, made) {
			return g.gate
		}
	}
	return nil
}

// anyGate returns a gate that has not judged the request, whatever its matcher says.
func (l *later) anyGate(done *ran) Guard {
	for _, g := range l.guards {
		if !slices.Contains(done.gates, g.gate) {
			return g.gate
		}
	}
	return nil
}

// anyGate returns a gate that has not judged the request and that a rewrite from an index on leads
// past.
func (o *outlook) anyGate(from int, done *ran) Guard {
	for _, g := range o.reach {
		if g.last >= from && !slices.Contains(done.gates, g.gate) {
			return g.gate
		}
	}
	return nil
}

// sameForm leaves the query out where nothing looks at it.
func sameForm(a, b *http.Request, queries bool) bool {
	return a.Method == b.Method && a.URL.Path == b.URL.Path && a.URL.RawPath == b.URL.RawPath &&
		a.URL.Opaque == b.URL.Opaque &&
		(!queries || a.URL.RawQuery == b.URL.RawQuery)
}

// coming returns those forms that come to the rewrite.
func (l *later) coming(forms []*http.Request, done *ran) []*http.Request {
	coming := forms
	for _, s := range l.steps {
		if s.strip != nil {
			continue // a rewrite of its own, which has left its forms
		}
		done.work += len(forms)
		if coming = filtered(forms, s.takes); len(coming) == 0 {
			return nil
		}
	}
	return coming
}

// apply returns what the rewrite makes of forms that come to it, as far as it changes them.
func (l *later) apply(replay *replay, coming []*http.Request, done *ran) (made []*http.Request) {
	add := func(form *http.Request) {
		done.work += costOfForm
		before := *form
		target := *form.URL
		form.URL = &target
		// The placeholders are those of the form, and already show the result of the rewrite's earlier
		// parts.
		l.rewrite.Rewrite(form, form.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))
		method := form.Method
		form.Method, form.URL, form.RequestURI = before.Method, before.URL, before.RequestURI
		if method != form.Method || !sameTarget(&target, form.URL) {
			made = append(made, replay.prepare(method, &target))
		}
	}
	for _, form := range coming {
		if l.files == nil {
			add(form)
			continue
		}
		for _, file := range l.files.of(form.URL.Path) {
			again := replay.prepare(form.Method, form.URL)
			again.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Set(relativeFile, file)
			add(again)
		}
	}
	return made
}

// costOfForm is how many matchers cost about as much as making one form.
const costOfForm = 8

func filtered(forms []*http.Request, takes func(*http.Request) bool) (taken []*http.Request) {
	for _, form := range forms {
		if takes(form) {
			taken = append(taken, form)
		}
	}
	return taken
}

// rewriteBehind is a rewrite that the survey has met behind gates, until it is known where it
// leads.
type rewriteBehind struct {
	rewrite  *rewrite.Rewrite
	name     string // the directive
	steps    []step
	met      []guard // gates and filters before it
	within   []*rewrite.Rewrite
	mount    bool // it takes off the prefix by which the path has led there
	where    string
	set      setters
	harmless bool // clients do not choose where it leads: it only makes forms for the rewrites behind it
	endless  bool // stands for rewrites that the survey has not followed
	files    *files
	proxy    *end // whose own rewrite it is; nil for all others
}

// end is where requests leave the routes for an application or for files.
type end struct {
	addresses []string
	steps     []step
	met       []guard            // gates and filters before it
	within    []*rewrite.Rewrite // rewrites through which all requests have come
	errand    bool               // the request only asks there, for one path, and goes on as it was
	errors    bool               // in routes for errors, to which any request may come
}

// noteRewrite keeps a rewrite that stands behind gates.
func (s *surveyor) noteRewrite(h *rewrite.Rewrite, name string, mount bool, at position) {
	if len(at.met) == 0 || s.responses > 0 && namedByAnswer(h) {
		return
	}
	s.site.behind = append(s.site.behind, rewriteBehind{
		rewrite:  h,
		name:     name,
		steps:    at.steps,
		met:      slices.Clone(at.met),
		within:   at.within,
		mount:    mount,
		where:    at.where,
		set:      s.site.set,
		harmless: keepsPath(h, at.steps),
		files:    filesOf(h, at, s.site.set),
	})
}

// noteEndless notes routes that the survey does not follow: no gate can work out what rewrites
// there make of a request.
func (s *surveyor) noteEndless(at position) {
	s.noteRewrite(new(rewrite.Rewrite), "`invoke`", false, at)
	if n := len(s.site.behind); len(at.met) > 0 {
		s.site.behind[n-1].endless = true
	}
	s.site.ends = append(s.site.ends,
		end{addresses: []string{anywhere}, steps: at.steps, met: at.met, within: at.within})
}

// keepsPath reports whether a rewrite is one of `try_files` or `php_fastcgi` that leads to what is
// below the path, or to a file that the configuration names: the application reads what the client
// asked for, and clients do not choose another path.
func keepsPath(h *rewrite.Rewrite, steps []step) bool {
	target, _, _ := strings.Cut(h.URI, "?")
	if target != "{http.matchers.file.relative}" || len(steps) == 0 {
		return false
	}
	found := false
	for _, set := range steps[len(steps)-1].match {
		for _, matcher := range set {
			file, ok := matcher.(*fileserver.MatchFile)
			if m, value := matcher.(fileserver.MatchFile); value {
				file, ok = &m, true
			}
			if !ok {
				continue
			}
			found = true
			if slices.ContainsFunc(file.TryFiles, leadsElsewhere) {
				return false
			}
		}
	}
	return found
}

func leadsElsewhere(file string) bool {
	rest, _ := strings.CutPrefix(file, "{http.request.uri.path}")
	if strings.Contains(rest, "{") {
		return true
	}
	return rest != file && rest != "" && rest[0] != '/'
}

// mounts reports whether a rewrite takes off the very prefix that has led requests to its route, as
// `handle_path` does: all of them have it.
func mounts(h *rewrite.Rewrite, steps []step) bool {
	if !only(h) || h.StripPathPrefix == "" || strings.Contains(h.StripPathPrefix, "{") || len(steps) == 0 {
		return false
	}
	prefix := strings.ToLower("/" + strings.TrimPrefix(h.StripPathPrefix, "/"))
	sets := steps[len(steps)-1].match
	return len(sets) > 0 && !slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool {
		return !slices.ContainsFunc(set, func(matcher any) bool { return below(matcher, prefix) })
	})
}

// below reports whether a matcher takes only paths with a prefix.
func below(matcher any, prefix string) bool {
	paths, ok := matcher.(*caddyhttp.MatchPath)
	if value, plain := matcher.(caddyhttp.MatchPath); plain {
		paths, ok = &value, true
	}
	return ok &&
		!slices.ContainsFunc(*paths,
			func(pattern string) bool { return !strings.HasPrefix(strings.ToLower(pattern), prefix) })
}

// noteEnd keeps what answers requests, and what a proxy makes of the path itself.
func (s *surveyor) noteEnd(handler caddyhttp.MiddlewareHandler, at position) {
	e := end{steps: at.steps, met: at.met, within: at.within}
	var own *rewrite.Rewrite
	switch h := handler.(type) {
	case *reverseproxy.Handler:
		if h.DynamicUpstreams == nil { // those may be anywhere, and the named ones are used beside
			e.addresses = addressesOf(h)
		}
		e.errand = isErrand(h)
		own = h.Rewrite
	case *fileserver.FileServer:
		root := h.Root
		if root == "" || root == "{http.vars.root}" {
			root = at.root
		}
		e.addresses = []string{"files/" + root}
	case *caddyhttp.StaticResponse:
		stands := h.Headers.Get(StandInHeader)
		if stands == "" {
			return
		}
		e.addresses = standsFor(stands, at.root)
	default:
		if kindOf(handler) != unknown || moduleID(handler) == errorFilterID { // no application
			return
		}
	}
	varies := func(address string) bool { return strings.Contains(address, "{") }
	if len(e.addresses) == 0 || slices.ContainsFunc(e.addresses, varies) {
		e.addresses = []string{anywhere}
	}
	s.site.ends = append(s.site.ends, e)
	if n := len(s.site.behind); own != nil {
		s.noteRewrite(own, "`rewrite` in `reverse_proxy`", false, at)
		if len(s.site.behind) > n {
			s.site.behind[n].proxy = &e
		}
	}
}

// isErrand reports whether a proxy asks another application, as `forward_auth` does: for a path
// that the configuration names, and the request goes on afterwards as it was when the answer is a
// success. Clients must not get that answer.
func isErrand(h *reverseproxy.Handler) bool {
	if h.Rewrite == nil || h.Rewrite.StripPathPrefix != "" ||
		h.Rewrite.StripPathSuffix != "" || len(h.Rewrite.URISubstring) > 0 || len(h.Rewrite.PathRegexp) > 0 {
		return false
	}
	path, _, _ := strings.Cut(h.Rewrite.URI, "?")
	if path == "" || strings.Contains(path, "{") || strings.Contains(h.Rewrite.Method, "{") {
		return false
	}
	return slices.ContainsFunc(h.HandleResponse, takesSuccess) &&
		!slices.ContainsFunc(h.HandleResponse, func(answer caddyhttp.ResponseHandler) bool { return !passesOn(answer) })
}

// takesSuccess reports whether a response handler keeps every answer of success from the client.
func takesSuccess(answer caddyhttp.ResponseHandler) bool {
	m := answer.Match
	return m == nil || len(m.Headers) == 0 && (len(m.StatusCode) == 0 || slices.Contains(m.StatusCode, 2))
}

// passesOn reports whether a response handler leads on to what comes behind the proxy. One that
// only changes the status gives the answer to the client.
func passesOn(answer caddyhttp.ResponseHandler) bool {
	return answer.StatusCode == "" && !slices.ContainsFunc(answer.Routes, func(route caddyhttp.Route) bool {
		return slices.ContainsFunc(route.Handlers, func(handler caddyhttp.MiddlewareHandler) bool {
			return kindOf(handler) != passes || len(responsesOf(handler)) > 0
		})
	})
}

// concerns reports whether a proxy's own rewrite may lead to what a gate guards: what it makes is
// seen only by the proxy's own application. One that is only asked there is not guarded.
func (b rewriteBehind) concerns(m guard, ends []end) bool {
	if b.proxy == nil || !b.proxy.errand {
		return true
	}
	return slices.ContainsFunc(ends, func(e end) bool {
		behind := e.errors || slices.ContainsFunc(e.met, func(g guard) bool { return g.gate == m.gate })
		return behind && !e.errand && (slices.Contains(e.addresses, anywhere) ||
			slices.ContainsFunc(b.proxy.addresses, func(address string) bool {
				return address == anywhere || slices.Contains(e.addresses, address)
			}))
	})
}

// standsFor returns the addresses of what `caddy auth explain` has replaced.
func standsFor(stands, root string) (addresses []string) {
	if strings.HasPrefix(stands, "file_server") {
		return []string{"files/" + root}
	}
	_, dials, _ := strings.Cut(strings.TrimSuffix(stands, StandInFastCGI), " to ")
	for dial := range strings.FieldsSeq(dials) {
		addresses = append(addresses, canonicalAddress(dial))
	}
	return addresses
}

// anywhere stands for an application that the survey cannot tell from others.
const anywhere = ""

// apart reports whether a prefix is taken off for an application or files to which no other way
// leads in the site: its paths mean nothing to the gates beside it.
func (s *site) apart(b rewriteBehind) bool {
	if !b.mount {
		return false
	}
	inside := make(map[string]bool)
	sure := false
	for _, e := range s.ends {
		if slices.Contains(e.within, b.rewrite) {
			sure = sure || !slices.ContainsFunc(tail(e.steps, b.steps), func(s step) bool { return s.strip == nil })
			for _, address := range e.addresses {
				inside[address] = true
			}
		}
	}
	outside := func(e end) bool {
		return !slices.Contains(e.within, b.rewrite) &&
			slices.ContainsFunc(e.addresses,
				func(address string) bool { return inside[address] || address == anywhere })
	}
	return sure && !inside[anywhere] && !slices.ContainsFunc(s.ends, outside)
}

// lookAhead tells gates and filters which rewrites come behind them.
func (s *site) lookAhead(verdicts map[Guard]*Place) {
	var apart []*rewrite.Rewrite
	for _, b := range s.behind {
		// Invoked routes bring the same rewrite to several places, and all of them count.
		other := func(o rewriteBehind) bool { return o.rewrite == b.rewrite && !s.apart(o) }
		if !slices.Contains(apart, b.rewrite) && !slices.ContainsFunc(s.behind, other) {
			apart = append(apart, b.rewrite)
		}
	}
	ahead := make(map[Guard][]later)
	for _, b := range s.behind {
		l := b.later(apart, slices.Concat(s.ends, s.errorEnds))
		if l.own && len(l.guards) == 0 {
			continue // it asks no gate, and nothing behind it sees what it makes
		}
		sure, unknown := false, false
		known := make(map[string]later)
		for _, m := range b.met {
			l := l.behindOnce(m, b, known)
			unknown = unknown || l.unknown
			ahead[m.gate] = append(ahead[m.gate], l)
			sure = sure || !m.gate.ReportsOnly() && len(tail(m.steps, b.steps)) == 0
		}
		if len(l.guards) > 0 {
			s.findings = append(s.findings, b.finding(l.guards[0].gate, sure, unknown))
		}
	}
	for j, all := range ahead {
		// A rewrite that leads past no gate matters for what those behind it make of a request.
		for len(all) > 0 && len(all[len(all)-1].guards) == 0 {
			all = all[:len(all)-1]
		}
		verdicts[j].later = append(verdicts[j].later, all...)
	}
}

// later is the rewrite with the gates that may guard what it leads to.
func (b rewriteBehind) later(apart []*rewrite.Rewrite, ends []end) later {
	l := later{
		rewrite: b.rewrite,
		own:     b.proxy != nil,
		queries: usesQuery(b.rewrite),
	}
	l.fields = l.queries
	for _, m := range b.met {
		below := tail(m.steps, b.steps)
		if m.gate.Gate() == nil || len(below) == 0 || b.harmless || b.leaves(m, apart) || !b.concerns(m, ends) {
			continue
		}
		l.guards = append(l.guards, guard{gate: m.gate, steps: below, set: m.set})
		l.queries = l.queries || asksQuery(below)
		l.fields = l.fields || asksFields(below)
	}
	return l
}

// behindOnce is behind, worked out once for all gates and filters to which the rewrite looks the
// same.
func (l later) behindOnce(m guard, b rewriteBehind, known map[string]later) later {
	set := b.set.since(m.set)
	set.forwarded = forwardedHeaders(m.gate)
	key := fmt.Sprint(len(tail(b.steps, m.steps)), set)
	found, ok := known[key]
	if !ok {
		found = l.behind(tail(b.steps, m.steps), set, b)
		known[key] = found
	}
	found.set = m.set
	found.set.changes = 0 // it counts guards, too
	return found
}

// behind tells a gate or filter of the rewrite: what is asked between them, and what may have been
// set there.
func (l later) behind(steps []step, set between, b rewriteBehind) later {
	l.steps = steps
	l.queries = l.queries || asksQuery(steps)
	l.fields = l.fields || asksFields(steps)
	l.unknown = b.endless || slices.ContainsFunc(l.guards, func(g guard) bool { return !set.knowsSteps(g.steps) })
	if l.unknown || !b.harmless && !set.knowsRewrite(b.rewrite) || !set.knowsSteps(steps) {
		l.unknown = l.unknown || !set.knowsButFiles(b, steps)
		l.steps = set.known(steps)
		l.files = b.files
	}
	return l
}

// leaves reports whether one of the prefixes that are taken off for an application of its own
// stands between a gate and the rewrite.
func (b rewriteBehind) leaves(gate guard, apart []*rewrite.Rewrite) bool {
	return slices.ContainsFunc(apart, func(h *rewrite.Rewrite) bool {
		inside := slices.ContainsFunc(gate.steps, func(s step) bool { return s.strip == h })
		return !inside && (h == b.rewrite || slices.Contains(b.within, h))
	})
}

func (b rewriteBehind) finding(gate Guard, sure, unknown bool) finding.Finding {
	f := finding.Finding{
		Severity: finding.Note,
		Where:    b.where + ", " + gate.Describe(),
		Text: b.name +
			" runs behind the gate and changes what the application gets; the gate is asked as well where its " +
			"matcher takes that",
		Hint: "let the gate guard the whole site when what is public is refused",
	}
	if unknown {
		f.Severity = finding.Warning
		f.Text = b.name + " runs behind the gate, and what it makes of requests cannot be worked out beforehand, " +
			"so every gate of the site is asked"
		f.Hint = "set variables, `map` values and request headers before the gate, or let the gate guard the whole site"
	}
	if !sure {
		f.Severity = finding.Error
		f.Text = b.name +
			" runs behind the gate, and requests that go past the gate meet no filter before it: it may lead to " +
			"what the gate guards"
		f.Hint = "put `jwt_auth off` before it, or give the gate a matcher instead of the route around it"
	}
	return f
}

// tail returns the steps of a way below where it parts from another.
func tail(steps, other []step) []step {
	i := 0
	for i < len(steps) && i < len(other) && steps[i].same(other[i]) {
		i++
	}
	return steps[i:]
}

func (s step) same(other step) bool {
	return s.strip == other.strip && len(s.match) == len(other.match) && len(s.unless) == len(other.unless) &&
		(len(s.match) == 0 || &s.match[0] == &other.match[0])
}
