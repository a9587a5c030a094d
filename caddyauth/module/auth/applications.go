package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/handover"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Applications signs browsers in at hosts other than the server's, and answers the paths that belong to
// the gateway there.
type Applications struct {
	handover *handover.Server
	session  *login.Session
	gates    *Gates
	serverAt string // the host of the public URL, without port
}

// Owns reports whether a path belongs to the gateway at the hosts of applications.
func (s *Applications) Owns(path string) bool { return s != nil && s.handover.Owns(path) }

// OwnPath returns the path below which everything belongs to the gateway at the host of a request, if
// the request is for something there: what the server answers, or this. It ends in a slash.
func (s *Applications) OwnPath(r *http.Request) (below string) {
	switch {
	case s == nil:
		return ""
	case s.Elsewhere(r):
		if below = s.handover.Path + "/"; !s.Owns(r.URL.Path) || s.Origin(r) == "" {
			return ""
		}
	default:
		base := s.handover.Base
		below = strings.TrimSuffix(base.Path, "/") + "/"
		asked, err := weburl.CanonicalOrigin(base.Scheme + "://" + r.Host)
		own, ownErr := weburl.CanonicalOrigin(base.Scheme + "://" + base.Host)
		if err != nil || ownErr != nil || asked != own || !strings.HasPrefix(r.URL.Path, below) {
			return ""
		}
	}
	return below
}

// Serve answers a request whose path Owns, and reports whether it did: at a host that is no
// application's it answers nothing.
func (s *Applications) Serve(w http.ResponseWriter, r *http.Request) (done bool) {
	origin := s.Origin(r)
	if origin == "" {
		return false
	}
	vars := request.Vars(r)
	s.gates.Reveal(r, vars, nil)
	answer := browser.Own(w, vars)
	defer answer.Finish(w, false)
	switch {
	case !s.session.Handles(r.URL.Path):
		s.handover.Serve(answer, r, origin)
	case s.gates.Sessions.Ready(r.Context()) != nil:
		endpoint.Unavailable(answer, "starting")
	default:
		s.session.ServeHTTP(answer, r)
	}
	return true
}

// Elsewhere reports whether a request is for another host than the server's, where its session cookie
// does not come.
func (s *Applications) Elsewhere(r *http.Request) bool {
	return s != nil && issuance.HostOf(r.Host) != s.serverAt
}

// Origin returns the origin of the application that a request is for; empty at the server's own host,
// and where the configuration knows none.
func (s *Applications) Origin(r *http.Request) string {
	if !s.Elsewhere(r) {
		return ""
	}
	return s.handover.Origin(r)
}

// Begin sends a browser to the server to sign in, or explains why it cannot: the configuration does not
// know the host, or the site has another scheme than the sign-in page.
func (s *Applications) Begin(w http.ResponseWriter, r *http.Request, want handover.Want) {
	want.Origin = s.Origin(r)
	if want.Origin == "" {
		s.explain(w, r)
		return
	}
	want.Target = request.OriginalURI(r)
	answer := browser.Own(w, request.Vars(r))
	defer answer.Finish(w, false)
	s.handover.Begin(answer, r, want)
}

func (s *Applications) explain(w http.ResponseWriter, r *http.Request) {
	if s.isOtherScheme(r) {
		handover.ExplainScheme(w, r, s.handover.Base.Scheme)
		return
	}
	handover.ExplainUnknown(w, r, s.guess(r))
}

// isOtherScheme reports whether a request came over another scheme than that of the public URL. On a
// loopback host nothing stands in front that would take TLS off.
func (s *Applications) isOtherScheme(r *http.Request) bool {
	if s.handover.Base.Scheme == "http" {
		return r.TLS != nil
	}
	return r.TLS == nil && weburl.IsLoopback(issuance.HostOf(r.Host))
}

// guess is the origin that the operator would have to add; empty when the host can be none.
func (s *Applications) guess(r *http.Request) string {
	origin, err := weburl.CanonicalOrigin(s.handover.Base.Scheme + "://" + r.Host)
	if err != nil {
		return ""
	}
	return origin
}

func (s *Applications) loginAt(r *http.Request, target string, again bool) string {
	if s.Origin(r) == "" {
		return ""
	}
	return s.handover.LoginURL(target, again)
}

func (s *Applications) logoutAt(*http.Request) string { return s.handover.LogoutURL() }

// redirectURIs are those of clients.Web.
func (s *Applications) redirectURIs() []string {
	if s == nil {
		return nil
	}
	return s.handover.RedirectURIs()
}

// redeem exchanges the code that has come to an application's host for a session there.
func (b renewals) redeem(ctx context.Context, c handover.Code) (handover.Session, error) {
	issued, err := b.issuing.ExchangeCode(ctx, issuance.CodeExchange{
		Code:        c.Code,
		ClientID:    clients.Web,
		RedirectURI: c.RedirectURI,
		Verifier:    c.Verifier,
		MaxToken:    login.MaxCookie - len(b.login.CookieName),
		Now:         c.Now,
	})
	if _, refused := errors.AsType[*issuance.CodeRefusal](err); refused {
		return handover.Session{}, handover.ErrCode
	}
	if errors.Is(err, issuance.ErrTooLarge) {
		return handover.Session{}, fmt.Errorf("%w: %s: %w", handover.ErrTooLarge, b.login.CookieName, err)
	}
	if err != nil {
		return handover.Session{}, err
	}
	return handover.Session{
		Cookies: b.login.Cookies(login.NewIssued(issued.Issued, c.Now)),
		Subject: issued.Grant.Subject,
		Project: issued.Grant.Project,
	}, nil
}
