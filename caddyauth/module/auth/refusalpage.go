package auth

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
)

// refusalPage is what a person sees of a refusal: what happened, who is signed in, and what to do next.
func (j *JWTAuth) refusalPage(r *http.Request, reason token.Reason, admission *gate.Admission) ui.Message {
	page := ui.Message{Site: r.Host, Code: string(reason), Framed: gate.IsFramed(r)}
	if admission != nil && admission.Token != nil {
		page.Subject = admission.Token.Subject
	}
	switch {
	case reason == gate.CrossOrigin:
		page.Title = "Request from another site"
		page.Text = "This request was sent by another site, so it was not carried out. Open the page here and try again."
		page.Links = []ui.Link{{Text: "Open the page", URL: samePage(r)}}
	case gate.Status(reason) == http.StatusForbidden:
		page.Title = "No access"
		page.Text = "This page is not open to this account. Ask the people who run the site if you think it should be."
		page.Links = j.accountLinks(r)
	case gate.Status(reason) == http.StatusServiceUnavailable:
		page.Title = "Not available right now"
		page.Text = "Your sign-in cannot be checked at this moment. Please try again in a few seconds."
		page.Links = []ui.Link{{Text: "Try again", URL: samePage(r)}}
	case reason == gate.MultipleCredentials:
		page.Title = "Two sign-ins at once"
		page.Text = "Your browser sent more than one sign-in with this request. Sign out, and sign in again."
		page.Links = j.accountLinks(r)
	case gate.Status(reason) == http.StatusBadRequest:
		page.Title = "Unclear address"
		page.Text = "The address can be read in more than one way, so the request was not passed on."
	default:
		j.sayWhoMayEnter(&page, r)
	}
	page.Links = append(page.Links, j.homeLink(r)...)
	return page
}

// sayWhoMayEnter fills the page of somebody who is not signed in and is not sent to the login page.
func (j *JWTAuth) sayWhoMayEnter(page *ui.Message, r *http.Request) {
	page.Title = "Sign-in needed"
	page.Text = "This page is only open to people who are signed in."
	switch {
	case j.loginPage == "":
		page.Links = []ui.Link{{Text: "Try again", URL: samePage(r)}}
		return
	case j.isLoginPage(r):
		page.Title = "Signing in is not possible"
		page.Text = "The sign-in page of this site cannot be reached. Please tell the people who run it."
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		page.Text = "You are not signed in any more, so what you sent was not passed on. Sign in, then go back and send it again."
	case page.Framed:
		page.Text = "This part of the page is only open to people who are signed in."
	}
	page.Links = []ui.Link{{Text: "Sign in", URL: j.loginURL(r)}}
}

// accountLinks lead to another account and out of this one; to nothing where people do not sign in here.
func (j *JWTAuth) accountLinks(r *http.Request) []ui.Link {
	if !j.signsInHere() {
		return nil
	}
	query := ""
	if next := j.comesBackTo(r); next != "" {
		query = "next=" + url.QueryEscape(next)
	}
	base := j.app.base
	return []ui.Link{
		{Text: "Use another account", URL: base.JoinPath("login").String() + "?" + strings.TrimSuffix("switch=1&"+query, "&")},
		{Text: "Sign out", URL: strings.TrimSuffix(base.JoinPath("logout").String()+"?"+query, "?")},
	}
}

// homeLink leads home, or to the root of the site; to nothing when the request was for that.
func (j *JWTAuth) homeLink(r *http.Request) []ui.Link {
	if j.signsInHere() || j.app.home != "" {
		if text, address := j.app.login.HomeLink(); address != "" && address != j.comesBackTo(r) {
			return []ui.Link{{Text: text, URL: address}}
		}
	}
	if originalURL(r).Path == "/" {
		return nil
	}
	return []ui.Link{{Text: "Go to the start page", URL: "/"}}
}

// signsInHere reports whether the gate sends people to this server's own login page.
func (j *JWTAuth) signsInHere() bool {
	return j.loginPage != "" && j.app.base != nil && j.loginPage == j.app.base.JoinPath("login").String()
}

// isLoginPage reports whether the request is for the login page itself: no `auth_server` has answered it, or the
// gate stands before one, and to send the browser there would send it round in a circle.
func (j *JWTAuth) isLoginPage(r *http.Request) bool {
	u, err := url.Parse(j.loginPage)
	if err != nil || originalURL(r).Path != u.Path {
		return false
	}
	return strings.EqualFold(r.Host, u.Host) || j.app.listedOrigin(r) == ""
}

// maxNext is the longest return target that the login page takes, in bytes.
const maxNext = 2048

// loginURL is where a browser signs in and from where it comes back.
func (j *JWTAuth) loginURL(r *http.Request) string {
	var query []string
	if next := j.comesBackTo(r); next != "" {
		query = append(query, "next="+url.QueryEscape(next))
	}
	if j.signsInHere() {
		query = append(query, login.SentQuery(time.Now()))
	}
	if len(query) == 0 {
		return j.loginPage
	}
	return j.loginPage + "?" + strings.Join(query, "&")
}

// comesBackTo returns where a browser goes after signing in: the page that it asked for or, after a posted form
// and in a frame, the page around. The origin is one that is listed; the request's Host only chooses among them.
func (j *JWTAuth) comesBackTo(r *http.Request) string {
	isPage := gate.IsNavigation(r)
	if from := r.Referer(); !isPage && from != "" && j.app.base != nil && j.app.login.LeadsTo(from) {
		return j.app.cleanTarget(from)
	}
	next := j.app.listedOrigin(r)
	if next == "" {
		return ""
	}
	if isPage || r.Method == http.MethodGet {
		next += originalURL(r).RequestURI()
	} else {
		next += "/"
	}
	if len(next) > maxNext {
		return ""
	}
	return next
}

// samePage is the address of the page that was asked for, for a link on the same origin.
func samePage(r *http.Request) string {
	uri := originalURL(r).RequestURI()
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead,
		!strings.HasPrefix(uri, "/"), strings.HasPrefix(uri, "//"), strings.Contains(uri, `\`):
		return "/"
	}
	return uri
}

// originalURL is the request's URL as it came, before the site rewrote it.
func originalURL(r *http.Request) *url.URL {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.URL
	}
	return r.URL
}

// sentBack tells the operator of people who are signed in and sent to sign in again; the gate has a line of its own.
func (a *App) sentBack(r *http.Request, b login.SentBack) {
	detail := "the gate there does not see or does not accept the session; its line `request refused` says why"
	if b.Unreachable {
		detail = "the session cookie belongs to " + a.base.Hostname() + " alone"
	}
	a.audit.sampled.Warn("a person who is signed in was sent to sign in again",
		zap.String("user_id", b.Subject), zap.String("host", b.Host), zap.String("detail", detail),
		zap.String("client_ip", clientIP(r)))
}

// warnCircle tells the operator that the login page lies behind a gate.
func (j *JWTAuth) warnCircle(r *http.Request) {
	j.app.audit.sampled.Warn("the login page cannot be reached: no `auth_server` answers it, or a gate stands before it",
		zap.String("gate", j.label()), zap.String("host", r.Host), zap.String("path", r.URL.Path))
}
