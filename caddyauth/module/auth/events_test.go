package auth

import (
	"context"
	"errors"
	"maps"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
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
