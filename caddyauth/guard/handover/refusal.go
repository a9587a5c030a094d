package handover

import (
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// result is the stable word for an outcome.
type result string

const (
	success          result = "success"
	invalidRequest   result = "invalid_request"
	invalidState     result = "invalid_state"
	otherHost        result = "other_host"
	expired          result = "expired"
	otherBrowser     result = "other_browser"
	denied           result = "denied"
	codeRefused      result = "code_refused"
	tooLarge         result = "token_too_large"
	unavailable      result = "unavailable"
	redirectLoop     result = "round_trips"
	notSignedIn      result = "not_signed_in"
	unknownHost      result = "unknown_host"
	otherScheme      result = "other_scheme"
	crossOrigin      result = "cross_origin"
	methodNotAllowed result = "method_not_allowed"
	notFound         result = "not_found"
)

// page is how a refusal is shown.
type page struct {
	status      int
	title, text string
}

var pages = map[result]page{
	invalidRequest: {
		http.StatusBadRequest, "Not understood",
		"The answer of the sign-in is incomplete or repeats a parameter. You are not signed in here. Try again.",
	},
	invalidState: {
		http.StatusBadRequest, "Not understood",
		"The answer of the sign-in was not asked for here. You are not signed in here. Try again.",
	},
	otherHost: {
		http.StatusBadRequest, "Another address",
		"This sign-in was begun at another address than the one it came back to. Open the page that you want, and " +
			"try again.",
	},
	expired: {
		http.StatusBadRequest, "Too late",
		"This sign-in took longer than ten minutes. Try again: if you are signed in by now, nothing is asked.",
	},
	otherBrowser: {
		http.StatusBadRequest, "Not signed in",
		"This sign-in was completed already, was begun in another browser, or your browser did not keep a cookie of " +
			"this site. Allow cookies for this site, and try again.",
	},
	denied: {
		http.StatusForbidden, "Not signed in",
		"The sign-in was refused. Use another account, or ask the people who run the site.",
	},
	codeRefused: {
		http.StatusBadRequest, "Not signed in",
		"The answer of the sign-in was used before, took too long, or your sign-in has ended meanwhile. Try again.",
	},
	tooLarge: {
		http.StatusInternalServerError, "Not signed in",
		"This account cannot sign in with a browser. Please tell the people who run this site.",
	},
	unavailable: {
		http.StatusServiceUnavailable, "Not available",
		"Signing in is not possible just now. Please try again in a few seconds.",
	},
	redirectLoop: {
		http.StatusUnauthorized, "Signing in does not help",
		"Within a minute you have signed in twice for this page, and it sent you to sign in again. Cookies may be " +
			"blocked, the clock of a server may be wrong, or the account may not be accepted here. If trying again " +
			"does not help, please tell the people who run the site.",
	},
	notSignedIn: {
		http.StatusUnauthorized, "Not signed in here",
		"This browser was not signed in at this site, so nothing was ended. You may still be signed in at the " +
			"server, and with that at other sites: sign out there, too.",
	},
	crossOrigin: {
		http.StatusForbidden, "Request from another site",
		"This request was sent by another site, so it was not carried out. Open this site's own page and try there.",
	},
	methodNotAllowed: {
		http.StatusMethodNotAllowed, "Not possible", "This address does not answer this method.",
	},
	notFound: {http.StatusNotFound, "Not found", "There is nothing here."},
}

// refuse answers with a page, or with JSON to a program. target is what the person wanted.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, why result, target string) {
	p := pages[why]
	if p.status == http.StatusServiceUnavailable {
		endpoint.SetRetryAfter(w.Header(), endpoint.RetryLater)
	}
	if !gate.WantsPage(r) {
		endpoint.WriteError(w, p.status, string(why), p.text)
		return
	}
	links := []ui.Link{{Text: "Try again", URL: s.LoginURL(target, false)}}
	switch why {
	case notFound, methodNotAllowed, crossOrigin:
		links = nil
	case tooLarge, denied:
		links[0] = ui.Link{Text: "Use another account", URL: s.LoginURL(target, true)}
	case redirectLoop:
		links = append(links, ui.Link{Text: "Use another account", URL: s.LoginURL(target, true)},
			ui.Link{Text: "Sign out", URL: s.LogoutURL()})
	}
	if target != "/" || links == nil {
		links = append(links, ui.Link{Text: "Go to the start page", URL: "/"})
	}
	ui.Render(w, p.status, ui.Message{Site: r.Host, Title: p.title, Text: p.text, Code: string(why), Links: links})
}

// ExplainUnknown answers a browser at a host that no site of the configuration names. origin is what
// the operator has to add; empty when the host of the request can be none.
func ExplainUnknown(w http.ResponseWriter, r *http.Request, origin string) {
	text := "The address of this page is not one at which people can sign in."
	if origin != "" {
		text += " The people who run the site can change that with one line in the option `auth`: return_to " + origin
	}
	explainHere(w, r, unknownHost, text)
}

// ExplainScheme answers a browser at a site that is not served over the scheme of the sign-in page, for
// which the cookies are made.
func ExplainScheme(w http.ResponseWriter, r *http.Request, scheme string) {
	explainHere(w, r, otherScheme, "People sign in over "+scheme+", and this page is served over another scheme, "+
		"where a browser cannot keep the sign-in. The people who run the site can change that: serve this page over "+
		scheme+", too.")
}

func explainHere(w http.ResponseWriter, r *http.Request, why result, text string) {
	ui.Render(w, http.StatusUnauthorized, ui.Message{
		Site:  r.Host,
		Title: "Signing in is not possible here",
		Text:  text,
		Code:  string(why),
	})
}
