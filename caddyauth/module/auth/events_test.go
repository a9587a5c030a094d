package auth

import (
	"context"
	"errors"
	"maps"
	"os"
	"regexp"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/serve/registration"
)

// TestEventsAreLoggedUnderTheNamesThatOperatorsKnow also holds which fields are written when they
// are empty, and that a kind without a line of its own has one that is named after it.
func TestEventsAreLoggedUnderTheNamesThatOperatorsKnow(t *testing.T) {
	type fields = map[string]any
	for _, c := range []struct {
		event  audit.Event
		line   string
		fields fields
	}{
		{
			audit.Event{Kind: audit.Login, Result: "success", User: "alice", Audience: "web", ClientIP: "192.0.2.1"},
			"info sign-in",
			fields{
				"kind": "login", "result": "success", "user_id": "alice", "project": "", "audience": "web",
				"client_ip": "192.0.2.1",
			},
		},
		{
			audit.Event{Kind: audit.APILogin, Result: "store_unavailable", Err: errors.New("disk")},
			"error sign-in failed",
			fields{
				"kind": "api_login", "result": "store_unavailable", "user_id": "", "project": "", "audience": "",
				"client_ip": "", "error": "disk",
			},
		},
		{
			audit.Event{Kind: audit.Logout, Result: "success"},
			"info sign-out",
			fields{
				"kind": "logout", "result": "success", "user_id": "", "project": "", "audience": "", "client_ip": "",
			},
		},
		{
			audit.Event{Kind: audit.Introspect, Result: "inactive", ClientID: "reports", Project: "default"},
			"info token request",
			fields{
				"kind": "introspect", "result": "inactive", "verdict": "", "client_id": "reports",
				"project": "default", "user_id": "", "client_ip": "",
			},
		},
		{
			audit.Event{
				Kind:      audit.Management,
				Result:    "success",
				Actor:     "api_token:1",
				ActorName: "deploy",
				Action:    "user.create",
				Status:    201,
			},
			"info management call",
			fields{
				"actor": "api_token:1", "actor_name": "deploy", "action": "user.create", "target": "",
				"target_name": "", "project": "", "result": "success", "status": int64(201), "client_ip": "",
			},
		},
		{
			audit.Event{Kind: "device_consent", Result: "denied", Reason: "expired", Session: "s1", Detail: "too late"},
			"info device consent",
			fields{
				"kind": "device_consent", "result": "denied", "reason": "expired", "session": "s1",
				"detail": "too late", "client_ip": "",
			},
		},
	} {
		t.Run(string(c.event.Kind), func(t *testing.T) {
			core, seen := observer.New(zap.DebugLevel)
			newAuditor(zap.New(core)).report(t.Context(), c.event)
			lines := seen.All()
			if len(lines) != 1 {
				t.Fatalf("%d lines", len(lines))
			}
			if got := lines[0].Level.String() + " " + lines[0].Message; got != c.line {
				t.Errorf("%q, want %q", got, c.line)
			}
			if got := lines[0].ContextMap(); !maps.Equal(got, c.fields) {
				t.Errorf("%v,\nwant %v", got, c.fields)
			}
		})
	}
}

// TestRecordedEventsStandInTheAuditTrail, and no others: floods must not fill the database.
func TestRecordedEventsStandInTheAuditTrail(t *testing.T) {
	a := auditedApp(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel() // the person did not wait for the answer
	for _, e := range []audit.Event{
		{
			Kind:     audit.Login,
			Result:   "bad_credentials",
			User:     "alice",
			Project:  "default",
			Audience: "web",
			ClientIP: "192.0.2.1",
			Recorded: true,
		},
		{Kind: audit.Login, Result: "throttled", User: "bob"},
		{Kind: audit.APILogin, Result: "bad_credentials", Recorded: true},
		{Kind: audit.Token, Result: "success", ClientID: "reports", Reason: "reused", Recorded: true},
	} {
		a.audit.report(gone, e)
	}
	found := map[string]audit.Entry{}
	for _, e := range a.entries(t) {
		if e.At.IsZero() || e.ID == "" {
			t.Errorf("%+v", e)
		}
		e.At, e.ID = audit.Entry{}.At, ""
		found[e.Action+" "+e.Actor] = e
	}
	want := map[string]audit.Entry{
		"login user:alice": {
			Actor:      "user:alice",
			Action:     "login",
			TargetName: "alice",
			Project:    "default",
			ClientIP:   "192.0.2.1",
			Result:     "bad_credentials",
			Detail:     "web",
		},
		"api_login unknown":    {Actor: "unknown", Action: "api_login", Result: "bad_credentials"},
		"token client:reports": {Actor: "client:reports", Action: "token", Result: "success", Detail: "reused"},
	}
	if !maps.Equal(found, want) {
		t.Errorf("%+v,\nwant %+v", found, want)
	}
}

// TestNobodyFillsTheLog: of lines that anybody can cause the first five in a second are written. Those
// that name somebody, or stand in the audit trail, are all written.
func TestNobodyFillsTheLog(t *testing.T) {
	trail := auditedApp(t).audit.trail
	for _, c := range []struct {
		name  string
		event audit.Event
		all   bool
	}{
		{"junk at the callback of an application",
			audit.Event{Kind: audit.WebSignIn, Result: "invalid_state", Target: "a.example"}, false},
		{"a sign-out of nobody", audit.Event{Kind: audit.Logout, Result: "success", Project: "default"}, false},
		{"a sign-out from another site", audit.Event{Kind: audit.Logout, Result: "cross_origin"}, false},
		{"junk at /token", audit.Event{Kind: audit.Token, Result: "invalid_client"}, false},
		{"junk at /introspect", audit.Event{Kind: audit.Introspect, Result: "invalid_client"}, false},
		{"junk at /authorize", audit.Event{Kind: audit.Authorize, Result: "invalid_client"}, false},
		{"junk at /userinfo", audit.Event{Kind: audit.UserInfo, Result: "invalid_token"}, false},
		{"codes that somebody guesses", audit.Event{Kind: audit.DeviceDecision, Result: "unknown_code"}, false},
		{"sign-ins that are throttled", audit.Event{Kind: audit.Login, Result: "throttled"}, false},
		{"a sign-in that is in the audit trail",
			audit.Event{Kind: audit.Login, Result: "bad_credentials", Recorded: true}, true},
		{"a person", audit.Event{Kind: audit.WebSignIn, Result: "success", User: "alice"}, true},
		{"a client", audit.Event{Kind: audit.Token, Result: "invalid_grant", ClientID: "wiki"}, true},
		{"an operator", audit.Event{Kind: audit.Management, Result: "success", Actor: "api_token:1"}, true},
		{"a session", audit.Event{Kind: audit.LogoutNotice, Result: "failed", Session: "s1"}, true},
		{"a fault of the server",
			audit.Event{Kind: audit.Token, Result: "server_error", Err: errors.New("disk")}, true},
		{"more metadata documents than an address may name",
			audit.Event{Kind: audit.Authorize, Result: "temporarily_unavailable", Err: registration.ErrBusy}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			core, seen := observer.New(zap.InfoLevel)
			auditor := newAuditor(zap.New(core, zap.WithClock(oneMoment{})))
			auditor.trail = trail
			for range 50 {
				auditor.report(t.Context(), c.event)
			}
			want := 5
			if c.all {
				want = 50
			}
			if got := seen.Len(); got != want {
				t.Errorf("%d lines, want %d", got, want)
			}
		})
	}
}

// oneMoment is a clock that stands still.
type oneMoment struct{}

func (oneMoment) Now() time.Time                         { return time.Unix(1_800_000_000, 0) }
func (oneMoment) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

// TestEveryLogLineIsDocumented looks for the line of each kind of event in the table of
// docs/operations.md.
func TestEveryLogLineIsDocumented(t *testing.T) {
	source, err := os.ReadFile("../../domain/audit/event.go")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`Kind += "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(kinds) < 15 {
		t.Fatalf("%d kinds in the source", len(kinds))
	}
	for _, kind := range kinds {
		t.Run(kind[1], func(t *testing.T) {
			row := "(?m)^\\| info \\|[^|]*`" + lineOf(audit.Kind(kind[1])).message + "`"
			if !regexp.MustCompile(row).Match(document) {
				t.Errorf("no row for %q", lineOf(audit.Kind(kind[1])).message)
			}
		})
	}
}
