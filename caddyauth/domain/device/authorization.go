package device

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

const (
	// CodePrefix is what a device code begins with.
	CodePrefix = "dc_"

	// DefaultLifetime is how long a person has to type the code in, unless a setting says otherwise.
	DefaultLifetime = 10 * time.Minute

	// Interval is how long a device waits between two polls (RFC 8628, section 3.2), and what is
	// added when it does not (section 3.5).
	Interval = 5 * time.Second

	// MaxInterval is the longest that it grows to.
	MaxInterval = time.Minute
)

// State is what became of a request.
type State string

// The states.
const (
	Pending  State = "pending"  // nobody has decided
	Approved State = "approved" // a person has allowed it
	Denied   State = "denied"   // a person has refused it
	Used     State = "used"     // the tokens were given out
)

// Authorization is a device's request for tokens. Times are UTC in whole milliseconds.
type Authorization struct {
	// Hash is the hash of the device code.
	Hash string

	// UserCode is what the person types in, in its canonical form.
	UserCode string

	// ClientID is the device's client, Project its project.
	ClientID, Project string

	// Scopes and Audience are what it asks for.
	Scopes, Audience []string

	// JKT is the thumbprint of the key that the device has proved to have. Default: none.
	JKT string

	// ClientIP is the address that the request came from; the person is shown it.
	ClientIP string

	// Created and Expires are the ends of its life.
	Created, Expires time.Time

	// Interval is how long the device has to wait now, Polled when it asked last.
	Interval time.Duration
	Polled   time.Time

	// State is what became of it.
	State State

	// Approval is who has decided, and how they had signed in.
	Approval

	// Granted is the ID of the grant that it became.
	Granted string
}

// Approval is the person who decides about a request.
type Approval struct {
	// Subject is the name of the person, Account its canonical form.
	Subject, Account string

	// Session is their session; what the device gets ends with it unless it is Offline.
	Session string

	// SessionEnds is when the session ends in any case. DecideDevice sets it.
	SessionEnds time.Time

	// AuthTime, ACR and AMR say when and how they signed in.
	AuthTime time.Time
	ACR      string
	AMR      []string

	// Epoch is that of the session's access token; once the decision is stored, the one that was
	// current then.
	Epoch int64
}

// consonants are the letters of user codes: no vowels, so that no word comes out, and none that is
// mistaken for another one (RFC 8628, section 6.1).
const consonants = "BCDFGHJKLMNPQRSTVWXZ"

// codeLetters is the length of a user code: 34.5 bits, of which a guess has at most some hundred
// tries.
const codeLetters = 8

// New makes a request, and the device code that belongs to it. The code is not kept.
func New(a Authorization, lifetime time.Duration, now time.Time) (Authorization, string) {
	now = now.UTC().Truncate(time.Millisecond)
	code := secrets.New(CodePrefix)
	a.Hash, a.UserCode = secrets.Hash(code), newUserCode()
	a.Created, a.Expires, a.Interval, a.State = now, now.Add(lifetime), Interval, Pending
	return a, code
}

func newUserCode() string {
	var code [codeLetters]byte
	for i := range code {
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(consonants)))) // it cannot fail
		code[i] = consonants[n.Int64()]
	}
	return string(code[:])
}

// ShowUserCode writes a user code for people: in two halves.
func ShowUserCode(code string) string {
	if len(code) != codeLetters {
		return code
	}
	return code[:codeLetters/2] + "-" + code[codeLetters/2:]
}

// ReadUserCode reads what a person has typed: letters of either case, with dashes, dots and spaces
// anywhere. It returns the canonical form, or false for what can be no code.
func ReadUserCode(typed string) (code string, ok bool) {
	if len(typed) > 64 {
		return "", false
	}
	code = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(" -_.\u2010\u2011\u2012\u2013\u2014\u00a0\t", r):
			return -1
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		}
		return r
	}, typed)
	return code, len(code) == codeLetters && strings.Trim(code, consonants) == ""
}

// Verdict says what comes of a poll.
type Verdict string

// The verdicts. Those that are refusals carry the error word of RFC 8628, section 3.5, or of RFC
// 6749, section 5.2.
const (
	Granted     Verdict = "granted"
	StillOpen   Verdict = "authorization_pending"
	TooFast     Verdict = "slow_down"
	Refused     Verdict = "access_denied"
	TooLate     Verdict = "expired_token"
	OtherClient Verdict = "other_client" // invalid_grant
	OtherKey    Verdict = "other_key"    // invalid_grant: bound to another key
	Unknown     Verdict = "unknown"      // invalid_grant
	Replayed    Verdict = "replayed"     // invalid_grant: the tokens were given out already
	NotAllowed  Verdict = "not_allowed"  // invalid_grant: person, client or session have ended meanwhile
)

// Poll is the rule of polling: what comes of it when this client asks at now, and the request
// afterwards. Only its own client moves anything. A device that asks too soon is told to wait longer,
// and nothing else: whoever asks too often learns nothing.
func (a Authorization) Poll(clientID, jkt string, now time.Time) (Authorization, Verdict) {
	switch {
	case clientID != a.ClientID:
		return a, OtherClient
	case a.JKT != "" && jkt != a.JKT:
		return a, OtherKey
	case a.State == Used:
		return a, Replayed
	case !now.Before(a.Expires):
		return a, TooLate
	case now.Before(a.Polled.Add(a.Interval)) && !now.Before(a.Polled): // a clock that came back is no haste
		a.Interval, a.Polled = min(a.Interval+Interval, MaxInterval), now
		return a, TooFast
	}
	a.Polled = now
	switch a.State {
	case Approved:
		return a, Granted
	case Denied:
		return a, Refused
	}
	return a, StillOpen
}

// Errors of the store.
var (
	// ErrTaken says that the user code is in use.
	ErrTaken = errors.New("the user code is in use")

	// ErrNotFound says that there is no such request, or that it has expired.
	ErrNotFound = errors.New("no such device request")

	// ErrDecided says that somebody has decided before.
	ErrDecided = errors.New("it was decided before")

	// ErrOvertaken says that the person, the project, the client or the session have ended meanwhile.
	ErrOvertaken = errors.New("the person, the client or the session ended meanwhile")
)

// Redemption is a request that was approved, and the grant that it becomes.
type Redemption struct {
	// Hash is that of the device code.
	Hash string

	// Session is that of the person who approved.
	Session string

	// Grant is what begins.
	Grant session.Grant
}

// Store keeps requests of devices. Every method is one atomic and durable step.
type Store interface {
	// AddDevice stores a new request. ErrTaken when the user code is in use.
	AddDevice(ctx context.Context, a Authorization) error

	// FindDevice returns the request of that user code, unless it has expired at now. ErrNotFound.
	FindDevice(ctx context.Context, userCode string, now time.Time) (Authorization, error)

	// DecideDevice stores what a person has decided about the request of that device code: an
	// approval if project and client are active, the person is, and their session lives. It sets the
	// epoch to the current one. ErrNotFound, ErrDecided, ErrOvertaken.
	DecideDevice(ctx context.Context, hash string, by Approval, approved bool, now time.Time) error

	// PollDevice applies Authorization.Poll to the request as it stands. Unknown when there is none.
	PollDevice(ctx context.Context, hash, clientID, jkt string, now time.Time) (Authorization, Verdict, error)

	// RedeemDevice stores the grant of an approved request and marks it as used, if it is not yet, and
	// DecideDevice's conditions still hold with its epoch. Otherwise nothing begins. Of a request that
	// is used already, the grant that it became ends, with the returned denials.
	RedeemDevice(ctx context.Context, r Redemption, now time.Time) (Verdict, []revocation.Denial, error)

	// DeleteDevices deletes at most n requests that ended before a time.
	DeleteDevices(ctx context.Context, before time.Time, n int) (int, error)
}
