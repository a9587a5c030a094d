package gate

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Owned is the set of header names that only the gateway may set. What a client sends under such a
// name, in any spelling that an application could take for it, is removed from every request that
// passes a gate or a header filter.
type Owned struct {
	byLength [maxHeaderName + 1][]string // folded names
	frozen   bool
}

// errFrozen is returned by what may not change once requests are served.
var errFrozen = errors.New("the gateway has started, and no gate can be added any more")

// Freeze ends the time in which names can be added. It must be called before requests are served.
func (o *Owned) Freeze() { o.frozen = true }

const maxHeaderName = 128

// Own adds a header name. It refuses a new name once the set is frozen.
func (o *Owned) Own(name string) error {
	if err := ValidateHeaderName(name); err != nil {
		return err
	}
	if o.owns(name) {
		return nil
	}
	if o.frozen {
		return fmt.Errorf("header %q: %w", name, errFrozen)
	}
	o.byLength[len(name)] = append(o.byLength[len(name)], fold(name))
	return nil
}

// Names returns the owned names in canonical spelling, sorted.
func (o *Owned) Names() []string {
	var names []string
	for _, folded := range o.byLength {
		for _, name := range folded {
			names = append(names, textproto.CanonicalMIMEHeaderKey(name))
		}
	}
	slices.Sort(names)
	return names
}

// owns compares as the most careless application would: case does not count, and every byte that is
// no letter or digit is taken for `-`. CGI, WSGI and PHP make `_` of some (CVE-2026-52845),
// lighttpd and old releases of Apache's server of all.
func (o *Owned) owns(name string) bool {
	if len(name) > maxHeaderName {
		return false
	}
	for _, folded := range o.byLength[len(name)] {
		if foldsTo(name, folded) {
			return true
		}
	}
	return false
}

// Respelled returns a field in another spelling of an owned name, which an application could take for
// it; empty when there is none.
func (o *Owned) Respelled(h http.Header) string {
	for name := range h {
		if o.owns(name) && !validName(name) {
			return name
		}
	}
	return ""
}

// foldsTo reports whether fold(name) is folded, which has the same length.
func foldsTo(name, folded string) bool {
	for i := range len(name) {
		if folds[name[i]] != folded[i] {
			return false
		}
	}
	return true
}

func fold(name string) string {
	folded := []byte(name)
	for i, c := range folded {
		folded[i] = folds[c]
	}
	return string(folded)
}

// folds has for every byte what it counts as in a header name.
var folds = func() (table [256]byte) {
	for c := range table {
		switch c := byte(c); {
		case c >= 'A' && c <= 'Z':
			table[c] = c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			table[c] = c
		default:
			table[c] = '-'
		}
	}
	return table
}()

// Strip removes the owned headers from the request: fields, mentions in Connection, and trailers,
// also those that come after the body. Headers that an earlier gate asserted on this request
// (prior) stay. It also removes every upgrade but a lone WebSocket and those named in upgrades.
func (o *Owned) Strip(r *http.Request, prior *Admission, upgrades ...string) {
	connection := false
	for name := range r.Header {
		if o.owns(name) && !prior.keeps(name) {
			delete(r.Header, name)
		}
		connection = connection || connectionField(name) != 0
	}
	if connection {
		o.stripConnection(r, upgrades)
	}
	if r.Method == http.MethodConnect {
		stripExtendedConnect(r)
	}
	if r.Body != nil && r.Body != http.NoBody && (r.ContentLength < 0 || r.ProtoMajor > 1 || len(r.Trailer) > 0) {
		o.stripTrailers(r)
	}
}

func (p *Admission) keeps(name string) bool {
	return slices.Contains(p.names(), name)
}

// stripTrailers removes owned names from the announced trailers and, when the body ends, from those
// that came.
func (o *Owned) stripTrailers(r *http.Request) {
	o.dropTrailers(r)
	r.Body = &trailerBody{ReadCloser: r.Body, request: r, owned: o}
}

func (o *Owned) dropTrailers(r *http.Request) {
	for name := range r.Trailer {
		if o.owns(name) {
			delete(r.Trailer, name)
		}
	}
}

// trailerBody drops owned trailers in the very Read that ends the body: net/http fills them in just
// before.
type trailerBody struct {
	io.ReadCloser
	request *http.Request
	owned   *Owned
}

func (b *trailerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.owned.dropTrailers(b.request)
	}
	return n, err
}

// refusedNames are headers that a gate may not set: they frame the message or belong to the proxy
// or the credential.
var refusedNames = []string{
	"host", "content-length", "transfer-encoding", "content-encoding", "content-type", "connection", "keep-alive", "te",
	"trailer", "upgrade", "http2-settings", "proxy-authenticate", "proxy-authorization", "proxy-connection",
	"authorization", "cookie", "set-cookie", "expect", "via", "early-data", "forwarded", "x-forwarded-for",
	"x-forwarded-host", "x-forwarded-proto", "origin", "accept-encoding",
}

// ValidateHeaderName refuses header names that would not arrive as written or would break the message.
func ValidateHeaderName(name string) error {
	switch canonical := textproto.CanonicalMIMEHeaderKey(name); {
	case name == "":
		return fmt.Errorf("a header needs a name")
	case len(name) > maxHeaderName:
		return fmt.Errorf("header name of %d bytes; at most %d", len(name), maxHeaderName)
	case strings.ContainsAny(name, "_."):
		return fmt.Errorf("header %q: `_` and `.` are not kept apart from `-` by every application; write %q", name,
			textproto.CanonicalMIMEHeaderKey(fold(name)))
	case !validName(name):
		return fmt.Errorf("header %q: only letters, digits and `-` are allowed", name)
	case slices.Contains(refusedNames, strings.ToLower(name)):
		return fmt.Errorf("header %q: it belongs to the message or the proxy and cannot carry a claim", canonical)
	}
	return nil
}

// validName reports whether a name has only letters, digits and `-`.
func validName(name string) bool {
	return !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-'
	})
}
