package identity

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"
	"golang.org/x/text/unicode/norm"
)

const (
	// maxPassword is the longest password that is looked at, in bytes.
	maxPassword = 1024

	// maxBcryptPassword is where bcrypt stops reading, in bytes.
	maxBcryptPassword = 72

	// maxHashWait is how long an attempt waits for its turn.
	maxHashWait = 2 * time.Second
)

// ErrBusy says that too many passwords were being checked already; try again in some seconds.
var ErrBusy = errors.New("too many passwords are being checked")

// hashSlots is how many threads of a process may compute hashes at once: half of the processors,
// and at least one. The other half is for requests, which need a thousandth of the time and must
// not wait behind a flood of wrong passwords.
func hashSlots() int64 { return int64(max(runtime.GOMAXPROCS(0)/2, 1)) }

// processSlots is shared by the whole process: two configurations during a reload, or several
// servers, do not hash more at once than one.
var processSlots = sync.OnceValue(func() *slots { return newSlots(hashSlots()) })

// slots are places for threads that compute hashes. A hash of more lanes than there are places
// takes them all.
type slots struct {
	places *semaphore.Weighted
	number int64
}

func newSlots(n int64) *slots { return &slots{semaphore.NewWeighted(n), n} }

// Acquire waits for n places.
func (s *slots) Acquire(ctx context.Context, n int64) error {
	return s.places.Acquire(ctx, min(n, s.number))
}

// Release gives n places back.
func (s *slots) Release(n int64) { s.places.Release(min(n, s.number)) }

// Passwords checks passwords. Hashes are computed by at most half of the processors at once in a
// process, and at least one; an attempt waits at most 2 s for its turn. Every refusal takes the
// same work, whatever its reason and whoever it is for; see ceiling. Make one with NewPasswords; it
// is safe for concurrent use.
type Passwords struct {
	// Kinds returns the kinds (HashKind) of the hashes in the store, and is asked at most every 5 s.
	// While it fails, what it said before counts. Default: there are no others than those given to
	// NewPasswords.
	Kinds func(ctx context.Context) ([]string, error)

	declared []string
	asked    atomic.Int64 // when Kinds was asked last, in unix nanoseconds
	mu       sync.Mutex   // one change of top at a time
	top      atomic.Pointer[ceiling]
	slots    *slots
	matches  func(hash, password string) bool
	computed atomic.Int64
}

// kindsFor is how long the kinds of the store are cached.
const kindsFor = 5 * time.Second

// NewPasswords returns a checker for hashes of these kinds (HashKind). Kinds that cannot be read do
// not count. Without any, a refusal costs what a new hash does.
func NewPasswords(kinds []string) *Passwords {
	p := &Passwords{declared: kinds, slots: processSlots(), matches: matches}
	p.setKinds(nil)
	return p
}

// setKinds sets the ceiling to that of the declared kinds and these.
func (p *Passwords) setKinds(kinds []string) {
	c := ceilingOf(slices.Concat(p.declared, kinds))
	if c.empty() {
		c = c.with(defaultWork())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.top.Store(&c)
}

// addWork raises the ceiling to a work that the store has not reported yet.
func (p *Passwords) addWork(w work) {
	if p.top.Load().holds(w) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.top.Load().with(w)
	p.top.Store(&c)
}

// refreshKinds asks the store for its kinds if the cached ones are too old.
func (p *Passwords) refreshKinds(ctx context.Context) {
	asked, now := p.asked.Load(), time.Now()
	if p.Kinds == nil || now.Sub(time.Unix(0, asked)).Abs() < kindsFor ||
		!p.asked.CompareAndSwap(asked, now.UnixNano()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, maxHashWait)
	defer cancel()
	if kinds, err := p.Kinds(ctx); err == nil {
		p.setKinds(kinds)
	}
}

// Check says whether password is the user's. A nil user, a disabled one, one without a hash, and
// one whose hash ValidateHash refuses never match; in the last case the error wraps ErrBadHash, and
// the caller answers as for any wrong password.
//
// It returns ErrBusy when no turn came within 2 s, and the context's error when that ended first. A
// hash that is being computed is not interrupted and keeps its place to the end.
func (p *Passwords) Check(ctx context.Context, u *User, password string) (ok bool, err error) {
	p.refreshKinds(ctx)
	hash, err := hashOf(u)
	var done work
	if hash != "" {
		done, _ = workOf(hash) // hashOf has asked
		p.addWork(done)
	}
	top := p.top.Load()
	if err := p.acquire(ctx, top.lanes()); err != nil {
		return false, err
	}
	defer p.slots.Release(top.lanes())
	if hash != "" && p.compute(hash, password) {
		return true, nil
	}
	for _, decoy := range top.missingWork(done) {
		if err := ctx.Err(); err != nil {
			return false, err // the client is gone, so nobody measures the time
		}
		p.compute(decoy, password)
	}
	return false, err
}

// compute computes a hash of the password and says whether it is this one.
func (p *Passwords) compute(hash, password string) bool {
	p.computed.Add(1)
	text, counts := hashable(password, hash)
	return p.matches(hash, text) && counts
}

// Computed returns how many hashes have been computed since the start.
func (p *Passwords) Computed() int64 { return p.computed.Load() }

// hashOf returns the hash that a password would have to match, and none for whom no password
// matches.
func hashOf(u *User) (string, error) {
	if u == nil || u.Disabled || u.PasswordHash == "" {
		return "", nil
	}
	if err := ValidateHash(u.PasswordHash); err != nil {
		return "", err
	}
	return u.PasswordHash, nil
}

// acquire waits for the turn of a hash with that many lanes.
func (p *Passwords) acquire(ctx context.Context, lanes int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, maxHashWait)
	defer cancel()
	err := p.slots.Acquire(waiting, lanes)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return ErrBusy
}

// hashable returns the text to hash for a password, and whether a match would count.
//
// There is one rule for all spellings: a password is normalised to NFC, as RFC 8265, section 4.2,
// does, and then hashed once. What a keyboard sends in a decomposed form so equals the composed
// form that a hash is made from. Nothing else is changed: no trimming, no folding. An empty
// password, more than 1 KiB, invalid UTF-8, a NUL (where implementations in C stop reading) and,
// with bcrypt, more than 72 bytes (where bcrypt stops reading) never match, for the same work.
func hashable(password, hash string) (text string, counts bool) {
	if password == "" || len(password) > maxPassword || !utf8.ValidString(password) ||
		strings.Contains(password, "\x00") {
		return "", false
	}
	text = norm.NFC.String(password)
	if len(text) > maxBcryptPassword && bcryptForm.MatchString(hash) {
		return "", false
	}
	return text, true
}
