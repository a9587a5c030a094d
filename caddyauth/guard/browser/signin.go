package browser

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
)

// maxNext is the longest return target that the login page takes, in bytes.
const maxNext = 2048

// SignIn is where a gate sends browsers to sign in.
type SignIn struct {
	// Page is the login page; empty where browsers are sent nowhere.
	Page string
	// Server is the server's own login page and what belongs to it.
	Server *Server
}

// Server is what gates know of the server's own pages.
type Server struct {
	// Base is the public URL; nil when there is none.
	Base *url.URL
	// ListedOrigin returns the listed origin that a request's host names; empty when none does.
	ListedOrigin func(r *http.Request) string
	// LeadsTo reports whether a sign-in may lead to an address.
	LeadsTo func(address string) bool
	// CleanTarget takes credentials out of an address.
	CleanTarget func(address string) string
	// SentQuery is the query parameter that says when a browser was sent.
	SentQuery func(now time.Time) string
	// Home is where a sign-in leads to that came from nowhere; both are empty when it is nowhere.
	Home func() (text, address string)
	// Elsewhere reports whether a request is for a host to which the server's session cookie does not
	// come, so that the browser is handed over to the server and back. Default: no host is one.
	Elsewhere func(r *http.Request) bool
	// LoginAt is the address at such a host where a person begins to sign in, and comes to a path of
	// it; empty when the configuration does not know the host. LogoutAt is where they sign out.
	LoginAt  func(r *http.Request, target string, again bool) string
	LogoutAt func(r *http.Request) string
	// HomeIsSet says that the configuration names Home, so that it is the home of all sites.
	HomeIsSet bool
}

// Request is a request with its URL as the client sent it, before the site rewrote it.
type Request struct {
	*http.Request
	Original *url.URL
}

// here reports whether the gate sends people to this server's own login page.
func (s *SignIn) here() bool {
	return s.Page != "" && s.Server.Base != nil && s.Page == s.Server.Base.JoinPath("login").String()
}

// HandsOver reports whether the gate is on another host than the server's login page.
func (s *SignIn) HandsOver(r *http.Request) bool {
	return s.here() && s.Server.Elsewhere != nil && s.Server.Elsewhere(r)
}

// IsPage reports whether the request is for the login page itself: no `auth_server` has answered
// it, or the gate stands before one, and to send the browser there would send it round in a circle.
func (s *SignIn) IsPage(r Request) bool {
	if s.HandsOver(r.Request) {
		return false
	}
	u, err := url.Parse(s.Page)
	if err != nil || r.Original.Path != u.Path {
		return false
	}
	return strings.EqualFold(r.Host, u.Host) || s.Server.ListedOrigin(r.Request) == ""
}

// URL is where a browser signs in and from where it comes back.
func (s *SignIn) URL(r Request) string {
	if s.HandsOver(r.Request) {
		return s.Server.LoginAt(r.Request, sameHost(r), false)
	}
	return s.address(r, nil)
}

// AgainURL is URL for a person who is signed in and has to sign in again: the server's own page asks
// for the password nevertheless.
func (s *SignIn) AgainURL(r Request) string {
	if s.HandsOver(r.Request) {
		return s.Server.LoginAt(r.Request, sameHost(r), true)
	}
	if !s.here() {
		return s.URL(r)
	}
	return s.address(r, []string{"switch=1"})
}

func (s *SignIn) address(r Request, query []string) string {
	if next := s.next(r); next != "" {
		query = append(query, "next="+url.QueryEscape(next))
	}
	if s.here() {
		query = append(query, s.Server.SentQuery(time.Now()))
	}
	if len(query) == 0 {
		return s.Page
	}
	return s.Page + "?" + strings.Join(query, "&")
}

// next returns where a browser goes after signing in: the page that it asked for or, after a posted
// form and in a frame, the page around. The origin is one that is listed; the request's Host only
// chooses among them.
func (s *SignIn) next(r Request) string {
	isPage := gate.IsNavigation(r.Request)
	if from := r.Referer(); !isPage && from != "" && s.Server.Base != nil && s.Server.LeadsTo(from) {
		return s.Server.CleanTarget(from)
	}
	next := s.Server.ListedOrigin(r.Request)
	if next == "" {
		return ""
	}
	if isPage || r.Method == http.MethodGet {
		next += r.Original.RequestURI()
	} else {
		next += "/"
	}
	if len(next) > maxNext {
		return ""
	}
	return next
}

// sameHost is next at a host of its own: the path of the page that was asked for or, after a posted
// form and in a frame, of the page around.
func sameHost(r Request) string {
	if gate.IsNavigation(r.Request) {
		return r.Original.RequestURI()
	}
	if from, err := url.Parse(r.Referer()); err == nil && strings.EqualFold(from.Host, r.Host) {
		return from.RequestURI()
	}
	if r.Method == http.MethodGet {
		return r.Original.RequestURI()
	}
	return "/"
}

// SamePage is the address of the page that was asked for, for a link on the same origin.
func SamePage(r Request) string {
	uri := r.Original.RequestURI()
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead,
		!strings.HasPrefix(uri, "/"), strings.HasPrefix(uri, "//"), strings.Contains(uri, `\`):
		return "/"
	}
	return uri
}
