package authorization

import (
	"context"
	"errors"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// CodePrefix is what a code begins with.
const CodePrefix = "ac_"

// Code is what a person's agreement becomes: a client may exchange it for tokens, once. Times are UTC
// in whole milliseconds.
type Code struct {
	// Hash is the hash of the code.
	Hash string

	// ClientID is whom the code was issued to, Project and Subject are the person's, and Account is
	// the canonical form of the name.
	ClientID, Project, Subject, Account string

	// RedirectURI is where the code was sent, RedirectSent is of Request.
	RedirectURI  string
	RedirectSent bool

	// Challenge, Nonce, Scopes, ClaimsText and JKT are those of the Request, Audience its resources
	// or else the client's audience.
	Challenge, Nonce string
	Scopes, Audience []string
	ClaimsText, JKT  string

	// Session is the person's session, under which the tokens will be granted. Empty: it has no
	// refresh token, and nothing can end it but the clock.
	Session string

	// SessionEnds is when the session ends in any case, as it was read with the code.
	SessionEnds time.Time

	// AuthTime, ACR and AMR say when and how the person signed in.
	AuthTime time.Time
	ACR      string
	AMR      []string

	// Device and ClientIP are those of the browser, for listings.
	Device, ClientIP string

	// Epoch is the one that was current when the code was added. Revocations with a higher one end
	// it.
	Epoch int64

	// Created and Expires are the ends of its life.
	Created, Expires time.Time

	// Used is when it was exchanged, and Granted the ID of the grant that it bought.
	Used    time.Time
	Granted string
}

// Verdict says what came of a code that was presented.
type Verdict string

// The verdicts. All but Redeemed are `invalid_grant` (RFC 6749, section 5.2), and all but Redeemed and
// Replayed change nothing.
const (
	Redeemed      Verdict = "redeemed"       // it was exchanged
	Unknown       Verdict = "unknown"        // not issued here, or forgotten
	OtherClient   Verdict = "other_client"   // issued to another client
	OtherRedirect Verdict = "other_redirect" // the redirect URI is not the one of the request
	BadVerifier   Verdict = "bad_verifier"   // PKCE: the verifier does not answer the challenge
	OtherKey      Verdict = "other_key"      // DPoP: the code is bound to another key
	Expired       Verdict = "expired"        // presented too late
	NotAllowed    Verdict = "not_allowed"    // client, person, project or session have ended meanwhile
	Replayed      Verdict = "replayed"       // used before: what it bought was ended
)

// Presented is a code at /token, with what proves that its client is the one it was issued to.
type Presented struct {
	// Hash is that of the code.
	Hash string

	// ClientID is the client that has authenticated.
	ClientID string

	// RedirectURI and Verifier are the parameters `redirect_uri` and `code_verifier`.
	RedirectURI, Verifier string

	// JKT is the thumbprint of the key that the client has proved to have. Default: none.
	JKT string
}

// Judge is the rule of codes: what comes of presenting this one at now. Only a code that its own
// client presents with the right verifier counts as used before: whoever has merely seen it could
// otherwise end the tokens of the client (OAuth 2.1, section 4.1.3).
func (c Code) Judge(p Presented, now time.Time) Verdict {
	switch {
	case p.ClientID != c.ClientID:
		return OtherClient
	case !verifies(c.Challenge, p.Verifier):
		return BadVerifier
	case !c.sameRedirect(p.RedirectURI):
		return OtherRedirect
	case c.JKT != "" && p.JKT != c.JKT:
		return OtherKey
	case !c.Used.IsZero():
		return Replayed
	case !now.Before(c.Expires):
		return Expired
	}
	return Redeemed
}

// sameRedirect compares the redirect URI (RFC 6749, section 4.1.3). Behind PKCE it may be left out
// (OAuth 2.1, section 10.2).
func (c Code) sameRedirect(presented string) bool {
	if presented == "" {
		return !c.RedirectSent || c.Challenge != ""
	}
	return presented == c.RedirectURI
}

// Redemption is a code that was judged good, and what it shall buy.
type Redemption struct {
	// Hash is that of the code.
	Hash string

	// Session is that of the code.
	Session string

	// Grant is what begins, for the owners of the code.
	Grant session.Grant
}

// Outcome is what came of a Redemption in the store.
type Outcome struct {
	Verdict Verdict

	// Denials were written together with the verdict Replayed: of the grant that the code bought.
	Denials []revocation.Denial
}

// Errors of AddCode.
var (
	// ErrOvertaken says that the person, the project, the client or the session have ended meanwhile.
	ErrOvertaken = errors.New("the person, the client or the session ended meanwhile")

	// ErrPushedUsed says that the pushed request was used up or has expired meanwhile.
	ErrPushedUsed = errors.New("the pushed request is used up or has expired")
)

// Store keeps codes and pushed requests. Every method is one atomic and durable step. Of callers that
// race, each gets a verdict, and none an error for having lost.
type Store interface {
	// AddCode stores a new code if the client and its project are active, the person is, no
	// revocation of them is newer than c.Epoch, and c.Session lives. It sets Epoch to the current
	// one. Otherwise it returns ErrOvertaken. pushed is the hash of the pushed request that the code
	// completes, empty for none; one that is used up or expired gives ErrPushedUsed.
	AddCode(ctx context.Context, c Code, pushed string) error

	// RedeemCode stores the grant that a code buys and marks the code as used, if it is not yet, has
	// not expired, and AddCode's conditions hold, with the code's epoch. Otherwise nothing begins,
	// and a code that was used before ends the grant that it bought.
	RedeemCode(ctx context.Context, r Redemption, now time.Time) (Outcome, error)

	// ReplayCode ends the grant that a used code bought.
	ReplayCode(ctx context.Context, hash string, now time.Time) (Outcome, error)

	// AddPushed stores a pushed request.
	AddPushed(ctx context.Context, p Pushed) error

	// FindPushed returns a pushed request or ErrNoPushed; used and expired ones, too.
	FindPushed(ctx context.Context, hash string) (Pushed, error)

	// DeleteCodes and DeletePushed delete at most n rows that are of no use since before a time.
	DeleteCodes(ctx context.Context, before time.Time, n int) (int, error)
	DeletePushed(ctx context.Context, before time.Time, n int) (int, error)
}
