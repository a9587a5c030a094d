package oauth

import (
	"context"
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// The kinds of events.
const (
	// KindToken is a request to /token.
	KindToken = "token"

	// KindRevoke is a request to /revoke.
	KindRevoke = "revoke"

	// KindIntrospect is a request to /introspect.
	KindIntrospect = "introspect"
)

// Event is one request and its outcome: what an audit line and a counter need. It holds no token
// and no secret.
type Event struct {
	// Kind is KindToken, KindRevoke or KindIntrospect.
	Kind string

	// Result is one of Results: the word that the answer carries too.
	Result string

	// Verdict is what came of a refresh token, also when it was refused; empty when none was looked
	// at.
	Verdict session.Verdict

	// ClientID is the client that was named, where there is one of that id; it has proved itself
	// unless the result is invalid_client.
	ClientID string

	// Project and Subject are those of the token that was asked about, or the client's project;
	// empty when unknown.
	Project, Subject string

	// ClientIP is where the request came from.
	ClientIP string

	// Request is the request. Its body has been read.
	Request *http.Request

	// Err is what failed inside, for a log. It is nil where the result says everything.
	Err error
}

func (s *Server) observe(ctx context.Context, e Event) {
	if s.Observe != nil {
		s.Observe(ctx, e)
	}
}

// isAbout notes whose token the request is about.
func (e *Event) isAbout(projectSlug, subject string) {
	if projectSlug != "" {
		e.Project, e.Subject = projectSlug, subject
	}
}
