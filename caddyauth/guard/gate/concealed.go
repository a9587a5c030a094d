package gate

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"iter"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Credentials is the set of all places where some gate of the configuration looks for a credential.
// What travels there reaches no application, whichever gate or header filter a request passes: what
// signs in at one application is none of another's business. Add places to it and freeze it before
// requests are served; then it may be used by any number of goroutines.
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
	frozen  bool
}

// Freeze ends the time in which places can be added. It must be called before requests are served.
func (c *Credentials) Freeze() {
	c.frozen = true
	c.headers.Freeze()
}

// Add makes a place known. It refuses a new one once the set is frozen.
func (c *Credentials) Add(s Source) error {
	known := s.Kind == Cookie && slices.Contains(c.cookies, s.Name) ||
		s.Kind == Query && slices.Contains(c.queries, s.Name)
	switch {
	case c.frozen && !known && (s.Kind == Cookie || s.Kind == Query):
		return fmt.Errorf("credentials in %s %q: %w", s.Kind, s.Name, errFrozen)
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

// InURL reports whether the query of a request has a credential, which gates would take out.
func (c *Credentials) InURL(r *http.Request) bool {
	if !c.InQuery() || r.URL.RawQuery == "" {
		return false
	}
	without := r.Clone(r.Context())
	c.Conceal(without)
	return without.URL.RawQuery != r.URL.RawQuery
}

// Fields are the names of the header fields in which credentials travel, sorted.
func (c *Credentials) Fields() []string {
	fields := append(c.headers.Names(), "Authorization", "Cookie", dpop.Header)
	slices.Sort(fields)
	return slices.Compact(fields)
}

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

// Reveal puts back into the request what g reads, or everything where g is nil because the request
// is for the server itself. Settle conceals it again.
func (c *Concealed) Reveal(r *http.Request, g *Gate) {
	shown, _ := c.split(g)
	if len(shown.cookies) > 0 {
		r.Header["Cookie"] = append(slices.Clip(r.Header["Cookie"]), strings.Join(shown.cookies, "; "))
	}
	for name, lines := range shown.headers {
		r.Header[name] = append(slices.Clip(lines), r.Header[name]...)
	}
	if len(shown.query) > 0 {
		if r.URL.RawQuery != "" {
			r.URL.RawQuery += "&"
		}
		r.URL.RawQuery += strings.Join(shown.query, "&")
	}
}

// Settle follows the decision of a gate to which c was revealed. An Authorization header that the
// gate left in the request is concealed again: nobody may be able to recognise it. Settle returns
// everything that is concealed now, which includes found, what was taken out after the decision.
func (c *Concealed) Settle(r *http.Request, g *Gate, found *Concealed) *Concealed {
	if c == nil {
		return found
	}
	shown, rest := c.split(g)
	lines, now := shown.headers["Authorization"], r.Header["Authorization"]
	if n := len(lines); n > 0 && len(now) >= n && slices.Equal(now[:n], lines) {
		rest.addHeader("Authorization", lines)
		if delete(r.Header, "Authorization"); len(now) > n {
			r.Header["Authorization"] = slices.Clone(now[n:])
		}
	}
	return rest.Join(found)
}

// Join returns what is concealed in either; each may be nil.
func (c *Concealed) Join(other *Concealed) *Concealed {
	if c == nil || other == nil {
		return cmp.Or(c, other)
	}
	joined := &Concealed{
		cookies: slices.Concat(c.cookies, other.cookies),
		query:   slices.Concat(c.query, other.query),
	}
	for _, headers := range []http.Header{c.headers, other.headers} {
		for name, lines := range headers {
			joined.addHeader(name, lines)
		}
	}
	return joined
}

// split separates what g reads from the rest. The refresh cookie belongs to the session, which a
// gate may renew; every gate removes it again.
func (c *Concealed) split(g *Gate) (shown, rest *Concealed) {
	shown, rest = new(Concealed), new(Concealed)
	if g == nil {
		return c, rest
	}
	part := func(read bool) *Concealed {
		if read {
			return shown
		}
		return rest
	}
	for _, pair := range c.cookies {
		name, _, _ := strings.Cut(pair, "=")
		name = textproto.TrimString(name)
		p := part(g.reads(Source{Cookie, name}) || name == g.Credentials.RefreshCookie)
		p.cookies = append(p.cookies, pair)
	}
	for name, lines := range c.headers {
		authorizes := name == "Authorization" || name == dpop.Header
		read := g.reads(Source{Header, name}) || authorizes && g.reads(Source{Kind: Bearer})
		part(read).addHeader(name, lines)
	}
	for _, parameter := range c.query {
		_, read := weburl.DropParameters(parameter, func(name string) bool { return g.reads(Source{Query, name}) })
		p := part(len(read) > 0)
		p.query = append(p.query, parameter)
	}
	return shown, rest
}

func (c *Concealed) addHeader(name string, lines []string) {
	if c.headers == nil {
		c.headers = make(http.Header)
	}
	c.headers[name] = append(slices.Clip(c.headers[name]), lines...)
}

// Conceal removes the credentials of all gates from a request that no gate decides on, and returns
// what it removed; nil when that was nothing. Of an Authorization header it removes what is
// recognised: anything else is the application's own.
func (c *Credentials) Conceal(r *http.Request) *Concealed {
	var removed *Concealed
	if c.meets(r, nil) || c.RefreshCookie != "" && mentions(r.Header["Cookie"], c.RefreshCookie) {
		removed = new(Concealed)
	}
	parameters := c.remove(r, removed)
	if c.issued(r) {
		removed.removeHeader(r, "Authorization")
		if len(r.Header[dpop.Header]) > 0 { // it belongs to the token
			removed.removeHeader(r, dpop.Header)
		}
	}
	c.EraseParameters(r, parameters)
	return removed
}

// RemoveCredential removes from a request what the gate removes when it decides.
func (g *Gate) RemoveCredential(r *http.Request) { g.removeCredential(r) }

// removeCredential is Conceal for a gate that has decided: its own credential goes whatever it was.
// What it returns is nil as well when nothing but what this gate reads was removed, since later
// gates learn that from the admission.
func (g *Gate) removeCredential(r *http.Request) *Concealed {
	c := g.Credentials
	var removed *Concealed
	if c.meets(r, g) {
		removed = new(Concealed)
	}
	parameters := c.remove(r, removed)
	if lines := r.Header["Authorization"]; len(lines) > 0 {
		if g.reads(Source{Kind: Bearer}) && (g.Mode != Optional || !g.isForeign(lines)) || c.issued(r) {
			removed.removeHeader(r, "Authorization")
		}
	}
	if len(r.Header[dpop.Header]) > 0 { // a proof is for the gateway, and says nothing to an application
		removed.removeHeader(r, dpop.Header)
	}
	c.EraseParameters(r, parameters)
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

// remove takes out what stands in cookies, headers and the query, and returns the parameters.
func (c *Credentials) remove(r *http.Request, removed *Concealed) (parameters []string) {
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
		return c.removeQuery(r, removed)
	}
	return nil
}

// removeQuery takes the parameters out of the query, and out of the URLs with which clients and
// proxies repeat it: Referer, X-Original-URL and whatever else holds one.
func (c *Credentials) removeQuery(r *http.Request, removed *Concealed) (parameters []string) {
	kept, dropped := weburl.DropParameters(r.URL.RawQuery, c.NamesParameter)
	if removed != nil {
		removed.query = append(removed.query, dropped...)
	}
	kept, nested := weburl.DropNestedParameters(kept, c.NamesParameter)
	if len(dropped)+len(nested) > 0 {
		r.URL.RawQuery = kept
		r.RequestURI = r.URL.RequestURI()
	}
	changeLines(r, func(line string) string { return weburl.DropParametersIn(line, c.NamesParameter) })
	return append(append(dropped, nested...), c.escapedParameters(r)...)
}

// escapedParameters returns what stands only in URLs within parameters of the query, and of the
// URLs that headers repeat.
func (c *Credentials) escapedParameters(r *http.Request) []string {
	found := weburl.EscapedParameters(r.URL.RawQuery, c.NamesParameter)
	for _, lines := range r.Header {
		for _, line := range lines {
			found = append(found, weburl.EscapedParameters(line, c.NamesParameter)...)
		}
	}
	return found
}

// EraseParameters removes the values of credential parameters from everything else that repeats
// them. The path stays: it has been decided on.
func (c *Credentials) EraseParameters(r *http.Request, parameters []string) {
	if len(parameters) == 0 {
		return
	}
	eraser := weburl.NewEraser(parameters, c.Issued)
	if query := eraser.Erase(r.URL.RawQuery); query != r.URL.RawQuery {
		r.URL.RawQuery = query
		r.RequestURI = r.URL.RequestURI()
	}
	changeLines(r, eraser.Erase)
}

// changeLines changes the lines of all headers. A Connection field that changes is removed: in what
// is left of it a proxy could find the name of a header that it had not found before.
func changeLines(r *http.Request, change func(line string) string) {
	for name, lines := range r.Header {
		for i, line := range lines {
			clean := change(line)
			if clean == line {
				continue
			}
			if connectionField(name) != 0 {
				delete(r.Header, name)
				break
			}
			lines = slices.Clone(lines)
			lines[i] = clean
			r.Header[name] = lines
		}
	}
}

// issued reports whether the Authorization header holds a token that is recognised.
func (c *Credentials) issued(r *http.Request) bool {
	return c.Issued != nil && authorizes(r.Header["Authorization"], c.Issued)
}

// ConcealAuthorization removes the Authorization header if it holds something that is recognised,
// in whatever scheme, and returns what it removed.
func ConcealAuthorization(r *http.Request, recognise func(word string) bool) *Concealed {
	if !authorizes(r.Header["Authorization"], recognise) {
		return nil
	}
	removed := new(Concealed)
	removed.removeHeader(r, "Authorization")
	return removed
}

// authorizes reports whether the lines hold something that is recognised, in whatever scheme and
// between whatever signs, or what a Basic credential is made of does (RFC 7617).
func authorizes(lines []string, recognise func(word string) bool) bool {
	for _, line := range lines {
		for word, rest := range tokenRuns(line) {
			if recognisedIn(word, recognise) {
				return true
			}
			if !strings.EqualFold(word, "Basic") {
				continue
			}
			for word := range tokenRuns(decodeLeniently(rest)) {
				if recognisedIn(word, recognise) {
					return true
				}
			}
		}
	}
	return false
}

// tokenRuns goes through the longest parts of text in which every byte can stand in a token, each with
// the text behind it.
func tokenRuns(text string) iter.Seq2[string, string] {
	return func(yield func(word, rest string) bool) {
		for text != "" {
			end := 0
			for end < len(text) && inToken(text[end]) {
				end++
			}
			if end > 0 && !yield(text[:end], text[end:]) {
				return
			}
			text = text[min(end+1, len(text)):]
		}
	}
}

func inToken(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}

// recognisedIn looks for a token in a word to which other words may be glued with dots and dashes.
// No token has more than three segments.
func recognisedIn(word string, recognise func(word string) bool) bool {
	for word != "" {
		first, more, _ := strings.Cut(word, ".")
		candidate := word
		if second, others, found := strings.Cut(more, "."); found {
			third, _, _ := strings.Cut(others, ".")
			candidate = word[:len(first)+len(second)+len(third)+2]
		}
		if recognise(candidate) {
			return true
		}
		for _, dash := range [2]int{strings.IndexByte(first, '-'), strings.LastIndexByte(first, '-')} {
			if dash >= 0 && recognise(candidate[dash+1:]) {
				return true
			}
		}
		word = more
	}
	return false
}

// decodeLeniently decodes base64 as the most lenient application does: signs of no alphabet are
// skipped, and so are bits at the end that make no byte.
func decodeLeniently(encoded string) string {
	encoded, _, _ = strings.Cut(encoded, ",")
	signs := strings.Map(func(c rune) rune {
		switch {
		case c == '-':
			return '+'
		case c == '_':
			return '/'
		case c == '+', c == '/', c < 0x80 && inToken(byte(c)) && c != '.':
			return c
		}
		return -1
	}, encoded)
	if len(signs)%4 == 1 {
		signs = signs[:len(signs)-1]
	}
	decoded, _ := base64.RawStdEncoding.DecodeString(signs)
	return string(decoded)
}

func (c *Concealed) removeHeader(r *http.Request, name string) {
	if c != nil {
		c.addHeader(name, r.Header[name])
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
