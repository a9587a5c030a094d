package audit

import (
	"cmp"
	"context"
	"time"
)

// Kind is what an event is about. It is the action of the audit trail, and the label `kind` of log
// lines and counters. A new kind is one constant: its log line is named after it.
type Kind string

// The kinds of events.
const (
	// Login is a sign-in at /login.
	Login Kind = "login"

	// APILogin is a sign-in at /api/{projectId}/auth/login.
	APILogin Kind = "api_login"

	// Logout is a sign-out.
	Logout Kind = "logout"

	// LogoutNotice is an attempt to tell a client of the end of a sign-in.
	LogoutNotice Kind = "logout_notice"

	// WebSignIn is the server's answer to a sign-in at an application on another host.
	WebSignIn Kind = "web_sign_in"

	// Authorize is a request to /authorize that was decided.
	Authorize Kind = "authorize"

	// Consent is the decision of a person about what a client may have: allowed or denied.
	Consent Kind = "consent"

	// PushedRequest is a request to /par.
	PushedRequest Kind = "par"

	// DeviceAuthorization is a request to /device_authorization.
	DeviceAuthorization Kind = "device_authorization"

	// DeviceDecision is what a person has decided about a device, or tried to.
	DeviceDecision Kind = "device"

	// Token is a request to /token.
	Token Kind = "token"

	// Revoke is a request to /revoke.
	Revoke Kind = "revoke"

	// Introspect is a request to /introspect.
	Introspect Kind = "introspect"

	// UserInfo is a request to /userinfo.
	UserInfo Kind = "userinfo"

	// Registration is a request to /register, and ClientDocument the fetching of a client's metadata
	// document.
	Registration   Kind = "registration"
	ClientDocument Kind = "client_metadata"

	// Management is a call of the management API. Its Action says which.
	Management Kind = "management"
)

// Event is one thing that was done or tried, with its outcome: what a log line, a counter and an
// entry of the audit trail are made from. It holds no password, no token and no other secret. A
// field that is empty is unknown, or has no meaning for the kind.
type Event struct {
	// Kind is what the event is about. Required.
	Kind Kind

	// Result is "success" or the word of the refusal, from a list that is known beforehand: it is
	// the label of a counter. Required.
	Result string

	// Reason says in a word why, where Result leaves that open. Detail says it in a sentence.
	Reason, Detail string

	// User is the name of a person who exists: people type their password into the wrong field.
	User string

	// ClientID is a client that exists.
	ClientID string

	// Project is the slug of a project that exists.
	Project string

	// Audience is what the token is for.
	Audience string

	// Session is the id of the session or grant.
	Session string

	// Verdict is what came of a refresh token, also when it was refused (session.Verdict).
	Verdict string

	// GrantType is the `grant_type` of a request to /token, if it is offered there.
	GrantType string

	// Actor is who did it, as Entry has it, and ActorName what people call them. Default: the user,
	// or else the client.
	Actor, ActorName string

	// Action is what was done, as Entry has it. Default: the kind.
	Action string

	// Target is the id of what it was done to, TargetName what people call it. Default: the target, or
	// else the user.
	Target, TargetName string

	// ClientIP is the address that the request came from.
	ClientIP string

	// Status is the status of the answer.
	Status int

	// Recorded says that the event goes into the audit trail. The zero value leaves it out, so that
	// whoever floods the server does not fill the database: only what costs a caller something, or
	// proves who they are, is recorded. What changes the store records itself with the change.
	Recorded bool

	// Err is what failed inside, for a log. It is nil where the result says everything.
	Err error
}

// Sink takes events: once for each, after the decision and before the answer. A nil sink takes
// none.
type Sink func(ctx context.Context, e Event)

// Report hands the event to the sink.
func (s Sink) Report(ctx context.Context, e Event) {
	if s != nil {
		s(ctx, e)
	}
}

// Entry returns the event as an entry of the audit trail.
func (e Event) Entry(at time.Time) Entry {
	return Entry{
		At:         at,
		Actor:      cmp.Or(e.Actor, prefixed("user:", e.User), prefixed("client:", e.ClientID), "unknown"),
		Action:     cmp.Or(e.Action, string(e.Kind)),
		Target:     e.Target,
		TargetName: cmp.Or(e.TargetName, e.Target, e.User),
		Project:    e.Project,
		ClientIP:   e.ClientIP,
		Result:     e.Result,
		Detail:     cmp.Or(e.Detail, e.Reason, e.Audience, e.otherwiseUnnamed()),
	}
}

// otherwiseUnnamed is the user whom neither the actor nor the target names: the one whose client was told.
func (e Event) otherwiseUnnamed() string {
	if e.Actor != "" && cmp.Or(e.TargetName, e.Target) != "" {
		return e.User
	}
	return ""
}

func prefixed(prefix, name string) string {
	if name == "" {
		return ""
	}
	return prefix + name
}
