package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// MaxReuse is the longest reuse interval.
	MaxReuse = time.Minute
	// DefaultAccess is the lifetime of access tokens where Service.AccessLifetime is not set.
	DefaultAccess = 15 * time.Minute

	seedBytes   = 32
	maxSeenText = 256 // bytes of Device and ClientIP
)

// Service begins, continues and ends grants. It keeps nothing itself and may be used by several
// goroutines. `now` is always the caller's.
//
// How an order wins over what happens at the same moment: Begin and Refresh ask MayIssue before the
// store commits, so the answer may be old by then. It does not matter. An order takes a new epoch,
// writes its denial and ends the grants in one transaction. A rotation which commits after it finds
// the grant ended and is refused; one which commits before it made a token with the older epoch,
// which the order denies, and a refresh token whose grant is ended. A grant that begins carries the
// epoch read before its owner was checked, and so do its tokens: an order in between refuses the
// grant, or denies its tokens and ends it at its first use.
//
// The seed and the MAC need one read of the row before the step that decides; nothing is decided by
// what was read.
type Service struct {
	// Store keeps the grants. Required.
	Store Store
	// Tokens makes and verifies refresh tokens. Required.
	Tokens Tokens
	// DenyList learns at once what this node revokes. It may be nil.
	DenyList *DenyList
	// MayIssue is asked in every Begin and Refresh whether the owner may be issued to: user active,
	// client and project active. Required: without it nothing is issued. An error is the store's,
	// and nothing was changed.
	MayIssue func(ctx context.Context, g Grant) (bool, error)
	// AccessLifetime is how long an access token of the grant lives. Default: 15m.
	AccessLifetime func(g Grant) time.Duration
	// Stranger is asked before the store is asked for a family that has no mark of ours, as the
	// token of one is most likely made up. It bounds how many such questions there are at once, and
	// leave ends one; its error is the caller's. It may be nil.
	Stranger func(ctx context.Context) (leave func(), err error)
	// Alert is told of the verdicts that somebody should look at: Reused (a stolen token, or a
	// client that repeats itself too late) and Future (the database lost commits). It may be nil.
	Alert func(ctx context.Context, v Verdict, g Grant)
}

// Opening is what a grant begins with.
type Opening struct {
	Project, Subject, ClientID, Kind string
	Audience, Scopes                 []string
	// Device and ClientIP are kept for listings, 256 bytes of each.
	Device, ClientIP string
	// Idle and Absolute are the lifetimes without and with use. Both are required; Idle is at most
	// Absolute.
	Idle, Absolute time.Duration
	// Reuse is the reuse interval, at most 1m. Default: 0s, none.
	Reuse time.Duration
	// Fixed keeps the refresh token the same (refresh_rotation off).
	Fixed bool
	// Epoch is what Service.Epoch said before the password or whatever proved the subject was
	// checked, so that an order in between (a changed password) wins. Default: the epoch when Begin
	// is called, which is enough for what MayIssue asks.
	Epoch int64
}

// Issued is what may be handed out after Begin and Refresh.
type Issued struct {
	// Grant is the family as it stands.
	Grant Grant
	// RefreshToken is the token to use next.
	RefreshToken string
	// Verdict is Advanced, Repeated or Kept; empty after Begin.
	Verdict Verdict
	// Epoch belongs into the access token, as do Grant.ID (`sid`), Now (`iat`) and AccessUntil
	// (`exp`).
	Epoch            int64
	Now, AccessUntil time.Time
}

// Refusal is the error for a refresh token or an owner that gets nothing: `invalid_grant`. Every
// other error is the store's.
type Refusal struct {
	Verdict Verdict
	// Grant is the family, when one is known. Its owner must not be told.
	Grant Grant
}

// Error names the verdict.
func (r *Refusal) Error() string { return "grant refused: " + string(r.Verdict) }

// Epoch returns the current epoch.
func (s *Service) Epoch(ctx context.Context) (int64, error) { return s.Store.Epoch(ctx) }

// Begin stores a new grant and returns its first refresh token. The error is a *Refusal when the
// owner may not be issued to.
func (s *Service) Begin(ctx context.Context, o Opening, now time.Time) (Issued, error) {
	if err := o.check(); err != nil {
		return Issued{}, err
	}
	now = whole(now)
	g, err := s.grantOf(ctx, o, now)
	if err != nil {
		return Issued{}, err
	}
	if err := s.ask(ctx, g); err != nil {
		return Issued{}, err
	}
	err = s.Store.AddGrant(ctx, g)
	if errors.Is(err, ErrOvertaken) {
		return Issued{}, &Refusal{Verdict: NotAllowed, Grant: g}
	}
	if err != nil {
		return Issued{}, err
	}
	return Issued{Grant: g, RefreshToken: s.Tokens.Make(g, 0), Epoch: g.Epoch, Now: now, AccessUntil: g.AccessUntil}, nil
}

// check refuses lifetimes which no configuration should have let through.
func (o Opening) check() error {
	switch {
	case o.Idle < time.Millisecond:
		return fmt.Errorf("refresh_token: %v is not a lifetime", o.Idle)
	case o.Absolute < o.Idle:
		return fmt.Errorf("refresh_absolute: %v is less than refresh_token, %v", o.Absolute, o.Idle)
	case o.Reuse < 0 || o.Reuse > MaxReuse:
		return fmt.Errorf("refresh_reuse_interval: %v is not between 0s and %v", o.Reuse, MaxReuse)
	}
	return nil
}

func (s *Service) grantOf(ctx context.Context, o Opening, now time.Time) (Grant, error) {
	if o.Epoch == 0 {
		epoch, err := s.Store.Epoch(ctx)
		if err != nil {
			return Grant{}, err
		}
		o.Epoch = epoch
	}
	g := Grant{
		ID: s.Tokens.NewFamily(), Seed: make([]byte, seedBytes), Epoch: o.Epoch,
		Project: o.Project, Subject: o.Subject, ClientID: o.ClientID, Audience: o.Audience, Scopes: o.Scopes,
		Kind: o.Kind, Device: seen(o.Device), ClientIP: seen(o.ClientIP),
		Created: now, Rotated: now, LastUsed: now, IdleEnds: now.Add(o.Idle), Ends: now.Add(o.Absolute),
		Idle: o.Idle, Reuse: o.Reuse, Fixed: o.Fixed,
	}
	if _, err := rand.Read(g.Seed); err != nil {
		return Grant{}, err
	}
	g.AccessUntil = now.Add(s.accessLifetime(g))
	return g, nil
}

// Refresh uses a refresh token presented by clientID and returns its successor. The error is a
// *Refusal unless it is the store's.
func (s *Service) Refresh(ctx context.Context, token, clientID string, now time.Time) (Issued, error) {
	return s.RefreshWith(ctx, token, clientID, now, func(Issued) error { return nil })
}

// RefreshWith is Refresh for whoever has to make an access token as well. It does so in ready,
// before the refresh token is used up: an error of ready leaves that good for another attempt, as
// whoever is told that something failed will make it. What ready is given has no RefreshToken and
// no Verdict, and an Epoch that may be older than the current one, but for no order about the
// owner. What it made may go to waste, when somebody else uses the token at the same moment, and it
// is asked again when an order came in between.
func (s *Service) RefreshWith(ctx context.Context, token, clientID string, now time.Time, ready func(Issued) error) (Issued, error) {
	now = whole(now)
	r, g, err := s.read(ctx, token)
	if err != nil {
		return Issued{}, err
	}
	if err := s.ask(ctx, g); err != nil {
		return Issued{}, err
	}
	until := now.Add(s.accessLifetime(g))
	rotation := Rotation{ID: g.ID, Generation: r.Generation, ClientID: clientID, AccessUntil: until}
	// The store decides. What it will refuse by all appearances is not worth a token.
	_, likely := g.Use(rotation, now)
	if likely.Honoured() {
		if err := ready(Issued{Grant: g, Epoch: g.Epoch, Now: now, AccessUntil: until}); err != nil {
			return Issued{}, err
		}
	}
	issued, err := s.rotate(ctx, rotation, now)
	// An order that lets the grant go on raises its epoch, and denies what was made before.
	if err == nil && (!likely.Honoured() || issued.Grant.Epoch != g.Epoch || s.denies(g)) {
		err = ready(issued)
	}
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

func (s *Service) rotate(ctx context.Context, r Rotation, now time.Time) (Issued, error) {
	done, err := s.Store.RotateGrant(ctx, r, now)
	if err != nil {
		return Issued{}, err
	}
	s.deny(done.Denial)
	if s.Alert != nil && (done.Verdict == Reused || done.Verdict == Future) {
		s.Alert(ctx, done.Verdict, done.Grant)
	}
	if !done.Verdict.Honoured() {
		return Issued{}, &Refusal{Verdict: done.Verdict, Grant: done.Grant}
	}
	return Issued{
		Grant:        done.Grant,
		RefreshToken: s.Tokens.Make(done.Grant, done.Grant.Generation),
		Verdict:      done.Verdict,
		Epoch:        done.Epoch,
		Now:          now,
		AccessUntil:  r.AccessUntil,
	}, nil
}

// Find returns the grant of a refresh token, whether or not the token could still be used: whose
// session it is. The error is a *Refusal unless it is the store's.
func (s *Service) Find(ctx context.Context, token string) (Grant, error) {
	_, g, err := s.read(ctx, token)
	return g, err
}

// read makes sure that the token was made here.
func (s *Service) read(ctx context.Context, token string) (Reference, Grant, error) {
	r, ok := ReadToken(token)
	if !ok {
		return Reference{}, Grant{}, &Refusal{Verdict: Malformed}
	}
	g, err := s.find(ctx, r.Family)
	if errors.Is(err, ErrNoGrant) {
		return Reference{}, Grant{}, &Refusal{Verdict: Unknown}
	}
	if err != nil {
		return Reference{}, Grant{}, err
	}
	if !s.Tokens.Verify(r, g) {
		return Reference{}, Grant{}, &Refusal{Verdict: BadMAC}
	}
	return r, g, nil
}

func (s *Service) find(ctx context.Context, family string) (Grant, error) {
	if s.Stranger != nil && !s.Tokens.Marked(family) {
		leave, err := s.Stranger(ctx)
		if err != nil {
			return Grant{}, err
		}
		defer leave()
	}
	return s.Store.FindGrant(ctx, family)
}

// ask asks MayIssue.
func (s *Service) ask(ctx context.Context, g Grant) error {
	if s.MayIssue == nil {
		return &Refusal{Verdict: NotAllowed, Grant: g}
	}
	may, err := s.MayIssue(ctx, g)
	if err != nil {
		return err
	}
	if !may {
		return &Refusal{Verdict: NotAllowed, Grant: g}
	}
	return nil
}

func (s *Service) accessLifetime(g Grant) time.Duration {
	if s.AccessLifetime == nil {
		return DefaultAccess
	}
	return s.AccessLifetime(g)
}

// denies reports whether an access token that was made of the grant as it was is known to be
// denied.
func (s *Service) denies(g Grant) bool {
	made := Bearer{Family: g.ID, Project: g.Project, Subject: g.Subject, ClientID: g.ClientID, Epoch: g.Epoch}
	return s.DenyList != nil && s.DenyList.Denied(made) != ""
}

// deny makes a revocation hold on this node before the caller is answered.
func (s *Service) deny(d Denial) {
	if s.DenyList != nil {
		s.DenyList.Add(d)
	}
}

// seen is what a client says of itself, cut to size and fit for a database.
func seen(text string) string {
	text = text[:min(len(text), maxSeenText)]
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

// whole is a time as the store keeps it.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
