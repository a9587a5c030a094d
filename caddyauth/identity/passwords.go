package identity

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

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

// processSlots holds one place per processor. The whole process shares it: two configurations during a
// reload, or several servers, do not hash more at once than one.
var processSlots = sync.OnceValue(func() chan struct{} {
	return make(chan struct{}, runtime.GOMAXPROCS(0))
})

// Passwords checks passwords. At most GOMAXPROCS hashes are computed at once in a process; an attempt
// waits at most 2 s for its turn. Every check computes exactly one hash, whatever its outcome. Make one
// with NewPasswords; it is safe for concurrent use.
type Passwords struct {
	decoy    string
	slots    chan struct{}
	matches  func(hash, password string) bool
	computed atomic.Int64
}

// NewPasswords returns a checker that spends the work of decoyHash where there is no hash to check.
// The text comes from DecoyHash; an empty one stands for argon2id as `caddy hash-password` makes it. A
// decoy that CheckHash refuses is an error.
func NewPasswords(decoyHash string) (*Passwords, error) {
	if decoyHash == "" {
		decoyHash = defaultDecoy
	}
	if err := CheckHash(decoyHash); err != nil {
		return nil, err
	}
	return &Passwords{decoy: decoyHash, slots: processSlots(), matches: matches}, nil
}

// Check says whether password is the user's. A nil user, a disabled one, one without a hash, and one
// whose hash CheckHash refuses are checked against the decoy and never match; in the last case the
// error wraps ErrBadHash, and the caller answers as for any wrong password.
//
// It returns ErrBusy when no turn came within 2 s, and the context's error when that ended first. Once
// the computation runs, it is not interrupted and keeps its turn to the end.
func (p *Passwords) Check(ctx context.Context, u *User, password string) (ok bool, err error) {
	hash, usable, err := p.hashOf(u)
	text, counts := hashable(password, hash)
	if err := p.acquire(ctx); err != nil {
		return false, err
	}
	defer func() { <-p.slots }()
	p.computed.Add(1)
	match := p.matches(hash, text)
	return match && usable && counts, err
}

// Computed returns how many hashes have been computed since the start.
func (p *Passwords) Computed() int64 { return p.computed.Load() }

func (p *Passwords) hashOf(u *User) (hash string, usable bool, err error) {
	if u == nil || u.Disabled || u.PasswordHash == "" {
		return p.decoy, false, nil
	}
	if err := CheckHash(u.PasswordHash); err != nil {
		return p.decoy, false, err
	}
	return u.PasswordHash, true, nil
}

func (p *Passwords) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(maxHashWait)
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return ErrBusy
	}
}

// hashable returns the text to hash for a password, and whether a match would count.
//
// There is one rule for all spellings: a password is normalised to NFC, as RFC 8265, section 4.2, does,
// and then hashed once. What a keyboard sends in a decomposed form so equals the composed form that a
// hash is made from. Nothing else is changed: no trimming, no folding. An empty password, more than
// 1 KiB, invalid UTF-8, a NUL (where implementations in C stop reading) and, with bcrypt, more than 72
// bytes (where bcrypt stops reading) never match, for the same work.
func hashable(password, hash string) (text string, counts bool) {
	if password == "" || len(password) > maxPassword || !utf8.ValidString(password) || strings.Contains(password, "\x00") {
		return "", false
	}
	text = norm.NFC.String(password)
	if len(text) > maxBcryptPassword && bcryptForm.MatchString(hash) {
		return "", false
	}
	return text, true
}
