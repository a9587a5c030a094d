package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

const (
	// MaxReuse is the longest reuse interval.
	MaxReuse = time.Minute
	// DefaultAccess is the lifetime of access tokens where Service.AccessLifetime is not set.
	DefaultAccess = 15 * time.Minute

	seedBytes   = 32
	maxSeenText = 256 // bytes of Device and ClientIP
)

// Service begins, continues and ends grants. It keeps no state and may be used by many goroutines.
// `now` is always the caller's.
//
// How a revocation wins over what happens at the same moment: Begin and Refresh ask MayIssue before
// the store commits, so the answer may be out of date by then. That does no harm. A revocation
// takes a new epoch, writes its denial and ends the grants in one transaction. A rotation that
// commits after it finds the grant ended and is refused. One that commits before it made a token
// with the older epoch, which the revocation denies, and a refresh token whose grant is ended. A
// grant that begins carries the epoch read before its owner was checked, and so do its tokens: a
// revocation in between refuses the grant, or denies its tokens and ends it at its first use.
//
// Checking the MAC needs the seed, so the row is read once before the step that decides. Nothing is
// decided by what was read.
type Service struct {
	// Store keeps the grants. Required.
	Store Store
	// Tokens makes and verifies refresh tokens. Required.
	Tokens Tokens
	// DenyList is told at once what this node revokes. Default: nothing is told.
	DenyList *revocation.DenyList
	// MayIssue is asked in every Begin and Refresh whether the owner may be issued to: user active,
	// client and project active. Required: without it nothing is issued. An error is the store's,
	// and nothing was changed.
	MayIssue func(ctx context.Context, g Grant) (bool, error)
	// AccessLifetime is how long an access token of the grant lives. Default: 15m.
	AccessLifetime func(g Grant) time.Duration
	// Stranger is called before the store is asked for a family without our mark, because such a
	// token is most likely made up. It bounds how many such questions there are at once, and leave
	// ends one. Its error is returned. Default: there is no bound.
	Stranger func(ctx context.Context) (leave func(), err error)
	// Alert is told of the verdicts that an operator should look at: Reused (a stolen token, or a
	// client that repeats itself too late) and Future (the database lost commits). Default: nobody
	// is told.
	Alert func(ctx context.Context, v Verdict, g Grant)
}

// GrantRequest is what a grant begins with.
type GrantRequest struct {
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
	// Epoch is what Service.Epoch returned before the password (or another proof) was checked, so
	// that a revocation in between (a changed password) wins. Default: the epoch when Begin is
	// called, which is enough for what MayIssue asks.
	Epoch int64
}

// Issued is what may be issued after Begin and Refresh.
type Issued struct {
	// Grant is the family as it stands.
	Grant Grant
	// RefreshToken is the next refresh token.
	RefreshToken string
	// Verdict is Advanced, Repeated or Kept; empty after Begin.
	Verdict Verdict
	// Epoch belongs into the access token, as do Grant.ID (`sid`), Now (`iat`) and AccessUntil
	// (`exp`).
	Epoch            int64
	Now, AccessUntil time.Time
}

// Refusal is the error for a refresh token or an owner that is refused: `invalid_grant`. Every
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
func (s *Service) Begin(ctx context.Context, o GrantRequest, now time.Time) (Issued, error) {
	if err := o.Validate(); err != nil {
		return Issued{}, err
	}
	now = truncateMillis(now)
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
	return Issued{
		Grant:        g,
		RefreshToken: s.Tokens.Make(g, 0),
		Epoch:        g.Epoch,
		Now:          now,
		AccessUntil:  g.AccessUntil,
	}, nil
}

// Validate refuses lifetimes that no configuration should have let through.
func (o GrantRequest) Validate() error {
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

func (s *Service) grantOf(ctx context.Context, o GrantRequest, now time.Time) (Grant, error) {
	if o.Epoch == 0 {
		epoch, err := s.Store.Epoch(ctx)
		if err != nil {
			return Grant{}, err
		}
		o.Epoch = epoch
	}
	g := Grant{
		ID:       s.Tokens.NewFamily(),
		Seed:     make([]byte, seedBytes),
		Project:  o.Project,
		Subject:  o.Subject,
		ClientID: o.ClientID,
		Audience: o.Audience,
		Scopes:   o.Scopes,
		Kind:     o.Kind,
		Device:   clampText(o.Device),
		ClientIP: clampText(o.ClientIP),
		Epoch:    o.Epoch,
		Created:  now,
		Rotated:  now,
		LastUsed: now,
		IdleEnds: now.Add(o.Idle),
		Ends:     now.Add(o.Absolute),
		Idle:     o.Idle,
		Reuse:    o.Reuse,
		Fixed:    o.Fixed,
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

// RefreshWith is Refresh for callers that make an access token too. They make it in ready, before
// the refresh token is used up: an error of ready leaves the refresh token valid for another
// attempt. The argument of ready has no RefreshToken and no Verdict, and its Epoch may be older
// than the current one, but not older than a revocation of the owner. The access token is discarded
// when another request uses the refresh token at the same moment, and ready is called again when a
// revocation came in between.
func (s *Service) RefreshWith(
	ctx context.Context,
	token, clientID string,
	now time.Time,
	ready func(Issued) error,
) (Issued, error) {
	now = truncateMillis(now)
	r, g, err := s.read(ctx, token)
	if err != nil {
		return Issued{}, err
	}
	if err := s.ask(ctx, g); err != nil {
		return Issued{}, err
	}
	until := now.Add(s.accessLifetime(g))
	rotation := Rotation{
		ID:          g.ID,
		Generation:  r.Generation,
		ClientID:    clientID,
		AccessUntil: until,
	}

	// The store decides. If it will most likely refuse, no access token is made.
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

// Find returns the grant of a refresh token, even if the token could not be used any more. The
// error is a *Refusal unless it is the store's.
func (s *Service) Find(ctx context.Context, token string) (Grant, error) {
	_, g, err := s.read(ctx, token)
	return g, err
}

// read returns the grant of a refresh token that this server made.
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

// ask refuses a grant whose owner may not be issued to.
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
	made := revocation.Subject{
		Family:   g.ID,
		Project:  g.Project,
		Subject:  g.Subject,
		ClientID: g.ClientID,
		Epoch:    g.Epoch,
	}
	return s.DenyList != nil && s.DenyList.Denied(made) != ""
}

// deny makes a revocation hold on this node before the caller is answered.
func (s *Service) deny(d revocation.Denial) {
	if s.DenyList != nil {
		s.DenyList.Add(d)
	}
}

// clampText shortens what a client says about itself, and makes it valid for a database.
func clampText(text string) string {
	text = text[:min(len(text), maxSeenText)]
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

// whole is a time as the store keeps it.
func truncateMillis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
