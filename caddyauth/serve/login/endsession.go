package login

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// EndSession is what a sign-out at the wish of a client needs (OpenID Connect RP-Initiated Logout).
// All of it is required.
type EndSession struct {
	// ReadHint reads an ID token of this server, also one that has expired. Any error means that it is
	// none.
	ReadHint func(ctx context.Context, raw string) (Hint, error)

	// FindClient returns the client of that id and its project; what is not found is empty. An error is
	// answered with 503.
	FindClient func(ctx context.Context, id string) (issuance.Parties, error)

	// Current returns the living session that a browser's tokens belong to, either of which may be
	// empty; an empty subject if there is none. An error is answered with 503.
	Current func(ctx context.Context, access, refresh string) (subject, id string, err error)
}

// Hint is what an ID token says. It names a client, and proves nothing about who sends it.
type Hint struct{ ClientID, Subject, Session string }

// The parameters of the specification. logout_hint and ui_locales are accepted and not used.
const (
	idTokenHint           = "id_token_hint"
	clientID              = "client_id"
	postLogoutRedirectURI = "post_logout_redirect_uri"
	state                 = "state"
)

var endParams = []string{idTokenHint, clientID, postLogoutRedirectURI, state, "logout_hint", "ui_locales"}

// confirmed is the field by which the page that asks sends its answer.
const confirmed = "confirmed"

// maxEndParam is the longest parameter, in bytes.
const maxEndParam = 8 << 10

// ending is a sign-out at the wish of a client.
type ending struct {
	*Server
	w      http.ResponseWriter
	r      *http.Request
	params fields
	event  audit.Event

	hint *Hint  // nil without one
	name string // of the client, as it is shown; empty if none is named
	to   string // where the person goes afterwards; empty for nowhere

	ended bool // whether there was a session to end
}

// endParams returns the parameters of a form or query that belong to the specification.
func (s *Server) endParams(f fields) fields {
	params := fields{}
	for _, name := range endParams {
		if value := f[name]; value != "" && s.EndSession.ReadHint != nil {
			params[name] = value
		}
	}
	return params
}

// endQuery returns those of the address. It is not ok when one is repeated.
func (s *Server) endQuery(r *http.Request) (params fields, ok bool) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	once := fields{}
	ok = err == nil
	for name, v := range values {
		once[name] = v[0]
	}
	params = s.endParams(once)
	for name := range params {
		ok = ok && len(values[name]) == 1
	}
	return params, ok
}

// askAgain sends a request that came by POST to the page that asks. A browser sends no cookies with a
// form of another site, and sends them with this redirect.
func (s *Server) askAgain(w http.ResponseWriter, params fields) {
	query := url.Values{}
	for name, value := range params {
		query.Set(name, value)
	}
	endpoint.RedirectQuietly(w, s.url("/logout")+"?"+query.Encode())
}

// endProblem is a request that cannot be used. Each has its own sentence, by which people and tests
// know it.
type endProblem struct{ code, title, text string }

var (
	badHint = endProblem{
		"invalid_id_token_hint", "You are still signed in",
		"The application that sent you here could not show that it was signed in by this site. Nothing was changed.",
	}
	unknownClient = endProblem{
		"invalid_client", "Unknown application",
		"The application that wants you to sign out is not known here, or is switched off. Nothing was changed.",
	}
	unknownWayBack = endProblem{
		"invalid_post_logout_redirect_uri",
		"The way back is not known",
		"The application wants you to be sent, once you are signed out, to an address that it has not " +
			"registered here. " +
			"Nothing was changed.",
	}
	badParameters = endProblem{
		"invalid_request", "This request cannot be used",
		"The application that wants you to sign out repeats a parameter, or sent one that is too long. " +
			"Nothing was changed.",
	}
)

// endSession answers a request of a client. The person is asked, unless they have just confirmed, or
// the hint names the very session of this browser, or there is none that could be ended.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request, params fields, valid, confirmed bool) {
	e := &ending{Server: s, w: w, r: r, params: params}
	e.event = audit.Event{Kind: audit.Logout, Project: s.project(), ClientIP: s.ClientIP.Of(r)}
	if !valid {
		e.problem(badParameters)
		return
	}
	if !e.read() {
		return
	}
	subject, id, sure, err := e.current()
	if err != nil {
		e.unavailable(err)
		return
	}
	e.event.User, e.event.Session = subject, id
	agrees := e.hint != nil && sure && (subject == "" || e.hint.Subject == subject && id != "" && e.hint.Session == id)
	if !confirmed && (!agrees || !isVisit(r)) {
		e.ask(subject)
		return
	}
	e.end()
}

// isVisit reports whether a person goes to the page. A browser that only looks ahead, a HEAD and an
// image of another page sign nobody out.
func isVisit(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if r.Header.Get(name) != "" {
			return false // prefetch, prefetch;prerender, preview
		}
	}
	mode := r.Header.Get("Sec-Fetch-Mode")
	return r.Method != http.MethodHead && (mode == "" || mode == "navigate")
}

// read checks the parameters. It has answered when it returns false.
func (e *ending) read() bool {
	for _, value := range e.params {
		if len(value) > maxEndParam {
			return e.problem(badParameters)
		}
	}
	id := e.params[clientID]
	if raw := e.params[idTokenHint]; raw != "" {
		hint, err := e.EndSession.ReadHint(e.r.Context(), raw)
		if err != nil || id != "" && id != hint.ClientID {
			return e.problem(badHint)
		}
		e.hint, id = &hint, hint.ClientID
	}
	if id == "" {
		return true // without a client no address is good, and the person stays here
	}
	parties, err := e.EndSession.FindClient(e.r.Context(), id)
	if err != nil {
		e.unavailable(err)
		return false
	}
	client := parties.Client
	if client.ID == "" || !client.Active || client.Project != e.project() {
		return e.problem(unknownClient)
	}
	e.event.ClientID, e.event.Target, e.name = client.ID, client.ID, client.ID
	if client.Name != "" {
		e.name = client.Name
	}
	address := e.params[postLogoutRedirectURI]
	if address == "" {
		return true
	}
	if !client.PostLogoutRedirectURI(address) {
		return e.problem(unknownWayBack)
	}
	e.to = withState(address, e.params[state])
	return true
}

// withState adds the state to an address, as it was sent, and nothing else.
func withState(address, state string) string {
	if state == "" {
		return address
	}
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + "state=" + url.QueryEscape(state)
}

// current returns the session of this browser. It is not sure when there are several cookies of a
// name.
func (e *ending) current() (subject, id string, sure bool, err error) {
	access := e.cookieValues(e.r, e.CookieName)
	var refresh []string
	if e.RefreshCookieName != "" {
		refresh = e.cookieValues(e.r, e.RefreshCookieName)
	}
	if len(access) > 1 || len(refresh) > 1 {
		return e.nameSigningOut(e.r), "", false, nil
	}
	subject, id, err = e.EndSession.Current(e.r.Context(), strings.Join(access, ""), strings.Join(refresh, ""))
	return subject, id, true, err
}

// ask shows the page that asks whether the person wants to sign out.
func (e *ending) ask(subject string) {
	fields := []ui.Field{{Name: confirmed, Value: "1"}}
	for _, name := range endParams {
		if value := e.params[name]; value != "" {
			fields = append(fields, ui.Field{Name: name, Value: value})
		}
	}
	ui.Render(e.w, http.StatusOK, ui.SignOut{
		Site:    e.Base.Host,
		Subject: subject,
		Client:  e.name,
		Action:  e.url("/logout"),
		Back:    e.url("/login"),
		Fields:  fields,
		LeadsTo: e.to,
	})
}

// end signs out and sends the person on.
func (e *ending) end() {
	ended, err := e.revokeAll(e.r)
	v := verdict{result: success}
	if err != nil {
		v = verdict{result: storeUnavailable, err: err}
	}
	e.ended = ended
	e.report(v)
	e.setCookies(e.w, Issued{})
	switch {
	case err != nil:
		e.answerLogout(e.w, e.r, nil, ended, v)
	case e.to != "":
		endpoint.RedirectQuietly(e.w, e.to)
	case !ended: // nothing was ended, so nothing is said of an end
		e.renderStart(e.w)
	default:
		ui.Render(e.w, http.StatusOK, ui.SignedOut{
			Site:  e.Base.Host,
			Links: append([]ui.Link{{Text: "Sign in", URL: e.url("/login")}}, e.homeLink()...),
		})
	}
}

func (e *ending) report(v verdict) {
	e.event.Result, e.event.Err = string(v.result), v.err
	e.event.Recorded = v.result == success && (e.event.User != "" || e.ended)
	e.Events.Report(e.r.Context(), e.event)
}

// problem shows the page of a request that cannot be used. It returns false.
func (e *ending) problem(p endProblem) bool {
	e.event.Reason = p.code
	e.report(verdict{result: invalidRequest})
	ui.Render(e.w, http.StatusBadRequest, ui.Message{
		Site: e.Base.Host, Title: p.title, Text: p.text, Code: p.code,
		Links: append([]ui.Link{{Text: "Sign out here", URL: e.url("/logout")}}, e.homeLink()...),
	})
	return false
}

func (e *ending) unavailable(err error) {
	v := verdict{result: storeUnavailable, err: err}
	if endpoint.IsGone(e.r.Context()) {
		v = verdict{result: canceled}
	}
	e.report(v)
	e.refuse(e.w, e.r, v)
}
