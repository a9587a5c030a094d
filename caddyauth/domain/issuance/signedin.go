package issuance

import "time"

// SignedIn is a person's session, as their browser proves it. What they allow a client is granted
// under it.
type SignedIn struct {
	// Subject is the name of the person, Project the slug of the project.
	Subject, Project string

	// ID is the session's; empty where it has no refresh token. TokenID is that of its access token.
	ID, TokenID string

	// Epoch is that of the access token.
	Epoch int64

	// AuthTime is when the person signed in, in whole seconds; zero when that was not noted. ACR and
	// AMR say how.
	AuthTime time.Time
	ACR      string
	AMR      []string
}
