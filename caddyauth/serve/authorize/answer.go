package authorize

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// success and canceled are the words of events besides those of errors; the latter is for a client
// that has gone before it was answered.
const (
	success  = "success"
	canceled = clientauth.Canceled
)

// Results returns every word that the result of an event can be, for whoever prepares counters.
func Results() []string {
	return []string{
		success, canceled,
		authorization.InvalidRequest, authorization.InvalidClient, authorization.InvalidRedirectURI,
		authorization.InvalidRequestURI, authorization.InvalidScope, authorization.InvalidTarget,
		authorization.UnauthorizedClient, authorization.UnsupportedResponseType, authorization.AccessDenied,
		authorization.TemporarilyUnavailable, authorization.LoginRequired, authorization.ConsentRequired,
		authorization.RequestNotSupported, authorization.RequestURINotSupported,
		authorization.RegistrationUnsupported, authorization.UnmetAuthentication,
		clientauth.InvalidDPoPProof, clientauth.UseDPoPNonce, clientauth.TooManyRequests,
	}
}

// problemPage is what a person sees when nobody else may be told.
type problemPage struct {
	status      int
	title, text string
}

// problemPages are the pages for errors that have one of their own; each has its own sentence, by
// which people and tests know it.
var problemPages = map[string]problemPage{
	authorization.InvalidClient: {
		http.StatusBadRequest, "Unknown application",
		"The application that sent you here is not known here, or is switched off. Tell the people who run it; " +
			"an application that registers itself has to do so again.",
	},
	authorization.InvalidRedirectURI: {
		http.StatusBadRequest, "The way back is not known",
		"The application wants you to be sent to an address that it has not registered here. " +
			"You were not sent there. Tell the people who run it.",
	},
	authorization.InvalidRequestURI: {
		http.StatusBadRequest, "This sign-in has expired",
		"The application's request was used before, or took too long. Go back to the application and start again.",
	},
	authorization.TemporarilyUnavailable: {
		http.StatusServiceUnavailable, "Not available",
		"Signing in is not possible just now. Please try again in a few seconds.",
	},
}

// otherProblem is the page for all other errors.
var otherProblem = problemPage{
	http.StatusBadRequest, "This request cannot be used",
	"The application that sent you here made a mistake in its request. Tell the people who run it.",
}

// answer sends the code to the client.
func (c *call) answer(code string) {
	c.Events.Report(c.r.Context(), c.event)
	c.deliver(c.request.To, []ui.Field{{Name: "code", Value: code}})
}

// refuse tells the client, or else the person, why there is no code.
func (c *call) refuse(err error) {
	e, ok := errors.AsType[*authorization.Error](err)
	if !ok {
		e = unavailable(err)
	}
	c.event.Result, c.event.Detail, c.event.Err = e.Code, cmp.Or(e.Hint, e.Description), e.Cause
	if e.Cause != nil && endpoint.IsGone(c.r.Context()) {
		c.event.Result, c.event.Err = canceled, nil
	}
	c.Events.Report(c.r.Context(), c.event)
	if e.To != nil {
		c.deliver(*e.To, []ui.Field{{Name: "error", Value: e.Code}, {Name: "error_description", Value: e.Description}})
		return
	}
	page, known := problemPages[e.Code]
	if !known {
		page = otherProblem
	}
	if page.status == http.StatusServiceUnavailable {
		endpoint.SetRetryAfter(c.w.Header(), endpoint.RetryLater)
	}
	ui.Render(c.w, page.status, ui.Message{
		Site: c.Base.Host, Title: page.title, Text: page.text, Code: e.Code,
	})
}

// deliver sends an authorization response to the client, with the state and the issuer (RFC 9207).
func (c *call) deliver(to authorization.Destination, params []ui.Field) {
	if to.State != "" {
		params = append(params, ui.Field{Name: "state", Value: to.State})
	}
	params = append(params, ui.Field{Name: "iss", Value: c.Issuer})
	if to.ResponseMode == clients.ModeFormPost {
		ui.Render(c.w, http.StatusOK, ui.FormPost{
			Site:   c.Base.Host,
			Host:   hostOf(to.RedirectURI),
			Action: to.RedirectURI,
			Origin: ui.FormSources(to.RedirectURI),
			Fields: params,
		})
		return
	}
	redirect(c.w, withQuery(to.RedirectURI, params))
}

// withQuery adds parameters to an address and keeps its own query (RFC 6749, section 3.1.2).
func withQuery(address string, params []ui.Field) string {
	var b strings.Builder
	b.WriteString(address)
	separator := byte('?')
	if strings.Contains(address, "?") {
		separator = '&'
	}
	for _, p := range params {
		b.WriteByte(separator)
		b.WriteString(p.Name + "=" + url.QueryEscape(p.Value))
		separator = '&'
	}
	return b.String()
}

// hostOf is how people know where an address leads.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "the application"
	}
	return u.Host
}

// redirect sends the browser on, without leaving the code in a log.
func redirect(w http.ResponseWriter, address string) {
	w.Header().Set("Cache-Control", "no-store")
	endpoint.RedirectQuietly(w, address)
}
