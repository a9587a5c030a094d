package issuance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// The kinds of grants that begin with a sign-in.
const (
	BrowserGrant = "browser"
	APIGrant     = "api"
)

var (
	// ErrAudience says that the project has no tokens for the audience.
	ErrAudience = errors.New("the project issues nothing for the audience")

	// ErrTooLarge says that the access token does not fit where it has to go.
	ErrTooLarge = errors.New("the access token is too large")
)

// SignIn is a person who has proved who they are.
type SignIn struct {
	// Parties are what FindParties returned before the proof was checked, for the client
	// clients.FirstParty. Required.
	Parties Parties

	// Kind is BrowserGrant or APIGrant.
	Kind string

	// Action is what the audit trail calls the sign-in.
	Action audit.Kind

	// Audience is the one word that the token is for.
	Audience string

	// ACR and AMR say how the person has proved it (OpenID Connect Core, section 2). Required.
	ACR string
	AMR []string

	// Device and ClientIP are kept for listings.
	Device, ClientIP string

	// Forgiveness is of identity.Throttle.Forgiven.
	Forgiveness identity.Forgiveness

	// OlderAccess and OlderRefresh are the tokens that the browser has of sign-ins before. Those of the
	// same person go on under the new one, and end with it; those of other persons end. Default: none.
	OlderAccess, OlderRefresh []string

	// MaxToken is how many bytes the access token may have. Default: any number.
	MaxToken int

	// Now is the time of the sign-in.
	Now time.Time
}

// Issued is what goes out.
type Issued struct {
	// AccessToken is a JWT or opaque.
	AccessToken string

	// AccessUntil is when it expires.
	AccessUntil time.Time

	// Scopes are those of the access token.
	Scopes []string

	// RefreshToken is what a new access token can be had for. Default: none.
	RefreshToken string

	// Grant is the session; an empty ID means that no session began.
	Grant session.Grant

	// Verdict is how the refresh token before was used; empty after a sign-in.
	Verdict session.Verdict

	parties *Parties // those it was issued to, where they were read; see IDTokenFor
}

// How a person proves who they are: the class (`acr`) and the method (`amr`, RFC 8176, section 2). A
// password alone is the one class that there is.
const (
	PasswordClass  = "pwd"
	PasswordMethod = "pwd"
)

// SignIn begins a session, or only makes an access token for a program where the project has no refresh
// tokens.
// The access token is made before the session begins, so that one that cannot be made leaves
// nothing behind. The error is ErrAudience, ErrTooLarge, or a *session.Refusal (NotAllowed) when
// nothing may be issued, or no longer; every other error is the store's.
func (s *Service) SignIn(ctx context.Context, in SignIn) (Issued, error) {
	begun, terms, err := s.prepare(in)
	if err != nil {
		return Issued{}, err
	}
	r := accessRequest{grant: begun.Grant, epoch: in.Parties.Epoch, now: begun.Now, until: begun.AccessUntil}
	raw, err := s.mint(ctx, r, terms)
	if err == nil {
		err = checkSize(raw, in.MaxToken)
	}
	if err != nil {
		return Issued{}, err
	}
	record := in.record(begun.Grant)
	if record.Older, err = s.older(ctx, in, begun.Grant); err != nil {
		return Issued{}, err
	}
	if err := s.Store.AddSignIn(ctx, record); err != nil {
		return Issued{}, session.Refused(err, begun.Grant)
	}
	if raw, err = s.settleWithin(ctx, raw, r, in.MaxToken); err != nil {
		return Issued{}, err
	}
	if begun.RefreshToken != "" {
		s.observe("refresh_token")
	}
	return Issued{
		AccessToken:  raw,
		AccessUntil:  begun.AccessUntil,
		RefreshToken: begun.RefreshToken,
		Grant:        begun.Grant,
	}, nil
}

// checkSize refuses an access token of more than limit bytes; 0 is no limit.
func checkSize(raw string, limit int) error {
	if limit > 0 && len(raw) > limit {
		return fmt.Errorf("%w: it has %d bytes, %d are the most: shorten the claims", ErrTooLarge, len(raw), limit)
	}
	return nil
}

// settleWithin is settle for a token of at most limit bytes. Claims that were changed meanwhile may
// have made another one too large: the grant that has begun with it is ended.
func (s *Service) settleWithin(ctx context.Context, raw string, r accessRequest, limit int) (string, error) {
	raw, err := s.settle(ctx, raw, r)
	if err != nil {
		return "", err
	}
	if err := checkSize(raw, limit); err != nil {
		return "", errors.Join(err, s.Sessions.RevokeFamily(ctx, r.grant.ID, "token too large", r.now))
	}
	return raw, nil
}

// prepare works out the terms of a sign-in and the grant that is to begin. Without refresh tokens
// that of a browser lasts as long as its access token, and that of a program has no ID.
func (s *Service) prepare(in SignIn) (session.Issued, Terms, error) {
	g := session.Grant{
		Project:  in.Parties.Project.Slug,
		ClientID: in.Parties.Client.ID,
		Audience: []string{in.Audience},
		Epoch:    in.Parties.Epoch,
		AuthTime: in.Now.UTC().Truncate(time.Millisecond),
		ACR:      in.ACR,
		AMR:      in.AMR,
	}
	if in.Parties.User != nil {
		g.Subject = in.Parties.User.Name
	}
	terms, err := s.termsOf(in.Parties, g)
	if err != nil {
		return session.Issued{}, Terms{}, err
	}
	if words := in.Parties.Project.Audiences; len(words) > 0 && !slices.Contains(words, in.Audience) {
		return session.Issued{}, Terms{}, fmt.Errorf("project %q, audience %q: %w", g.Project, in.Audience, ErrAudience)
	}
	idle, absolute := terms.Refresh, terms.RefreshAbsolute
	if idle == 0 {
		if in.Kind != BrowserGrant {
			return session.Issued{Grant: g, Now: in.Now, AccessUntil: in.Now.Add(terms.Access)}, terms, nil
		}
		idle, absolute = terms.Access, terms.Access // what applications on other hosts have ends with it
	}
	begun, err := s.Sessions.New(session.GrantRequest{
		Project:  g.Project,
		Subject:  g.Subject,
		ClientID: g.ClientID,
		Kind:     in.Kind,
		Audience: g.Audience,
		Device:   in.Device,
		ClientIP: in.ClientIP,
		Access:   terms.Access,
		Idle:     idle,
		Absolute: absolute,
		Reuse:    terms.Reuse(defaultReuse(in.Kind)),
		Fixed:    terms.RefreshRotation == project.Off,
		Epoch:    g.Epoch,
		AuthTime: g.AuthTime,
		ACR:      g.ACR,
		AMR:      g.AMR,
	}, in.Now)
	if terms.Refresh == 0 {
		begun.RefreshToken = ""
	}
	return begun, terms, err
}

func defaultReuse(kind string) time.Duration {
	if kind == BrowserGrant || kind == CodeGrant || kind == WebGrant { // tabs, and programs that repeat a lost refresh
		return project.DefaultBrowserReuse
	}
	return 0
}

// record is what a sign-in leaves in the store.
func (in SignIn) record(g session.Grant) Record {
	return Record{
		Grant:       g,
		User:        in.Parties.User,
		Forgiveness: in.Forgiveness,
		Entry: audit.Entry{
			At:         in.Now,
			Actor:      "user:" + g.Subject,
			Action:     string(in.Action),
			TargetName: g.Subject,
			Project:    g.Project,
			ClientIP:   in.ClientIP,
			Result:     "success",
			Detail:     in.Audience,
		},
	}
}
