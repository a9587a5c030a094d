package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
)

// noAccount is the name under which attempts with invalid names are counted: no valid name contains
// a space.
const noAccount = "no such name"

// attempt is one try to sign in.
type attempt struct {
	kind               audit.Kind
	project, audience  string
	username, password string

	account string // the name to count it under
	parties issuance.Parties
}

// signIn decides about an attempt: a list of refusals, then the token. Attempts are counted before
// any password is hashed, and every attempt that is refused for its password costs the same,
// whoever it is for.
func (s *Server) signIn(r *http.Request, a attempt) verdict {
	ctx, now, ip := r.Context(), time.Now(), s.ClientIP.Of(r)
	v := verdict{account: nameOf(a.parties.User)}

	// Counted before hashing, so that parallel attempts do not slip past.
	wait, err := s.Throttle.Take(ctx, a.project, a.account, ip, now)
	if err != nil {
		return v.with(storeUnavailable, err)
	}
	if wait > 0 {
		v.wait = wait
		return v.with(throttled, nil)
	}
	if ok, err := s.Passwords.Check(ctx, a.parties.User, a.password); !ok {
		return v.with(refusalFor(ctx, err), err)
	}

	// The password was right: the rest is one step of the store.
	if s.Renew != nil {
		s.Renew(ctx, a.parties.User, a.password)
	}
	in := issuance.SignIn{
		Parties:     a.parties,
		Kind:        issuance.APIGrant,
		Action:      a.kind,
		Audience:    a.audience,
		ACR:         issuance.PasswordClass,
		AMR:         []string{issuance.PasswordMethod},
		Device:      r.UserAgent(),
		ClientIP:    ip,
		Forgiveness: s.Throttle.Forgiven(a.project, a.account, ip, now),
		Now:         now,
	}
	if a.kind == audit.Login {
		in.Kind, in.MaxToken = issuance.BrowserGrant, MaxCookie-len(s.CookieName)
		in.OlderAccess = s.cookieValues(r, s.CookieName)
		if s.RefreshCookieName != "" {
			in.OlderRefresh = s.cookieValues(r, s.RefreshCookieName)
		}
	}
	return s.issue(ctx, in, v)
}

// refusalFor names the reason why a password was not accepted. A hash that cannot be used is logged
// for the operator; to the client the password is wrong.
func refusalFor(ctx context.Context, err error) result {
	switch {
	case errors.Is(err, identity.ErrBusy):
		return busy
	case err != nil && ctx.Err() != nil:
		return canceled
	}
	return badCredentials
}

func (v verdict) with(r result, err error) verdict {
	v.result, v.err = r, err
	return v
}

// find reads the project and the user before the password is checked, so that a revocation in
// between (a changed password) wins over the sign-in. An invalid name is looked up, too, so that it
// takes as long.
func (s *Server) find(ctx context.Context, a *attempt) error {
	// Keyboards of phones add a space after a suggested word. No name has one.
	name, err := identity.CanonicalName(strings.TrimSpace(a.username))
	a.account = name
	if err != nil {
		a.account, name = noAccount, ""
	}
	if a.parties, err = s.Find(ctx, a.project, name); err != nil {
		return err
	}
	if slug := a.parties.Project.Slug; slug != "" {
		a.project = slug
	}
	return nil
}

func nameOf(user *identity.User) string {
	if user == nil {
		return ""
	}
	return user.Name
}

func (s *Server) issue(ctx context.Context, in issuance.SignIn, v verdict) verdict {
	issued, err := s.SignIn(ctx, in)
	switch {
	case errors.Is(err, issuance.ErrAudience):
		return v.with(invalidRequest, err)
	case errors.Is(err, issuance.ErrTooLarge):
		return v.with(tokenTooLarge, fmt.Errorf("the session cookie %s: %w", s.CookieName, err))
	case err != nil:
		return v.with(issueFailed, err)
	}
	v.result, v.issued = success, NewIssued(issued, in.Now)
	return v
}

// unlessGone returns the verdict, or `canceled` if the client has gone: a failure because the
// client closed the connection is not an error of the server. Browsers do so when the button is
// pressed twice.
func (v verdict) unlessGone(ctx context.Context) verdict {
	if v.err == nil || !errors.Is(ctx.Err(), context.Canceled) {
		return v
	}
	if v.result == success {
		return v.with(success, nil)
	}
	return v.with(canceled, nil)
}

// event tells of the attempt. The entry of one that succeeded is stored with its session; one that
// was refused before the password was looked at has none.
func (s *Server) event(r *http.Request, a attempt, v verdict) {
	s.Events.Report(r.Context(), audit.Event{
		Kind:     a.kind,
		Result:   string(v.result),
		User:     v.account,
		Project:  a.project,
		Audience: a.audience,
		ClientIP: s.ClientIP.Of(r),
		Recorded: v.result == badCredentials,
		Err:      v.err,
	})
}
