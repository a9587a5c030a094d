package gate

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// PathForms says which spellings of a path pass although applications read them in different ways.
// The zero value is strict: none.
type PathForms struct {
	// Undecided says that no path decides who may pass: the application may read all the others as
	// it likes.
	Undecided bool
	// Parameters are segments with `;`. Servlet containers take off what follows: `/private;x/s` is
	// `/private/s`.
	Parameters bool
	// LeadingSlashes is a path that begins with `//`. Whoever resolves it as a reference (Node's
	// `new URL`) takes the first segment for a host: `//public/admin` is `/admin`.
	LeadingSlashes bool
	// TrailingDots are segments that end in dots or spaces, which Windows takes off: `/private./s`
	// is `/private/s`.
	TrailingDots bool
	// Sessions are segments that begin with `(X(`. ASP.NET takes them out: `/(S(x))/private` is
	// `/private`.
	Sessions bool
}

// CheckTarget refuses a request target by which an application could be reached otherwise than a
// matcher decided: what is no path of this host, and paths that applications read in different
// ways. u is the URL to judge: r.URL, or the one that the client asked for where something has
// changed that since. The error is a *token.Refusal.
func CheckTarget(r *http.Request, u *url.URL, allowed PathForms) error {
	if err := CheckForm(r, u); err != nil {
		return err
	}
	if detail := ambiguity(u.Path, allowed); detail != "" {
		return refuse(AmbiguousPath, detail)
	}
	return nil
}

// CheckForm refuses a request target that is no path of the request's host. Let through are the
// origin form (RFC 9112, section 3.2.1), which begins with `/`; the absolute form that net/http has
// taken apart, over HTTP/1, when its authority is the request's host; and `OPTIONS *`. CONNECT
// passes as the extended one alone (RFC 8441, RFC 9220), which has a path. Hosts that applications
// and matchers for hosts read in different ways are refused, too. The error is a *token.Refusal.
func CheckForm(r *http.Request, u *url.URL) error {
	if detail := malformed(r, u); detail != "" {
		return refuse(AmbiguousPath, detail)
	}
	return nil
}

func malformed(r *http.Request, u *url.URL) string {
	switch {
	case IsUnclearHost(r.Host):
		return "the host ends in a dot, has more than a port behind it, has characters that hosts do not have, " +
			"or brackets around something other than an IPv6 address"
	case u.Opaque != "": // matchers see an empty path, and this is what is forwarded
		return "the request target is opaque"
	case r.Method == http.MethodConnect && !extendedConnect(r):
		return "CONNECT asks for a tunnel"
	case u.Scheme != "" || u.Host != "" || u.User != nil || u.OmitHost:
		web := u.Scheme == "http" || u.Scheme == "https"
		if r.ProtoMajor != 1 || u.User != nil || u.Host == "" || u.Host != r.Host || !web {
			return "the request target is a URL, not a path of this host"
		}
	case u.Path == "*" && r.Method == http.MethodOptions:
		return ""
	}
	if u.Path == "" || u.Path[0] != '/' {
		return "the request target is not a path that begins with /"
	}
	return ""
}

// IsUnclearHost reports whether applications may read a host as another one than matchers for hosts
// do: they drop a dot behind the name (RFC 1034, section 3.1), and some everything behind the first
// colon or comma. Those that read it as part of a URL end it before a slash, `?` or `#`, and decode
// it; HTTP/3 lets all of that come here. Matchers drop brackets also around a name.
func IsUnclearHost(host string) bool {
	if !httpguts.ValidHostHeader(host) || strings.IndexByte(host, ',') >= 0 {
		return true
	}
	if strings.HasPrefix(host, "[") {
		return isUnclearLiteral(host)
	}
	name, port, _ := strings.Cut(host, ":")
	return strings.HasSuffix(name, ".") || strings.ContainsAny(name, "%[]") || !isPort(port)
}

// isUnclearLiteral is for hosts that begin with a bracket, which have an IPv6 address in it (RFC 3986,
// section 3.2.2).
func isUnclearLiteral(host string) bool {
	literal, rest, closed := strings.Cut(host[1:], "]")
	address, _, _ := strings.Cut(literal, "%") // what follows is a zone (RFC 6874)
	ip, err := netip.ParseAddr(address)
	return !closed || err != nil || !ip.Is6() || rest != "" && (rest[0] != ':' || !isPort(rest[1:]))
}

// isPort reports whether a text is a port behind a host, which may be empty.
func isPort(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// extendedConnect reports whether a CONNECT request opens a WebSocket or the like over HTTP/2 or
// HTTP/3: net/http leaves the protocol in the header, quic-go in Proto.
func extendedConnect(r *http.Request) bool {
	return r.ProtoMajor == 2 && len(r.Header[":protocol"]) > 0 ||
		r.ProtoMajor == 3 && !strings.HasPrefix(r.Proto, "HTTP/")
}

// ambiguity says why applications read a path in different ways; it is empty for one that all read
// alike. Dot segments (RFC 3986, section 5.2.4, has clients remove them) and backslashes never
// pass. path is decoded, so that encoded forms count, too.
func ambiguity(path string, allowed PathForms) string {
	if weburl.HasDotSegments(path) {
		return "the path has dot segments or backslashes"
	}
	if allowed.Undecided {
		return ""
	}
	if !allowed.LeadingSlashes && strings.HasPrefix(path, "//") {
		return "the path begins with //, and paths decide here; path_leading_slashes lets it pass"
	}
	if plain(path) {
		return ""
	}
	for segment := range strings.SplitSeq(path, "/") {
		if detail := segmentAmbiguity(segment, allowed); detail != "" {
			return detail
		}
	}
	return ""
}

func segmentAmbiguity(segment string, allowed PathForms) string {
	name, _, parameters := strings.Cut(segment, ";")
	switch {
	case parameters && !allowed.Parameters:
		return "the path has parameters (;), and paths decide here; path_parameters lets them pass"
	case !allowed.TrailingDots && (endsInDot(segment) || endsInDot(name)):
		return "a segment of the path ends in a dot or a space, and paths decide here; path_trailing_dots lets it pass"
	case !allowed.Sessions && isSession(segment):
		return "a segment of the path begins like (X(, and paths decide here; path_sessions lets it pass"
	case hasControl(segment):
		return "the path has control characters, and paths decide here"
	case hasOverlong(segment):
		return "the path has overlong UTF-8, and paths decide here"
	}
	return ""
}

// suspect are the bytes without which a path, but for a leading `//`, is read alike by all.
var suspect = func() (table [256]bool) {
	for c := range 0x20 {
		table[c] = true
	}
	for _, c := range []byte{';', '.', ' ', '(', 0x7f, 0xc0, 0xc1, 0xe0, 0xf0, 0xf8, 0xfc, 0xfe, 0xff} {
		table[c] = true
	}
	return table
}()

// plain reports whether a path has no suspect byte. Dots and spaces inside a segment, as file names
// have them, are none.
func plain(path string) bool {
	for i := range len(path) {
		c := path[i]
		if !suspect[c] {
			continue
		}
		inside := i+1 < len(path) && path[i+1] != '/' && path[i+1] != ';'
		if c != '.' && c != ' ' || !inside {
			return false
		}
	}
	return true
}

func endsInDot(segment string) bool {
	return strings.HasSuffix(segment, ".") || strings.HasSuffix(segment, " ")
}

// isSession reports whether a segment begins with what ASP.NET takes for a session, whatever comes
// behind it.
func isSession(segment string) bool {
	return len(segment) >= 3 && segment[0] == '(' && segment[2] == '(' && 'a' <= segment[1]|0x20 &&
		segment[1]|0x20 <= 'z'
}

// hasControl reports whether a segment has control characters: whoever reads it as a C string ends
// at a NUL.
func hasControl(segment string) bool {
	return strings.ContainsFunc(segment, func(c rune) bool { return c < 0x20 || c == 0x7f })
}

// hasOverlong reports whether a segment has an encoding that is longer than it need be (RFC 3629,
// section 3), in which some decoders see the `.` or `/` that they were to refuse. Forms of five
// bytes and more are no UTF-8 today, and there are decoders that still take them.
func hasOverlong(segment string) bool {
	for i := range len(segment) - 1 {
		if next := segment[i+1]; 0x80 <= next && next < overlongBelow(segment[i]) {
			return true
		}
	}
	return false
}

// overlongBelow is the byte from which on the second one of an encoding is needed with this first
// one; 0 where every one is.
func overlongBelow(first byte) byte {
	switch first {
	case 0xc0, 0xc1:
		return 0xc0
	case 0xe0:
		return 0xa0
	case 0xf0:
		return 0x90
	case 0xf8:
		return 0x88
	case 0xfc:
		return 0x84
	case 0xfe:
		return 0x82
	case 0xff:
		return 0x81
	}
	return 0
}
