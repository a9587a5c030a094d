package explain

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/jwtauth"
	"github.com/caddyauth/gateway/caddyauth/module/survey"
	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

// result is what there is to say about one request, for programs and for people.
type result struct {
	Method   string       `json:"method"`
	URL      string       `json:"url"`
	Store    storeReport  `json:"store"`
	Notes    []string     `json:"notes"`
	Gates    []gateResult `json:"gates"` // in the order in which they were asked
	Decision string       `json:"decision"`
	Check    string       `json:"check,omitempty"` // the one that decided
	Reason   token.Reason `json:"reason,omitempty"`
	Detail   string       `json:"detail,omitempty"`
	Answer   answerResult `json:"answer"`

	// Identity are the identity headers that the application would see, Changed what became of
	// headers of the client.
	Identity map[string][]string `json:"identity_headers"`
	Changed  map[string]string   `json:"changed_headers"`
}

// The decisions about a request.
const (
	allowed    = "allow"
	denied     = "deny"
	unanswered = "unanswered" // by any site, so that nothing is guarded
)

// gateResult is what one gate or filter decided.
type gateResult struct {
	Gate       string       `json:"gate"`
	Outcome    string       `json:"outcome"` // admitted, refused; would_admit, would_refuse of a gate that only reports
	Subject    string       `json:"subject,omitempty"`
	Credential string       `json:"credential,omitempty"`
	Check      string       `json:"check,omitempty"`
	Reason     token.Reason `json:"reason,omitempty"`
	Detail     string       `json:"detail,omitempty"`
}

// answerResult is what the client would get. Without a status it is the application that
// answers.
type answerResult struct {
	By      string              `json:"by,omitempty"`
	Status  int                 `json:"status,omitempty"`
	Headers map[string][]string `json:"headers,omitempty"`
	Cookies []string            `json:"set_cookies,omitempty"` // names
}

// makeResult puts together what was found. seen are the headers that the application would get.
func (e *explanation) makeResult(answer *recording, seen http.Header) *result {
	x := &result{
		Method:   e.method,
		URL:      e.url,
		Store:    e.store,
		Notes:    e.notes(),
		Gates:    []gateResult{},
		Decision: allowed,
		Answer:   answered(answer),
		Identity: map[string][]string{},
		Changed:  map[string]string{},
	}
	for _, d := range e.decisions {
		g := e.gate(d)
		if x.Gates = append(x.Gates, g); g.Outcome == "refused" {
			x.Decision, x.Check, x.Reason, x.Detail = denied, g.Check, g.Reason, g.Detail
		}
	}
	switch {
	case e.unanswered != "":
		x.Decision = unanswered
	case e.refused != nil:
		x.Decision, x.Check, x.Reason, x.Detail = denied, checkOf("", e.refused), e.refused.Reason, e.refused.Detail
		x.Answer = answerResult{Status: gate.Status(e.refused.Reason), Headers: map[string][]string{}}
	}
	if x.Answer.By == "" {
		return x
	}
	for _, name := range e.app.Read().IdentityHeaders {
		if values := seen[name]; len(values) > 0 {
			x.Identity[name] = values
		}
	}
	for name, sent := range e.sent.Header {
		if changed := outcome(sent, seen[name]); changed != "" {
			x.Changed[name] = changed
		}
	}
	return x
}

func (e *explanation) notes() []string {
	notes := e.store.notes()
	if e.app.Read().Ring == nil {
		notes = append(notes, "the store holds no signing key yet;"+
			" it is made when the server starts for the first time")
	}
	for _, name := range e.unknown {
		notes = append(notes, "the handler "+terminal.Printable(name)+
			" was left out, as it may reach something outside; what it would decide is not known")
	}
	if e.unanswered != "" {
		notes = append(notes, e.unanswered)
	}
	return append(notes, notesOn(bearerOf(e.sent))...)
}

// gate says what one gate decided.
func (e *explanation) gate(d jwtauth.Decision) gateResult {
	g := gateResult{Gate: d.Gate.Describe(), Outcome: "admitted"}
	refusal, refused := errors.AsType[*token.Refusal](d.Err)
	var via gate.Source
	if d.Admission != nil {
		via = d.Admission.Via()
	}
	switch {
	case refused:
		g.Outcome, g.Reason, g.Detail = "refused", refusal.Reason, refusal.Detail
		g.Check = checkOf(e.credential(via), refusal)
	case d.Admission != nil && d.Admission.Token != nil:
		g.Subject, g.Credential = d.Admission.Token.Subject, strings.TrimSpace(string(via.Kind)+" "+via.Name)
	}
	if d.Gate.ReportsOnly() {
		g.Outcome = map[bool]string{true: "would_refuse", false: "would_admit"}[refused]
	}
	return g
}

// credential returns the token that a gate found at via.
func (e *explanation) credential(via gate.Source) string {
	switch via.Kind {
	case gate.Bearer:
		return trimToken(e.sent.Header.Get("Authorization"))
	case gate.Header:
		return e.sent.Header.Get(via.Name)
	case gate.Query:
		return e.sent.URL.Query().Get(via.Name)
	case gate.Cookie:
		if cookie, err := e.sent.Cookie(via.Name); err == nil {
			return cookie.Value
		}
	}
	return ""
}

func answered(answer *recording) answerResult {
	if by := answer.header.Get(survey.StandInHeader); by != "" {
		return answerResult{By: by}
	}
	// A handler that writes nothing answers 200.
	a := answerResult{Status: max(answer.status, http.StatusOK), Headers: map[string][]string{}}
	for _, name := range []string{"WWW-Authenticate", "Location", "Retry-After"} {
		if values := answer.header.Values(name); len(values) > 0 {
			a.Headers[name] = values
		}
	}
	for _, cookie := range (&http.Response{Header: answer.header}).Cookies() {
		a.Cookies = append(a.Cookies, cookie.Name)
	}
	return a
}

// outcome compares what a client sent under one name with what is left of it.
func outcome(sent, left []string) string {
	inside := func(v string) bool { return strings.Contains(strings.Join(sent, "\n"), v) }
	switch {
	case len(left) == 0:
		return "removed"
	case !slices.Equal(sent, left) && slices.ContainsFunc(left, inside):
		return "removed in part"
	case !slices.Equal(sent, left):
		return "replaced"
	}
	return ""
}

// print writes the result for a person.
func (x *result) print(w io.Writer) {
	fmt.Fprintln(w, x.Store)
	for _, note := range x.Notes {
		fmt.Fprintln(w, "note:", note)
	}
	fmt.Fprintln(w, "Gates")
	for i, g := range x.Gates {
		fmt.Fprintf(w, "  %d. %s: %s\n", i+1, g.Gate, g.words())
	}
	if len(x.Gates) == 0 {
		fmt.Fprintln(w, "  none was asked")
	}
	switch {
	case x.Decision == denied:
		fmt.Fprintf(w, "Deciding check: %s (%s)\n", x.Check, &token.Refusal{Reason: x.Reason, Detail: x.Detail})
	case len(x.Gates) > 0:
		fmt.Fprintln(w, "Deciding check: none failed")
	}
	x.Answer.print(w)
	if x.Answer.By != "" {
		x.printHeaders(w)
	}
}

func (g gateResult) words() string {
	refusal := &token.Refusal{Reason: g.Reason, Detail: g.Detail}
	switch {
	case g.Outcome == "would_refuse":
		return "would refuse, but only reports: " + refusal.Error()
	case g.Outcome == "refused":
		return "refused: " + refusal.Error()
	case g.Outcome == "would_admit":
		return "would admit, but only reports"
	case g.Subject == "":
		return "admitted without identity"
	}
	return fmt.Sprintf("admitted as %s (credential: %s)", terminal.Printable(g.Subject), g.Credential)
}

func (a answerResult) print(w io.Writer) {
	fmt.Fprintln(w, "Answer")
	if a.By != "" {
		fmt.Fprintf(w, "  whatever the application answers: %s\n", terminal.Printable(a.By))
	} else {
		fmt.Fprintf(w, "  %d %s\n", a.Status, http.StatusText(a.Status))
	}
	for _, name := range []string{"WWW-Authenticate", "Location", "Retry-After"} {
		for _, value := range a.Headers[name] {
			fmt.Fprintf(w, "  %s: %s\n", name, terminal.Printable(value))
		}
	}
	for _, name := range a.Cookies {
		fmt.Fprintf(w, "  Set-Cookie: %s\n", terminal.Printable(name))
	}
}

// printHeaders says what the application would learn about who asks, and what it would not see.
func (x *result) printHeaders(w io.Writer) {
	fmt.Fprintln(w, "Identity headers that the application would see")
	for _, name := range slices.Sorted(maps.Keys(x.Identity)) {
		for _, value := range x.Identity[name] {
			fmt.Fprintf(w, "  %s: %s\n", name, terminal.Printable(value))
		}
	}
	if len(x.Identity) == 0 {
		fmt.Fprintln(w, "  none")
	}
	for _, name := range slices.Sorted(maps.Keys(x.Changed)) {
		fmt.Fprintf(w, "Sent by the client, %s: %s\n", x.Changed[name], terminal.Printable(name))
	}
}
