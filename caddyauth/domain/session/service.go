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

	seedBytes   = 32
	maxSeenText = 256 // bytes of Device and ClientIP
)

// Service begins, continues and ends grants. It keeps nothing itself and may be used by several
// goroutines. `now` is always the caller's. Whether the owner may be issued to, and for how long,
// is for the caller to ask (issuance.Service.Terms).
//
// How a revocation wins over what happens at the same moment: the caller asks before the store
// commits, so the answer may be old by then. It does not matter. A revocation takes a new epoch,
// writes its denial and ends the grants in one transaction. A rotation that commits after it finds
// the grant ended and is refused; one that commits before it made a token with the older epoch,
// which is denied, and a refresh token whose grant is ended. A grant that begins carries the epoch
// that was read with its owner, and so do its tokens: a revocation in between refuses the grant, or
// denies its tokens and ends it at its first use.
//
// Checking the MAC needs the seed, so the row is read once before the step that decides. Nothing is
// decided by what was read.
type Service struct {
	// Store keeps the grants. Required.
	Store Store
	// Tokens makes and verifies refresh tokens. Required.
	Tokens Tokens
	// DenyList learns at once what this node revokes. It may be nil.
	DenyList *revocation.DenyList
	// BoundUnknown is asked before the store is asked for a family that has no mark of ours, as the
	// token of one is most likely made up. It bounds how many such questions there are at once, and
	// leave ends one; its error is the caller's. It may be nil.
	BoundUnknown func(ctx context.Context) (leave func(), err error)
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
	// Access is the lifetime of the first access token. Required.
	Access time.Duration
	// Idle and Absolute are the lifetimes without and with use. Both are required; Idle is at most
	// Absolute.
	Idle, Absolute time.Duration
	// Reuse is the reuse interval, at most 1m. Default: 0s, none.
	Reuse time.Duration
	// Fixed keeps the refresh token the same (refresh_rotation off).
	Fixed bool
	// Parent, SignIn, Offline, AuthTime, ACR, AMR, JKT, X5T and ClaimsRequest are those of the Grant.
	Parent        string
	SignIn        string
	Offline       bool
	AuthTime      time.Time
	ACR           string
	AMR           []string
	JKT           string
	X5T           string
	ClaimsRequest string
	// Epoch is the server's epoch that was read with the owner, or before the owner proved who they
	// are, so that a revocation in between (a changed password) wins. Required for New. Default:
	// the epoch when Begin is called.
	Epoch int64
}

// Issued is what may be handed out when a grant begins, and after each use of its refresh token.
type Issued struct {
	// Grant is the family as it stands.
	Grant Grant
	// RefreshToken is the next refresh token.
	RefreshToken string
	// Verdict is Advanced, Repeated or Kept; empty when the grant begins.
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

// Begin stores a new grant and returns its first refresh token. The error is a *Refusal when a
// revocation came in between.
func (s *Service) Begin(ctx context.Context, r GrantRequest, now time.Time) (Issued, error) {
	if r.Epoch == 0 {
		epoch, err := s.Store.Epoch(ctx)
		if err != nil {
			return Issued{}, err
		}
		r.Epoch = epoch
	}
	begun, err := s.New(r, now)
	if err != nil {
		return Issued{}, err
	}
	if err := s.Store.AddGrant(ctx, begun.Grant); err != nil {
		return Issued{}, Refused(err, begun.Grant)
	}
	return begun, nil
}

// New makes a grant and its first refresh token. They are valid once the grant is stored.
func (s *Service) New(r GrantRequest, now time.Time) (Issued, error) {
	if err := r.Validate(); err != nil {
		return Issued{}, err
	}
	now = truncateMillis(now)
	g := Grant{
		ID:          s.Tokens.NewFamily(),
		Seed:        make([]byte, seedBytes),
		Epoch:       r.Epoch,
		Project:     r.Project,
		Subject:     r.Subject,
		ClientID:    r.ClientID,
		Audience:    r.Audience,
		Scopes:      r.Scopes,
		Kind:        r.Kind,
		Device:      ClampText(r.Device),
		ClientIP:    ClampText(r.ClientIP),
		Created:     now,
		Rotated:     now,
		LastUsed:    now,
		IdleEnds:    now.Add(r.Idle),
		Ends:        now.Add(r.Absolute),
		AccessUntil: now.Add(r.Access),
		Idle:        r.Idle,
		Reuse:       r.Reuse,
		Fixed:       r.Fixed,

		Parent:        r.Parent,
		SignIn:        r.SignIn,
		Offline:       r.Offline,
		AuthTime:      r.AuthTime,
		ACR:           r.ACR,
		AMR:           r.AMR,
		JKT:           r.JKT,
		X5T:           r.X5T,
		ClaimsRequest: r.ClaimsRequest,
	}
	if _, err := rand.Read(g.Seed); err != nil {
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

// Validate refuses a request that no valid configuration leads to.
func (r GrantRequest) Validate() error {
	switch {
	case r.Epoch == 0:
		return errors.New("epoch: it is missing")
	case r.Access < time.Millisecond:
		return fmt.Errorf("access_token: %v is not a lifetime", r.Access)
	case r.Idle < time.Millisecond:
		return fmt.Errorf("refresh_token: %v is not a lifetime", r.Idle)
	case r.Absolute < r.Idle:
		return fmt.Errorf("refresh_absolute: %v is less than refresh_token, %v", r.Absolute, r.Idle)
	case r.Reuse < 0 || r.Reuse > MaxReuse:
		return fmt.Errorf("refresh_reuse_interval: %v is not between 0s and %v", r.Reuse, MaxReuse)
	}
	return nil
}

// Refused turns ErrOvertaken into the *Refusal of a grant, and returns every other error as it is.
func Refused(err error, g Grant) error {
	if errors.Is(err, ErrOvertaken) {
		return &Refusal{Verdict: NotAllowed, Grant: g}
	}
	return err
}

// Presented is a refresh token that was made here, with its grant as it was read. It is not used
// yet.
type Presented struct {
	// Grant is whose token it is, whether or not it could still be used.
	Grant Grant

	generation int64
}

// Present reads a refresh token and its grant. The error is a *Refusal unless it is the store's.
func (s *Service) Present(ctx context.Context, token string) (Presented, error) {
	r, g, err := s.read(ctx, token)
	return Presented{Grant: g, generation: r.Generation}, err
}

// Recall is Present with a grant that the caller has kept. It is false if there is none of the token,
// or if the token was not made here.
func (s *Service) Recall(token string, kept func(family string) (Grant, bool)) (Presented, bool) {
	r, ok := ReadToken(token)
	if !ok {
		return Presented{}, false
	}
	g, ok := kept(r.Family)
	if !ok || !s.Tokens.Verify(r, g) {
		return Presented{}, false
	}
	return Presented{Grant: g, generation: r.Generation}, true
}

// Renewed is what may be handed out after a use of the current refresh token that the caller has
// stored, of a grant that is as it was presented.
func (s *Service) Renewed(p Presented, accessUntil, now time.Time) Issued {
	r := p.rotation(p.Grant.ClientID, accessUntil)
	now = truncateMillis(now)
	g, verdict := p.Grant.Use(r, now)
	return s.issued(Rotated{Verdict: verdict, Grant: g, Epoch: g.Epoch}, r, now)
}

// rotation is the use of the refresh token.
func (p Presented) rotation(clientID string, accessUntil time.Time) Rotation {
	return Rotation{
		ID:          p.Grant.ID,
		Generation:  p.generation,
		ClientID:    clientID,
		AccessUntil: truncateMillis(accessUntil),
	}
}

// Likely is the verdict of a use if the grant has not changed since it was read. The store decides;
// but no access token is made for a use that it will most likely refuse.
func (p Presented) Likely(clientID string, now time.Time) Verdict {
	_, likely := p.Grant.Use(p.rotation(clientID, time.Time{}), truncateMillis(now))
	return likely
}

// Use uses a refresh token presented by clientID and returns its successor. accessUntil is when the
// access token expires that goes with it. The error is a *Refusal unless it is the store's.
func (s *Service) Use(ctx context.Context, p Presented, clientID string, accessUntil, now time.Time) (Issued, error) {
	return s.rotate(ctx, p.rotation(clientID, accessUntil), truncateMillis(now))
}

func (s *Service) rotate(ctx context.Context, r Rotation, now time.Time) (Issued, error) {
	done, err := s.Store.RotateGrant(ctx, r, now)
	if err != nil {
		return Issued{}, err
	}
	s.deny(done.Denials...)
	if s.Alert != nil && (done.Verdict == Reused || done.Verdict == Future) {
		s.Alert(ctx, done.Verdict, done.Grant)
	}
	if !done.Verdict.Honoured() {
		return Issued{}, &Refusal{Verdict: done.Verdict, Grant: done.Grant}
	}
	return s.issued(done, r, now), nil
}

// issued is what may be handed out after a use that was honoured.
func (s *Service) issued(done Rotated, r Rotation, now time.Time) Issued {
	return Issued{
		Grant:        done.Grant,
		RefreshToken: s.Tokens.Make(done.Grant, done.Grant.Generation),
		Verdict:      done.Verdict,
		Epoch:        done.Epoch,
		Now:          now,
		AccessUntil:  r.AccessUntil,
	}
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
	if s.BoundUnknown != nil && !s.Tokens.Marked(family) {
		leave, err := s.BoundUnknown(ctx)
		if err != nil {
			return Grant{}, err
		}
		defer leave()
	}
	return s.Store.FindGrant(ctx, family)
}

// deny makes a revocation hold on this node before the caller is answered.
func (s *Service) deny(denials ...revocation.Denial) {
	if s.DenyList != nil {
		s.DenyList.Add(denials...)
	}
}

// ClampText shortens what a client says about itself, and removes what a database cannot store.
func ClampText(text string) string {
	text = text[:min(len(text), maxSeenText)]
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

// truncateMillis is a time as the store keeps it.
func truncateMillis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
