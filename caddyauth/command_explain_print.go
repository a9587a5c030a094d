package caddyauth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/gate"
	"github.com/caddyauth/gateway/caddyauth/token"
)

// printDecisions says which gates were asked, in order, and which check decided.
func (e *explanation) printDecisions() {
	if e.app.ring.Load() == nil {
		fmt.Fprintln(e.out, "note: the store holds no signing key yet; it is made when the server starts for the first time")
	}
	for _, name := range e.unknown {
		fmt.Fprintf(e.out, "note: the handler %s was left out, as it may reach something outside; what it would decide is not known\n", plain(name))
	}
	var deciding string
	fmt.Fprintln(e.out, "Gates")
	for i, d := range e.decisions {
		fmt.Fprintf(e.out, "  %d. %s: %s\n", i+1, d.gate.describe(), d.words())
		if refusal, ok := errors.AsType[*token.Refusal](d.err); ok && d.gate.gate.Mode != gate.ReportOnly {
			deciding = fmt.Sprintf("%s (%s)", checkOf(e.credential(d.passage.Via()), refusal), refusal)
		}
	}
	switch {
	case len(e.decisions) == 0:
		fmt.Fprintln(e.out, "  none was asked")
	case deciding != "":
		fmt.Fprintln(e.out, "Deciding check:", deciding)
	default:
		fmt.Fprintln(e.out, "Deciding check: none failed")
	}
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

func (d decision) words() string {
	reportOnly := d.gate.gate.Mode == gate.ReportOnly
	switch {
	case d.err != nil && reportOnly:
		return "would refuse, but only reports: " + d.err.Error()
	case d.err != nil:
		return "refused: " + d.err.Error()
	case reportOnly:
		return "would admit, but only reports"
	case d.passage == nil || d.passage.Token == nil:
		return "admitted without identity"
	}
	via := string(d.passage.Via().Kind)
	if d.passage.Via().Name != "" {
		via += " " + d.passage.Via().Name
	}
	return fmt.Sprintf("admitted as %s (credential: %s)", plain(d.passage.Token.Subject), via)
}

// printAnswer says what the client would get.
func (e *explanation) printAnswer(answer *recording) {
	fmt.Fprintln(e.out, "Answer")
	if by := answer.header.Get(answersHeader); by != "" {
		fmt.Fprintf(e.out, "  whatever the application answers: %s\n", plain(by))
	} else {
		status := max(answer.status, http.StatusOK) // a handler that writes nothing answers 200
		fmt.Fprintf(e.out, "  %d %s\n", status, http.StatusText(status))
	}
	for _, name := range []string{"WWW-Authenticate", "Location", "Retry-After"} {
		for _, value := range answer.header.Values(name) {
			fmt.Fprintf(e.out, "  %s: %s\n", name, plain(value))
		}
	}
	for _, cookie := range (&http.Response{Header: answer.header}).Cookies() {
		fmt.Fprintf(e.out, "  Set-Cookie: %s\n", plain(cookie.Name))
	}
}

// printHeaders says what the application would learn about who asks, and what it would not see.
func (e *explanation) printHeaders(seen http.Header) {
	fmt.Fprintln(e.out, "Identity headers that the application would see")
	none := true
	for _, name := range e.app.owned.Names() {
		for _, value := range seen[name] {
			fmt.Fprintf(e.out, "  %s: %s\n", name, plain(value))
			none = false
		}
	}
	if none {
		fmt.Fprintln(e.out, "  none")
	}
	for _, name := range slices.Sorted(maps.Keys(e.sent.Header)) {
		if changed := outcome(e.sent.Header[name], seen[name]); changed != "" {
			fmt.Fprintf(e.out, "Sent by the client, %s: %s\n", changed, plain(name))
		}
	}
}

// outcome compares what a client sent under one name with what is left of it.
func outcome(sent, left []string) string {
	switch {
	case len(left) == 0:
		return "removed"
	case !slices.Equal(sent, left) && slices.ContainsFunc(left, func(v string) bool { return strings.Contains(strings.Join(sent, "\n"), v) }):
		return "removed in part"
	case !slices.Equal(sent, left):
		return "replaced"
	}
	return ""
}
