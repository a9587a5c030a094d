package login

import (
	"context"
	"net/http"
)

// The kinds of events.
const (
	// KindLogin is a sign-in at /login.
	KindLogin = "login"

	// KindAPILogin is a sign-in at /api/{projectId}/auth/login.
	KindAPILogin = "api_login"

	// KindLogout is a sign-out.
	KindLogout = "logout"
)

// Event is one attempt to sign in or out, with its outcome: what an audit line and a counter need.
// It holds no password and no token.
type Event struct {
	// Kind is KindLogin, KindAPILogin or KindLogout.
	Kind string

	// Result is one of Results: the word that the answer carries too.
	Result string

	// Account is the name of the person. It is empty when nobody of that name exists: people type
	// their password into the wrong field.
	Account string

	// Project is the project; empty when it is unknown.
	Project string

	// Audience is what the token is for; empty when none was asked for in a valid way.
	Audience string

	// ClientIP is the address that the attempt was counted by.
	ClientIP string

	// Request is the request. Its body has been read.
	Request *http.Request

	// Err is what failed inside, for a log: the store, the issuing, an unusable hash, a turn that
	// did not come. It is nil where the result says everything.
	Err error
}

// SentBack is a person whose sign-in was not accepted where they came from.
type SentBack struct {
	// Subject is the person.
	Subject string

	// Host is the host of the return target; empty without one.
	Host string

	// Unreachable says that the session cookie, which belongs to the server's own host, cannot get
	// there.
	Unreachable bool
}

func (s *Server) observe(ctx context.Context, e Event) {
	if s.Observe != nil {
		s.Observe(ctx, e)
	}
}
