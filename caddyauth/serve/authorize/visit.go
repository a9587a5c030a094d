package authorize

import (
	"strconv"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
)

// visitField is the parameter of /authorize in which the server notes what it has asked of the
// person. It is no part of the request.
const visitField = "visit"

// visitPurpose keeps the MACs of visits apart from others.
const visitPurpose = "authorization request"

// longestVisit is for how long a person may be under way.
const longestVisit = time.Hour

// Visits signs what is noted in addresses (session.Tokens).
type Visits interface {
	MAC(purpose, text string) string
	HasMAC(purpose, text, mac string) bool
}

// Visit is what the server notes of a request when it sends the person to another page: when it was
// first seen, and with which session. It is bound to the request, so that the note of an older one,
// in which the person was asked already, is worth nothing.
type Visit struct {
	// Began is when the request was first seen, in whole milliseconds.
	Began time.Time

	// Session tells the session of that moment from later ones; empty when nobody was signed in.
	Session string

	// Agreed is the session of the person who has agreed since, on the page for that; empty as long
	// as nobody has.
	Agreed string
}

// Mark returns the parameters of a request with the note of a visit.
func Mark(visits Visits, p authorization.Parameters, v Visit) authorization.Parameters {
	text := strconv.FormatInt(v.Began.UnixMilli(), 10) + "." + v.Agreed + "." + v.Session
	marked := withoutVisit(p)
	mac := visits.MAC(visitPurpose, text+"\n"+marked.Encode())
	marked[visitField] = []string{text + "." + mac}
	return marked
}

// ReadVisit takes the note of a visit out of the parameters of a request. It is the zero Visit when
// there is none that this server made for this request within the last hour.
func ReadVisit(visits Visits, p authorization.Parameters, now time.Time) (authorization.Parameters, Visit) {
	noted, p := p.Get(visitField), withoutVisit(p)
	end := strings.LastIndexByte(noted, '.')
	if end < 0 || !visits.HasMAC(visitPurpose, noted[:end]+"\n"+p.Encode(), noted[end+1:]) {
		return p, Visit{}
	}
	parts := strings.SplitN(noted[:end], ".", 3)
	ms, err := strconv.ParseInt(parts[0], 10, 64)
	began := time.UnixMilli(ms).UTC()
	if err != nil || len(parts) != 3 || now.Sub(began) > longestVisit {
		return p, Visit{}
	}
	return p, Visit{Began: began, Agreed: parts[1], Session: parts[2]}
}

func withoutVisit(p authorization.Parameters) authorization.Parameters {
	rest := make(authorization.Parameters, len(p))
	for name, values := range p {
		if name != visitField {
			rest[name] = values
		}
	}
	return rest
}

// isSignedInSince reports whether the person has signed in since the visit began. The session is then
// another one; an access token has its time in whole seconds.
func (v Visit) isSignedInSince(s *Session) bool {
	return !v.Began.IsZero() && keyOf(s) != v.Session && s.AuthTime.Unix() >= v.Began.Unix()
}
