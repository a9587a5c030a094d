package login

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/serve/ui"
)

// Launcher knows the applications that the start page lists.
type Launcher interface {
	// Any reports whether there are any, whoever may use them.
	Any() bool
	// For lists the applications that a person may use. The person is the one whose living session the
	// request brings.
	For(r *http.Request) []Application
}

// Application is one that a person may use.
type Application struct {
	// Name is what people call it, URL where it is opened, Host the host of URL.
	Name, URL, Host string

	// Icon is the address of its picture, IconSource the place that it comes from, as a content
	// security policy has it: an origin, or "data:". Default: none.
	Icon, IconSource string
}

// GetStart answers GET of the server's root: with the applications that the person may use where there
// are any, and otherwise with who is signed in, and links.
func (s *Server) GetStart(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if s.Keep != nil {
		if err := s.Keep(w, r); err != nil {
			s.refuse(w, r, verdict{result: storeUnavailable, err: err})
			return
		}
	}
	subject := s.subject(r)
	switch {
	case subject == "":
		s.renderStart(w)
	case s.launches():
		s.renderApplications(w, r, subject)
	default:
		s.renderSignedIn(w, r, subject, target{}, false)
	}
}

// renderStart says that nobody is signed in.
func (s *Server) renderStart(w http.ResponseWriter) {
	ui.Render(w, http.StatusOK, ui.Start{
		Site:  s.Base.Host,
		Links: append([]ui.Link{{Text: "Sign in", URL: s.url("/login")}}, s.homeLink()...),
	})
}

// launches reports whether the start page lists applications.
func (s *Server) launches() bool { return s.Launcher != nil && s.Launcher.Any() }

func (s *Server) renderApplications(w http.ResponseWriter, r *http.Request, subject string) {
	page := ui.Applications{
		Site:    s.Base.Host,
		Subject: subject,
		SignOut: s.url("/logout"),
		Search:  s.url("/"),
		Query:   searchOf(r),
	}
	words := strings.Fields(strings.ToLower(page.Query))
	for _, a := range s.Launcher.For(r) {
		text := strings.ToLower(a.Name + " " + a.Host)
		page.List = append(page.List, ui.Application{
			Name:       a.Name,
			URL:        a.URL,
			Host:       a.Host,
			Icon:       a.Icon,
			IconSource: a.IconSource,
			Hidden:     slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) }),
		})
	}
	ui.Render(w, http.StatusOK, page)
}

// maxSearch is how many characters are searched for.
const maxSearch = 100

// searchOf is what a person looks for.
func searchOf(r *http.Request) string {
	text := []rune(strings.ToValidUTF8(r.URL.Query().Get("q"), ""))
	return strings.TrimSpace(string(text[:min(len(text), maxSearch)]))
}
