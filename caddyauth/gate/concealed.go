package gate

import (
	"encoding/base64"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Credentials is the set of all places where some gate of the configuration looks for a credential.
// What travels there reaches no application, whichever gate or strip a request passes: what signs
// in at one application is none of another's business. Fill it before requests are served; then it
// may be used by any number of goroutines.
type Credentials struct {
	// RefreshCookie is the name of the cookie that no gate reads and that is removed with the
	// others. Default: there is none.
	RefreshCookie string

	// Issued recognises, by its looks alone, a token that this server or one it trusts has issued:
	// so much of an Authorization header that no gate reads. Default: none is recognised.
	Issued func(word string) bool

	cookies []string
	queries []string
	headers Owned
	others  bool // there are headers
}

// Add makes a place known.
func (c *Credentials) Add(s Source) error {
	switch {
	case s.Kind == Cookie && !slices.Contains(c.cookies, s.Name):
		c.cookies = append(c.cookies, s.Name)
	case s.Kind == Query && !slices.Contains(c.queries, s.Name):
		c.queries = append(c.queries, s.Name)
	case s.Kind == Header:
		c.others = true
		return c.headers.Own(s.Name)
	}
	return nil
}

// InQuery reports whether some gate reads the query.
func (c *Credentials) InQuery() bool { return len(c.queries) > 0 }

// NamesParameter reports whether a query parameter of this name is a credential.
func (c *Credentials) NamesParameter(name string) bool { return slices.Contains(c.queries, name) }

// Concealed is what was taken out of a request and may be wanted by a later gate on the same
// request. It never changes.
type Concealed struct {
	cookies []string // pairs
	headers http.Header
	query   []string // parameters as they were written
}

// String says nothing: a placeholder may print every variable of a request.
func (*Concealed) String() string { return "credentials" }

// Reveal puts what was concealed back into the request for a gate, which conceals it again.
func (c *Concealed) Reveal(r *http.Request) {
	if len(c.cookies) > 0 {
		r.Header["Cookie"] = append(slices.Clip(r.Header["Cookie"]), strings.Join(c.cookies, "; "))
	}
	for name, lines := range c.headers {
		r.Header[name] = append(slices.Clip(lines), r.Header[name]...)
	}
	if len(c.query) > 0 {
		if r.URL.RawQuery != "" {
			r.URL.RawQuery += "&"
		}
		r.URL.RawQuery += strings.Join(c.query, "&")
	}
}

// Conceal removes the credentials of all gates from a request that no gate decides on, and returns
// what it removed; nil when that was nothing. Of an Authorization header it removes what is
// recognised: anything else is the application's own.
func (c *Credentials) Conceal(r *http.Request) *Concealed {
	var removed *Concealed
	if c.meets(r, nil) || c.RefreshCookie != "" && mentions(r.Header["Cookie"], c.RefreshCookie) {
		removed = new(Concealed)
	}
	c.remove(r, removed)
	if c.issued(r) {
		removed.removeHeader(r, "Authorization")
	}
	return removed
}

// conceal is Conceal for a gate that has decided: its own credential goes whatever it was. What it
// returns is nil as well when nothing but what this gate reads was removed, since later gates learn
// that from the passage.
func (g *Gate) conceal(r *http.Request) *Concealed {
	c := g.Credentials
	var removed *Concealed
	if c.meets(r, g) {
		removed = new(Concealed)
	}
	c.remove(r, removed)
	if lines := r.Header["Authorization"]; len(lines) > 0 {
		if g.reads(Source{Kind: Bearer}) && (g.Mode != Optional || !isForeign(lines)) || c.issued(r) {
			removed.removeHeader(r, "Authorization")
		}
	}
	return removed
}

// meets reports whether the request may have a credential that g does not read. The refresh cookie
// does not count: no gate reads it.
func (c *Credentials) meets(r *http.Request, g *Gate) bool {
	if lines := r.Header["Cookie"]; len(lines) > 0 {
		for _, name := range c.cookies {
			if !g.reads(Source{Cookie, name}) && mentions(lines, name) {
				return true
			}
		}
	}
	if !g.reads(Source{Kind: Bearer}) && c.issued(r) {
		return true
	}
	return c.meetsHeader(r, g) || c.meetsParameter(r, g)
}

func (c *Credentials) meetsHeader(r *http.Request, g *Gate) bool {
	if c.others {
		for name := range r.Header {
			if c.headers.owns(name) && !g.reads(Source{Header, name}) {
				return true
			}
		}
	}
	return false
}

func (c *Credentials) meetsParameter(r *http.Request, g *Gate) bool {
	if len(c.queries) == 0 || r.URL.RawQuery == "" {
		return false
	}
	_, others := weburl.DropParameters(r.URL.RawQuery, func(name string) bool {
		return c.NamesParameter(name) && !g.reads(Source{Query, name})
	})
	return len(others) > 0
}

// remove takes out what stands in cookies, headers and the query.
func (c *Credentials) remove(r *http.Request, removed *Concealed) {
	if lines := r.Header["Cookie"]; len(lines) > 0 {
		for _, name := range c.cookies {
			if mentions(lines, name) {
				dropCookies(r, name, removed)
			}
		}
		if c.RefreshCookie != "" && mentions(lines, c.RefreshCookie) {
			dropCookies(r, c.RefreshCookie, removed)
		}
	}
	if c.others {
		for name := range r.Header {
			if c.headers.owns(name) {
				removed.removeHeader(r, name)
			}
		}
	}
	if len(c.queries) > 0 {
		c.removeQuery(r, removed)
	}
}

// removeQuery takes the parameters out of the query, and out of the URLs with which clients and
// proxies repeat it: Referer, X-Original-URL and whatever else holds one.
func (c *Credentials) removeQuery(r *http.Request, removed *Concealed) {
	if kept, dropped := weburl.DropParameters(r.URL.RawQuery, c.NamesParameter); len(dropped) > 0 {
		r.URL.RawQuery = kept
		r.RequestURI = r.URL.RequestURI()
		if removed != nil {
			removed.query = append(removed.query, dropped...)
		}
	}
	for name, lines := range r.Header {
		for i, line := range lines {
			if clean := weburl.DropParametersIn(line, c.NamesParameter); clean != line {
				lines = slices.Clone(lines)
				lines[i] = clean
				r.Header[name] = lines
			}
		}
	}
}

// issued reports whether the Authorization header holds a token that is recognised.
func (c *Credentials) issued(r *http.Request) bool {
	return c.Issued != nil && authorizes(r.Header["Authorization"], c.Issued)
}

// ConcealAuthorization removes the Authorization header if one of its words is recognised, in
// whatever scheme, and returns what it removed.
func ConcealAuthorization(r *http.Request, recognise func(word string) bool) *Concealed {
	if !authorizes(r.Header["Authorization"], recognise) {
		return nil
	}
	removed := new(Concealed)
	removed.removeHeader(r, "Authorization")
	return removed
}

// authorizes reports whether a word of the lines is recognised (RFC 9110, section 11.4), or what a
// Basic credential is made of (RFC 7617).
func authorizes(lines []string, recognise func(word string) bool) bool {
	for _, line := range lines {
		for rest := line; rest != ""; {
			end := strings.IndexAny(rest, " \t,;=\"'")
			if end < 0 {
				end = len(rest)
			}
			if recognise(rest[:end]) {
				return true
			}
			rest = rest[min(end+1, len(rest)):]
		}
		scheme, encoded, _ := strings.Cut(textproto.TrimString(line), " ")
		if !strings.EqualFold(scheme, "Basic") {
			continue
		}
		pair, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(textproto.TrimString(encoded), "="))
		if name, password, _ := strings.Cut(string(pair), ":"); err == nil && (recognise(name) || recognise(password)) {
			return true
		}
	}
	return false
}

func (c *Concealed) removeHeader(r *http.Request, name string) {
	if c != nil {
		if c.headers == nil {
			c.headers = make(http.Header)
		}
		c.headers[name] = r.Header[name]
	}
	delete(r.Header, name)
}

// dropCookies removes every cookie called name, and keeps what it removed in removed unless that is
// nil.
func dropCookies(r *http.Request, name string, removed *Concealed) {
	lines := r.Header["Cookie"]
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		pairs := make([]string, 0, 8)
		for pair := range strings.SplitSeq(line, ";") {
			pair = textproto.TrimString(pair)
			if _, ours := cookieValue(pair, name); !ours {
				if pair != "" {
					pairs = append(pairs, pair)
				}
			} else if removed != nil {
				removed.cookies = append(removed.cookies, pair)
			}
		}
		if len(pairs) > 0 {
			kept = append(kept, strings.Join(pairs, "; "))
		}
	}
	if len(kept) == 0 {
		delete(r.Header, "Cookie")
		return
	}
	r.Header["Cookie"] = kept
}
