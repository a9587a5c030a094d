package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"time"
)

// Throttle limits how fast passwords may be guessed. An attempt is counted before the password is
// hashed, so that parallel attempts cannot slip past it, and only where every limit has room: a
// refused attempt counts nowhere, which is why hammering at a full limit never makes the wait
// longer and nobody is locked out for ever.
//
// Three limits hold together. Pair is for one account from one client address. Address is for one
// client address whatever the account, against a list of names tried from one place. Account is a
// slow brake on one account whatever the address, against guessing from many places; it is not
// asked of an address from which this account signed in lately, so that an attacker who keeps it
// full cannot lock the person out.
//
// A Throttle keeps nothing itself and may be used by several goroutines.
type Throttle struct {
	// Store keeps the counters, so that they survive reload and restart. Required.
	Store ThrottleStore

	// Key makes the row keys of the store unguessable: they are HMAC-SHA256 values under it.
	// Without a key they are hashes which still name nobody, but a reader of the database could
	// test a guessed name. Changing it empties all limits.
	Key []byte

	// Pair limits one account from one client address. Default: 5 at once, one more each minute.
	Pair Limit

	// Address limits one client address over all accounts. Default: 50 at once, one more each 2
	// seconds.
	Address Limit

	// Account limits one account over all client addresses. Default: 100 at once, one more each 10
	// seconds.
	Account Limit

	// KnownFor is how long an address is exempt from the Account limit after a success. Default: 30
	// days.
	KnownFor time.Duration
}

// Limit is a rate: Burst attempts at once, and one more each time Every has passed. A zero field
// has the default of the setting it belongs to.
type Limit struct {
	Burst int
	Every time.Duration
}

// The defaults of Throttle.
var (
	defaultPair    = Limit{Burst: 5, Every: time.Minute}
	defaultAddress = Limit{Burst: 50, Every: 2 * time.Second}
	defaultAccount = Limit{Burst: 100, Every: 10 * time.Second}
)

const defaultKnownFor = 30 * 24 * time.Hour

// Bucket is one counter of attempts: a token bucket that lets Burst attempts pass at once and one
// more each Every (at least a millisecond). Key is its row in the store and names nobody.
type Bucket struct {
	Key   string
	Burst int
	Every time.Duration
}

// ThrottleStore is what Throttle needs of a store. Every method is one atomic step, and times are
// kept in milliseconds.
type ThrottleStore interface {
	// TakeAttempt counts an attempt in every bucket if all of them have room, and in none
	// otherwise. It returns 0 when it counted, else the time until the last of the full buckets has
	// room for one.
	TakeAttempt(ctx context.Context, a Attempt, now time.Time) (wait time.Duration, err error)

	// DeleteIdleAttempts deletes at most n rows that have no effect at now: empty buckets and expired
	// pairs. It returns how many it deleted.
	DeleteIdleAttempts(ctx context.Context, now time.Time, n int) (int, error)
}

// Attempt is what an attempt to sign in is counted in.
type Attempt struct {
	// Buckets count every attempt.
	Buckets []Bucket
	// Account counts the attempt unless Known is remembered.
	Account Bucket
	// Known is the key of the account and the address together.
	Known string
}

// Forgiveness is the change of the counters after a successful sign-in.
type Forgiveness struct {
	// Empty is the key of the bucket that is emptied.
	Empty string
	// Back is the bucket that gets back the one attempt that this was. Default: none.
	Back Bucket
	// Known is the key that is remembered until Until. Default: none is.
	Known string
	Until time.Time
}

// Take counts an attempt to sign in to account (a canonical name) of project from clientIP. It
// returns 0 when the attempt may go on, else how long to wait. An error is the store's: then
// nothing was counted, and the attempt must not go on.
func (t *Throttle) Take(ctx context.Context, project, account, clientIP string, now time.Time) (time.Duration, error) {
	address, _ := CanonicalAddress(clientIP)
	return t.Store.TakeAttempt(ctx, Attempt{
		Buckets: []Bucket{
			t.Pair.or(defaultPair).bucket(t.key("pair", project, account, address)),
			t.Address.or(defaultAddress).bucket(t.key("address", address)),
		},
		Account: t.Account.or(defaultAccount).bucket(t.key("account", project, account)),
		Known:   t.key("known", project, account, address),
	}, now)
}

// Forgiven returns what to store after a success with the arguments of Take: the counter of this
// account from this address is emptied, the pair is remembered for KnownFor, and the address gets
// back this one attempt, so that many people behind one address can sign in one after the other. It
// gets back no more than that, because whoever owns one account could otherwise clear the way for
// guessing at all others.
func (t *Throttle) Forgiven(project, account, clientIP string, now time.Time) Forgiveness {
	address, ok := CanonicalAddress(clientIP)
	f := Forgiveness{
		Empty: t.key("pair", project, account, address),
		Back:  t.Address.or(defaultAddress).bucket(t.key("address", address)),
	}
	if ok { // all unreadable addresses are one address: to know it would exempt everybody
		f.Known = t.key("known", project, account, address)
		f.Until = now.Add(orDefault(t.KnownFor, defaultKnownFor))
	}
	return f
}

// key is the row of what the parts name. Each part is preceded by its length, so that ("a", "bc")
// and ("ab", "c") differ.
func (t *Throttle) key(parts ...string) string {
	mac := hmac.New(sha256.New, t.Key)
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// CanonicalAddress is the client as the limits see it: an IPv4 address, or the /64 of an IPv6 one,
// since whoever has an address there usually has all of them. All unreadable addresses count as one
// client; ok is then false.
func CanonicalAddress(clientIP string) (address string, ok bool) {
	addr, err := netip.ParseAddr(clientIP)
	if err != nil {
		return "unreadable", false
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String(), true
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return "unreadable", false
	}
	return prefix.String(), true
}

func (l Limit) or(standard Limit) Limit {
	return Limit{Burst: orDefault(l.Burst, standard.Burst), Every: orDefault(l.Every, standard.Every)}
}

func (l Limit) bucket(key string) Bucket {
	return Bucket{Key: key, Burst: l.Burst, Every: l.Every}
}

// orDefault is cmp.Or for settings which may not be negative either.
func orDefault[T int | time.Duration](value, standard T) T {
	if value <= 0 {
		return standard
	}
	return value
}
