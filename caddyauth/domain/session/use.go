package session

import (
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
)

// Verdict says what came of using a refresh token.
type Verdict string

// The verdicts by which a token is honoured.
const (
	Advanced Verdict = "rotated"  // the current token was used up and has a successor
	Repeated Verdict = "repeated" // the token before was used inside the reuse interval: the same successor again
	Kept     Verdict = "kept"     // the token of a fixed grant, which stays
)

// The verdicts by which it is refused, all of them `invalid_grant` (RFC 6749 section 5.2). Only
// Reused changes anything.
const (
	Malformed   Verdict = "malformed"    // not spelled as a refresh token
	BadMAC      Verdict = "bad_mac"      // not made here, or with a secret that is gone
	Unknown     Verdict = "unknown"      // no grant, or one that was deleted after its end
	Ended       Verdict = "revoked"      // of a grant that was ended by a revocation or by reuse
	OtherClient Verdict = "other_client" // presented by a client it was not issued to
	OtherKey    Verdict = "other_key"    // presented without the key that it is bound to
	Expired     Verdict = "expired"      // past the idle or the absolute end
	NotAllowed  Verdict = "not_allowed"  // the owner may not be issued to at present
	Future      Verdict = "future"       // a generation that was never made here: the database lost commits
	Reused      Verdict = "reused"       // a token that had been used up: two parties have it; the family is revoked
)

// Honoured reports whether the verdict lets tokens be issued.
func (v Verdict) Honoured() bool { return v == Advanced || v == Repeated || v == Kept }

// MaxSkew is how far the clocks of nodes may differ: the largest leeway of a gate, since nodes
// further apart do not accept each other's tokens.
const MaxSkew = leeway.Max

// reusedReason is the RevokedFor of a family that was revoked for reuse.
const reusedReason = string(Reused)

// Use is the rule of rotation: what becomes of the grant when a refresh token of it is used at now.
// The store does the same in one atomic step.
//
// A forged or foreign token never gets here, and a token that is merely too old, of another client
// or from the future revokes nothing. A used-up token does: either its holder or whoever holds the
// successor is a thief (RFC 9700 section 4.14). Only the token just before the current one, and
// only inside the reuse interval, is taken for a lost answer or a second tab. It gets the same
// successor and moves no time on but AccessUntil, so that repeating keeps nothing alive. With an
// interval of zero two parallel uses of one token are reuse: one of them wins, and then the family
// dies. A rotation further in the future than clocks may differ was made by a clock that was ahead
// and came back: it opens no interval, which would last until then.
func (g Grant) Use(r Rotation, now time.Time) (Grant, Verdict) {
	switch {
	case !g.Revoked.IsZero():
		return g, Ended
	case r.ClientID != g.ClientID:
		return g, OtherClient
	case !now.Before(g.IdleEnds), !now.Before(g.Ends):
		return g, Expired
	case r.Generation > g.Generation:
		return g, Future
	case r.Generation == g.Generation:
		return g.advance(r, now)
	case r.Generation == g.Generation-1 && g.repeatable(now):
		g.Repeats++
		g.AccessUntil = later(g.AccessUntil, r.AccessUntil)
		return g, Repeated
	}
	g.Revoked, g.RevokedFor, g.IdleEnds = now, reusedReason, now
	return g, Reused
}

// repeatable says whether the token before the current one may be used at now.
func (g Grant) repeatable(now time.Time) bool {
	return g.Reuse > 0 && now.Before(g.Rotated.Add(g.Reuse)) && !now.Before(g.Rotated.Add(-MaxSkew))
}

// advance is the use of the current token.
func (g Grant) advance(r Rotation, now time.Time) (Grant, Verdict) {
	g.LastUsed = now
	g.IdleEnds = earlier(now.Add(g.Idle), g.Ends)
	g.AccessUntil = later(g.AccessUntil, r.AccessUntil)
	if g.Fixed {
		return g, Kept
	}
	g.Generation++
	g.Repeats = 0
	g.Rotated = now
	return g, Advanced
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
