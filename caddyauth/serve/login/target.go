package login

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// maxTarget is the longest return target, in bytes, and maxAuthorize that of an authorization request,
// which holds what other targets do not.
const (
	maxTarget    = 2048
	maxAuthorize = 8 << 10
)

// target is a checked address to go to after signing in.
type target struct {
	// url is absolute, so that Location means the same to every client.
	url string
	// origin is the one that was listed.
	origin string
	// host is shown to people.
	host string
}

// target checks a return target. It takes an absolute address whose origin is, byte for byte,
// Base's or one of ReturnTo, and a path of Base's origin that begins with exactly one slash;
// nothing else, and nothing that browsers and servers could read differently.
func (s *Server) target(next string) (t target, ok bool) {
	if next == "" || len(next) > s.longest(next) || !weburl.IsPlain(next) {
		return target{}, false
	}
	if s.CleanTarget != nil {
		next = s.CleanTarget(next)
	}
	origin, rest, ok := s.splitTarget(next)
	if !ok {
		return target{}, false
	}
	u, err := url.Parse(origin + rest)
	switch {
	case err != nil || u.Opaque != "" || u.User != nil || u.Scheme+"://"+u.Host != origin:
		return target{}, false
	case s.Base.Scheme == "https" && u.Scheme != "https":
		return target{}, false
	case !plainPath(u.Path):
		return target{}, false
	case origin == s.origin() && s.leadsHere(u.Path):
		return target{}, false
	}
	return target{url: origin + rest, origin: origin, host: u.Host}, true
}

func (s *Server) longest(next string) int {
	if s.isAuthorize(next) {
		return maxAuthorize
	}
	return maxTarget
}

// isAuthorize says whether a target is an authorization request of this server.
func (s *Server) isAuthorize(next string) bool {
	return strings.HasPrefix(strings.TrimPrefix(next, s.origin()), s.url("/authorize")+"?")
}

// LeadsTo says whether a sign-in may lead to an address.
func (s *Server) LeadsTo(address string) bool {
	_, ok := s.target(address)
	return ok
}

// splitTarget cuts a target into a listed origin and what follows it: nothing, a path, a query or a
// fragment.
func (s *Server) splitTarget(next string) (origin, rest string, ok bool) {
	if next[0] == '/' {
		return s.origin(), next, true
	}
	for _, origin := range append([]string{s.origin()}, s.ReturnTo...) {
		rest, ok := strings.CutPrefix(next, origin)
		if ok && (rest == "" || strings.ContainsRune("/?#", rune(rest[0]))) {
			return origin, rest, true
		}
	}
	return "", "", false
}

// plainPath says whether an unescaped path stays what it is after one more reading: it does not
// begin with two slashes, and has no backslash, no control character and no dot segment.
func plainPath(path string) bool {
	isControl := func(c rune) bool { return c < ' ' || c == 0x7f }
	return !strings.HasPrefix(path, "//") && !strings.ContainsFunc(path, isControl) && !weburl.HasDotSegments(path)
}

// leadsHere says whether a path of Base's origin is the login or logout route, where a sign-in
// would loop. Route matching in front of us may ignore case and trailing slashes.
func (s *Server) leadsHere(path string) bool {
	path = strings.ToLower(path)
	for _, route := range []string{"/login", "/logout"} {
		own := strings.ToLower(s.url(route))
		if path == own || strings.HasPrefix(path, own+"/") {
			return true
		}
	}
	return false
}

// origin returns Base's.
func (s *Server) origin() string { return s.Base.Scheme + "://" + s.Base.Host }

// foreignOrigin returns the target's origin unless it is Base's own.
func (s *Server) foreignOrigin(t target) string {
	if t.origin == s.origin() {
		return ""
	}
	return t.origin
}

// unreachable reports whether who is signed in here is not signed in at the target: the cookie belongs
// to Base's host only, on every port, and no gate there hands the sign-in over.
func (s *Server) unreachable(t target) bool {
	if t.origin == "" || s.HandsOver != nil && s.HandsOver(t.origin) {
		return false
	}
	u, err := url.Parse(t.origin)
	return err != nil || u.Hostname() != s.Base.Hostname()
}

// home returns the target of the home link of pages; zero without one.
func (s *Server) home() target {
	if t, ok := s.target(s.Home); ok {
		return t
	}
	if s.Base.Path == "" {
		return target{}
	}
	t, _ := s.target("/") // whatever it is beneath which the routes lie
	return t
}

// queryTarget returns the checked target of a request's `next` parameter; none when there are two.
func (s *Server) queryTarget(r *http.Request) target {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(values["next"]) != 1 {
		return target{}
	}
	t, _ := s.target(values["next"][0])
	return t
}
