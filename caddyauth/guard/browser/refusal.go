package browser

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
)

// Refusal is the page that a person sees of a refusal: what happened, who is signed in, and what to
// do next.
func (s *SignIn) Refusal(r Request, reason token.Reason, a *gate.Admission) ui.Message {
	page := ui.Message{Site: r.Host, Code: string(reason), Framed: gate.IsFramed(r.Request)}
	if a != nil && a.Token != nil {
		page.Subject = a.Token.Subject
	}
	switch {
	case reason == gate.CrossOrigin:
		page.Title = "Request from another site"
		page.Text = "This request was sent by another site, so it was not carried out. Open the page here " +
			"and try again."
		page.Links = []ui.Link{{Text: "Open the page", URL: SamePage(r)}}
	case gate.Status(reason) == http.StatusForbidden:
		page.Title = "No access"
		page.Text = "This page is not open to this account. Ask the people who run the site if you think it should be."
		page.Links = s.accountLinks(r)
	case gate.Status(reason) == http.StatusServiceUnavailable:
		page.Title = "Not available right now"
		page.Text = "Your sign-in cannot be checked at this moment. Please try again in a few seconds."
		page.Links = []ui.Link{{Text: "Try again", URL: SamePage(r)}}
	case reason == gate.InsufficientAuthentication:
		page.Title = "Sign in again"
		page.Text = "This page asks for a sign-in that is more recent, or of another kind, than yours."
		if address := s.AgainURL(r); address != "" {
			page.Links = []ui.Link{{Text: "Sign in again", URL: address}}
		}
	case reason == gate.MultipleCredentials:
		page.Title = "Two sign-ins at once"
		page.Text = "Your browser sent more than one sign-in with this request. Sign out, and sign in again."
		page.Links = s.accountLinks(r)
	case gate.Status(reason) == http.StatusBadRequest:
		page.Title = "Unclear address"
		page.Text = "The address can be read in more than one way, so the request was not passed on."
	default:
		s.askToSignIn(&page, r)
	}
	page.Links = append(page.Links, s.homeLink(r)...)
	return page
}

// askToSignIn fills the page for a person who is not signed in and is not sent to the login page.
func (s *SignIn) askToSignIn(page *ui.Message, r Request) {
	page.Title = "Sign-in needed"
	page.Text = "This page is only open to people who are signed in."
	switch {
	case s.Page == "":
		page.Links = []ui.Link{{Text: "Try again", URL: SamePage(r)}}
		return
	case s.IsPage(r):
		page.Title = "Signing in is not possible"
		page.Text = "The sign-in page of this site cannot be reached. Please tell the people who run it."
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		page.Text = "You are not signed in any more, so what you sent was not passed on. " +
			"Sign in, then go back and send it again."
	case page.Framed:
		page.Text = "This part of the page is only open to people who are signed in."
	}
	if address := s.URL(r); address != "" {
		page.Links = []ui.Link{{Text: "Sign in", URL: address}}
	}
}

// accountLinks lead to another account and out of this one; there are none where people do not sign
// in here.
func (s *SignIn) accountLinks(r Request) []ui.Link {
	if !s.here() {
		return nil
	}
	if s.HandsOver(r.Request) {
		return s.accountLinksElsewhere(r)
	}
	query := ""
	if next := s.next(r); next != "" {
		query = "next=" + url.QueryEscape(next)
	}
	login, logout := s.Server.Base.JoinPath("login").String(), s.Server.Base.JoinPath("logout").String()
	return []ui.Link{
		{Text: "Use another account", URL: login + "?" + strings.TrimSuffix("switch=1&"+query, "&")},
		{Text: "Sign out", URL: strings.TrimSuffix(logout+"?"+query, "?")},
	}
}

// accountLinksElsewhere are accountLinks at a host of its own.
func (s *SignIn) accountLinksElsewhere(r Request) []ui.Link {
	login := s.Server.LoginAt(r.Request, sameHost(r), true)
	if login == "" {
		return nil
	}
	return []ui.Link{{Text: "Use another account", URL: login}, {Text: "Sign out", URL: s.Server.LogoutAt(r.Request)}}
}

// homeLink leads home, or to the root of the site; there is none when the request was for that.
func (s *SignIn) homeLink(r Request) []ui.Link {
	if s.here() || s.Server.HomeIsSet {
		if text, address := s.Server.Home(); address != "" && address != s.next(r) {
			return []ui.Link{{Text: text, URL: address}}
		}
	}
	if r.Original.Path == "/" {
		return nil
	}
	return []ui.Link{{Text: "Go to the start page", URL: "/"}}
}
