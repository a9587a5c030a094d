package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/serve/registration"
)

// eventLine is how events are logged.
type eventLine struct {
	message string
	fields  []string // written even when they are empty
}

// The lines that operators know. The line of any other kind is named after it.
var (
	signInLine  = eventLine{"sign-in", []string{"kind", "result", "user_id", "project", "audience", "client_ip"}}
	signOutLine = eventLine{"sign-out", signInLine.fields}
	tokenLine   = eventLine{"token request",
		[]string{"kind", "result", "verdict", "client_id", "project", "user_id", "client_ip"}}
	logoutNoticeLine = eventLine{"logout notice", []string{"result", "client_id", "project", "user_id", "session"}}
	managementLine   = eventLine{"management call",
		[]string{"actor", "action", "target", "project", "actor_name", "target_name", "result", "client_ip"}}
)

var eventLines = map[audit.Kind]eventLine{
	audit.Login:        signInLine,
	audit.APILogin:     signInLine,
	audit.Logout:       signOutLine,
	audit.LogoutNotice: logoutNoticeLine,
	audit.Token:        tokenLine,
	audit.Revoke:       tokenLine,
	audit.Introspect:   tokenLine,
	audit.UserInfo:     tokenLine,
	audit.Management:   managementLine,
}

func lineOf(kind audit.Kind) eventLine {
	if line, ok := eventLines[kind]; ok {
		return line
	}
	return eventLine{strings.ReplaceAll(string(kind), "_", " "), []string{"kind", "result", "client_ip"}}
}

// report is the sink of everything below the Caddy layer: it records, counts and logs an event.
func (l *auditor) report(ctx context.Context, e audit.Event) {
	l.record(ctx, e)
	if e.Kind != audit.Management { // the counter is of what anybody may ask for
		loginsTotal.WithLabelValues(string(e.Kind), e.Result).Inc()
	}
	if e.GrantType != "" {
		tokenRequestsTotal.WithLabelValues(e.GrantType, e.Result).Inc()
	}
	line := lineOf(e.Kind)
	logger := l.all
	if isAnonymous(e) {
		logger = l.sampled
	}
	if e.Err != nil {
		if entry := logger.Check(zap.ErrorLevel, line.message+" failed"); entry != nil {
			entry.Write(append(line.of(e), zap.Error(e.Err))...)
		}
		return
	}
	if entry := logger.Check(zap.InfoLevel, line.message); entry != nil {
		entry.Write(line.of(e)...)
	}
}

// isAnonymous reports whether anybody can cause an event as often as they like: it names no user,
// client, session or actor, and is not in the audit trail, where throttles bound what is. Of faults
// only those count that whoever asks has brought about.
func isAnonymous(e audit.Event) bool {
	if e.Err != nil && !errors.Is(e.Err, registration.ErrBusy) {
		return false
	}
	return !e.Recorded && e.User == "" && e.ClientID == "" && e.Session == "" && e.Actor == ""
}

// of returns the fields of the line: its own, and all others that have a value.
func (line eventLine) of(e audit.Event) []zap.Field {
	var fields []zap.Field
	for _, field := range []struct{ name, value string }{
		{"result", e.Result},
		{"reason", e.Reason},
		{"verdict", e.Verdict},
		{"grant_type", e.GrantType},
		{"actor", e.Actor},
		{"actor_name", e.ActorName},
		{"action", e.Action},
		{"target", e.Target},
		{"target_name", e.TargetName},
		{"user_id", e.User},
		{"client_id", e.ClientID},
		{"project", e.Project},
		{"audience", e.Audience},
		{"session", e.Session},
		{"client_ip", e.ClientIP},
		{"detail", e.Detail},
	} {
		if field.value != "" || slices.Contains(line.fields, field.name) {
			fields = append(fields, zap.String(field.name, field.value))
		}
	}
	if slices.Contains(line.fields, "kind") {
		fields = slices.Insert(fields, 0, zap.String("kind", string(e.Kind)))
	}
	if e.Status != 0 {
		fields = append(fields, zap.Int("status", e.Status))
	}
	return fields
}

// recordTimeout bounds how long an answer waits for its entry in the audit trail.
const recordTimeout = 500 * time.Millisecond

// record adds an event to the audit trail. An entry that cannot be written in time is missing
// there, and is in the log.
func (l *auditor) record(ctx context.Context, e audit.Event) {
	if !e.Recorded {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := l.trail.AddEntry(ctx, e.Entry(time.Now())); err != nil {
		l.all.Warn("a line of the audit trail could not be written", zap.String("kind", string(e.Kind)), zap.Error(err))
	}
}
