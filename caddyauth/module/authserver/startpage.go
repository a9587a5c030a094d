package authserver

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
)

// start shows the start page at the root of a host where nothing else answers: an application may
// share the site.
func (s *AuthServer) start(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	seen := &noticer{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
	if err := s.passOn(seen, r, next); err != nil || seen.yes ||
		r.Method != http.MethodGet && r.Method != http.MethodHead {
		return err
	}
	if err := s.app.Ready(r.Context()); err != nil {
		s.starting(w, r)
		return nil
	}
	vars := request.Vars(r)
	s.gates.Reveal(r, vars, nil)
	answer := browser.Own(w, vars)
	defer answer.Finish(w, false)
	s.app.Services().Login.GetStart(answer, r)
	return nil
}

// noticer notes whether a handler answers.
type noticer struct {
	caddyhttp.ResponseWriterWrapper
	yes bool
}

func (w *noticer) WriteHeader(status int) {
	w.yes = true
	w.ResponseWriterWrapper.WriteHeader(status)
}

func (w *noticer) Write(p []byte) (int, error) {
	w.yes = true
	return w.ResponseWriterWrapper.Write(p)
}

func (w *noticer) ReadFrom(r io.Reader) (int64, error) {
	w.yes = true
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// Unwrap is for whoever takes over the connection, or sends the header by flushing: both are
// answers.
func (w *noticer) Unwrap() http.ResponseWriter {
	w.yes = true
	return w.ResponseWriter
}

// stripped reports whether the path of the mount was taken away before the request came here, as
// `handle_path` does: no route could be found then, and the answer would be blank.
func (s *AuthServer) stripped(r *http.Request) bool {
	path := request.OriginalURL(r).Path
	return s.mount != "" && strings.HasPrefix(path, s.mount+"/") && strings.HasSuffix(path, r.URL.Path) &&
		path != r.URL.Path
}

// answerStripped says so: to a person that the page is not there, to the operator why.
func (s *AuthServer) answerStripped(w http.ResponseWriter, r *http.Request) error {
	err := fmt.Errorf("auth_server: %s was taken from the path before it came here; write `handle %s/*`, not "+
		"`handle_path`",
		s.mount, s.mount)
	if request.HasErrorRoutes(r) || !gate.WantsPage(r) {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	s.gates.Sampled.Error(err.Error())
	ui.Render(w, http.StatusInternalServerError, ui.Message{
		Site:  r.Host,
		Title: "Signing in is not possible",
		Text:  "The sign-in page of this site cannot be reached. Please tell the people who run it.",
		Links: []ui.Link{{Text: "Go to the start page", URL: "/"}},
	})
	return nil
}

func (s *AuthServer) homeLink() []ui.Link {
	if text, address := s.app.Services().Login.HomeLink(); address != "" {
		return []ui.Link{{Text: text, URL: address}}
	}
	return nil
}
