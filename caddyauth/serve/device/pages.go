package device

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/device"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// The results of events, besides the words of clientauth.
const (
	success      = "success"
	canceled     = clientauth.Canceled
	unknownCode  = "unknown_code"
	tooMany      = "too_many_attempts"
	denied       = "access_denied"
	decided      = "already_decided"
	notAllowed   = "not_allowed"
	crossOrigin  = "cross_origin"
	invalid      = "invalid_request"
	notAvailable = "temporarily_unavailable"
)

// visit is a person at one of the pages.
type visit struct {
	*Server
	w      http.ResponseWriter
	r      *http.Request
	now    time.Time
	person *issuance.SignedIn
	event  audit.Event
}

// ask answers GET /device: the page for the code or, when it is there, for the decision. Somebody who
// is not signed in signs in first.
func (s *Server) ask(w http.ResponseWriter, r *http.Request) {
	v, ok := s.visit(w, r)
	if !ok {
		return
	}
	typed := strings.Join(r.URL.Query()["user_code"], " ") // repeated ones are no code
	if v.person == nil {
		v.signIn(typed)
		return
	}
	if typed == "" {
		v.askCode(http.StatusOK, "", "")
		return
	}
	a, client, ok := v.find(typed)
	if !ok {
		return
	}
	ui.Render(w, http.StatusOK, v.confirmation(a, client))
}

// visit finds out who is there.
func (s *Server) visit(w http.ResponseWriter, r *http.Request) (*visit, bool) {
	v := &visit{Server: s, w: w, r: r, now: time.Now().UTC().Truncate(time.Millisecond)}
	v.event = audit.Event{Kind: audit.DeviceDecision, Result: success, ClientIP: s.ClientIP.Of(r)}
	person, err := s.Session(w, r)
	if err != nil {
		v.fail(err)
		return nil, false
	}
	if person != nil && person.Project == s.Project {
		v.person, v.event.User, v.event.Project = person, person.Subject, person.Project
	}
	return v, true
}

// signIn leads to the login page and back to the code.
func (v *visit) signIn(typed string) {
	next := v.url("/device")
	if typed != "" {
		next += "?" + url.Values{"user_code": {typed}}.Encode()
	}
	http.Redirect(v.w, v.r, v.url("/login")+"?"+url.Values{"next": {next}}.Encode(), http.StatusSeeOther)
}

// askCode shows the page for the code, again where there is a problem.
func (v *visit) askCode(status int, typed, problem string) {
	ui.Render(v.w, status, ui.Device{
		Site:     v.Base.Host,
		Subject:  v.person.Subject,
		Action:   v.url("/device"),
		UserCode: typed,
		Problem:  problem,
		Links:    v.links(typed),
	})
}

func (v *visit) links(typed string) []ui.Link {
	next := v.url("/device")
	if typed != "" {
		next += "?" + url.Values{"user_code": {typed}}.Encode()
	}
	query := url.Values{"next": {next}, "switch": {"1"}}
	return []ui.Link{{Text: "Use another account", URL: v.url("/login") + "?" + query.Encode()}}
}

// find returns the request of a code, and its client. Each look is counted: a code has eight letters.
func (v *visit) find(typed string) (device.Authorization, clients.Client, bool) {
	code, ok := device.ReadUserCode(typed)
	if !ok {
		v.askCode(http.StatusBadRequest, typed, "That is not a code. It has eight letters, such as WDJB-MJHT.")
		return device.Authorization{}, clients.Client{}, false
	}
	wait, err := v.Guess(v.r.Context(), v.person.Subject, v.event.ClientIP, v.now)
	if err != nil {
		v.fail(err)
		return device.Authorization{}, clients.Client{}, false
	}
	if wait > 0 {
		v.refuse(tooMany)
		v.w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		v.askCode(
			http.StatusTooManyRequests,
			typed,
			"Too many codes were tried. Please wait a moment, and try again.",
		)
		return device.Authorization{}, clients.Client{}, false
	}
	a, err := v.Store.FindDevice(v.r.Context(), code, v.now)
	if err == nil && a.Project != v.person.Project {
		err = device.ErrNotFound
	}
	var p issuance.Parties
	if err == nil {
		p, err = v.Find(v.r.Context(), a.Project, a.ClientID, "")
	}
	switch {
	case err == nil && a.State == device.Pending && p.Client.Active && p.Client.AllowsGrant(clients.GrantDevice):
		v.event.ClientID, v.event.Target = p.Client.ID, p.Client.ID
		return a, p.Client, true
	case err != nil && !errors.Is(err, device.ErrNotFound):
		v.fail(err)
	default:
		v.refuse(unknownCode)
		v.askCode(
			http.StatusBadRequest,
			typed,
			"No device waits for this code. It may have expired: start again on the device.",
		)
	}
	return device.Authorization{}, clients.Client{}, false
}

// confirmation asks for the decision. A link with the code in it shows the same page, and names the
// code and where it was asked for: whoever was sent the link by somebody else sees that.
func (v *visit) confirmation(a device.Authorization, client clients.Client) ui.Consent {
	name := client.Name
	if name == "" {
		name = client.ID
	}
	can, learns := v.Scopes.Describe(a.Scopes)
	page := ui.Consent{
		Site:       v.Base.Host,
		Subject:    v.person.Subject,
		Client:     name,
		ClientHost: client.ProvenHost(),
		Scopes:     can,
		Learns:     learns,
		Resources:  resourcesOf(a, client),
		UserCode:   device.ShowUserCode(a.UserCode),
		Notice: "The device asked from the address " + a.ClientIP +
			". Allow it only if it is your own device and you have just started this.",
		Action: v.url("/device"),
		Fields: []ui.Field{
			{Name: "user_code", Value: device.ShowUserCode(a.UserCode)},
			{Name: subjectField, Value: v.person.Subject},
		},
		Links: v.links(a.UserCode),
	}
	if client.SelfRegistered() {
		page.Warnings = append(page.Warnings, "This program has registered itself. Nobody has checked its name.")
	}
	return page
}

// subjectField is the field of the confirmation that names who was asked.
const subjectField = "subject"

// resourcesOf are the resources that a device asks for; none when it named none.
func resourcesOf(a device.Authorization, client clients.Client) (resources []string) {
	for _, name := range a.Audience {
		if _, ok := client.Resource(name); ok {
			resources = append(resources, name)
		}
	}
	return resources
}

// decide answers POST /device.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	v, ok := s.visit(w, r)
	if !ok {
		return
	}
	form, ok := v.readForm()
	if !ok {
		return
	}
	typed := form["user_code"]
	if v.person == nil {
		v.signIn(typed)
		return
	}
	a, client, ok := v.find(typed)
	if !ok {
		return
	}
	if form[subjectField] != v.person.Subject {
		ui.Render(w, http.StatusOK, v.confirmation(a, client)) // somebody else was asked
		return
	}
	account, err := identity.CanonicalName(v.person.Subject)
	if err != nil {
		v.fail(err)
		return
	}
	approved := form["decision"] == "allow"
	v.event.Detail, v.event.Recorded = strings.Join(a.Scopes, " "), true
	err = s.Store.DecideDevice(r.Context(), a.Hash, device.Approval{
		Subject:  v.person.Subject,
		Account:  account,
		Session:  v.person.ID,
		AuthTime: v.person.AuthTime,
		ACR:      v.person.ACR,
		AMR:      v.person.AMR,
		Epoch:    v.person.Epoch,
	}, approved, v.now)
	v.answer(approved, err)
}

// readForm refuses forms of other sites, and what is not the whole form of the page that asks: who was
// asked, and one decision.
func (v *visit) readForm() (map[string]string, bool) {
	if v.protection.Check(v.r) != nil {
		v.refuse(crossOrigin)
		v.say(http.StatusForbidden, crossOrigin, "Not from here",
			"The decision came from another site. Nothing was changed.")
		return nil, false
	}
	form, err := endpoint.ReadForm(v.w, v.r, 4<<10)
	if d := form["decision"]; err != nil || form[subjectField] == "" || d != "allow" && d != "deny" {
		v.refuse(invalid)
		v.say(http.StatusBadRequest, invalid, "This request cannot be used", "The form was incomplete.")
		return nil, false
	}
	return form, true
}

// answer tells the person what came of their decision.
func (v *visit) answer(approved bool, err error) {
	switch {
	case err == nil && approved:
		v.Events.Report(v.r.Context(), v.event)
		v.say(http.StatusOK, "", "The device is connected", "You can go back to your device now.")
	case err == nil:
		v.refuse(denied)
		v.say(http.StatusOK, "", "The device was refused", "It gets nothing. You can close this page.")
	case errors.Is(err, device.ErrDecided), errors.Is(err, device.ErrNotFound):
		v.refuse(decided)
		v.say(http.StatusConflict, decided, "Nothing waits any more",
			"The request has expired, or somebody has decided about it already.")
	case errors.Is(err, device.ErrOvertaken):
		v.refuse(notAllowed)
		v.say(http.StatusForbidden, notAllowed, "This is not possible",
			"Your account or the application is switched off, or you were signed out meanwhile.")
	default:
		v.fail(err)
	}
}

// refuse reports a refusal.
func (v *visit) refuse(result string) {
	v.event.Result = result
	v.Events.Report(v.r.Context(), v.event)
}

// fail answers while the store cannot be asked.
func (v *visit) fail(err error) {
	v.event.Result, v.event.Err = notAvailable, err
	status := http.StatusServiceUnavailable
	if endpoint.IsGone(v.r.Context()) {
		v.event.Result, v.event.Err = canceled, nil
		status = endpoint.StatusClientGone
	}
	v.Events.Report(v.r.Context(), v.event)
	endpoint.SetRetryAfter(v.w.Header(), endpoint.RetryLater)
	v.say(status, notAvailable, "Not available", "This is not possible just now. Please try again in a few seconds.")
}

func (v *visit) say(status int, code, title, text string) {
	message := ui.Message{Site: v.Base.Host, Title: title, Text: text, Code: code}
	message.Links = []ui.Link{{Text: "Connect another device", URL: v.url("/device")}}
	if code != "" {
		message.Links[0].Text = "Type in the code again"
	}
	if v.person != nil {
		message.Subject = v.person.Subject
	}
	ui.Render(v.w, status, message)
}
