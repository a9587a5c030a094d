package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
)

// noAccount is what attempts with impossible names are counted under: no name has a space in it.
const noAccount = "no such name"

// attempt is one try to sign in.
type attempt struct {
	kind, project, audience string
	username, password      string
}

// signIn decides about an attempt: a list of refusals, then the token. Attempts are counted before any
// password is hashed, and every attempt that is refused for its password costs the same, whoever it is for.
func (s *Server) signIn(r *http.Request, a attempt) verdict {
	ctx, now, ip := r.Context(), time.Now(), s.ClientIP.Of(r)
	epoch, err := s.epoch(ctx)
	if err != nil {
		return verdict{result: storeUnavailable, err: err}
	}
	account, user, err := s.find(ctx, a)
	if err != nil {
		return verdict{result: storeUnavailable, err: err}
	}
	v := verdict{account: nameOf(user)}
	wait, err := s.Throttle.Take(ctx, a.project, account, ip, now)
	if err != nil {
		return v.with(storeUnavailable, err)
	}
	if wait > 0 {
		v.wait = wait
		return v.with(throttled, nil)
	}
	if ok, err := s.Passwords.Check(ctx, user, a.password); !ok {
		return v.with(whyNot(ctx, err), err)
	}
	v.err = s.Throttle.Forgive(ctx, a.project, account, ip, now)
	if s.Renew != nil {
		s.Renew(ctx, user, a.password)
	}
	return s.issue(ctx, a, IssueRequest{
		User: user, Project: a.project, Audience: a.audience, Kind: a.kind, Device: r.UserAgent(), ClientIP: ip, Epoch: epoch, Now: now,
	}, v)
}

func (s *Server) epoch(ctx context.Context) (int64, error) {
	if s.Epoch == nil {
		return 0, nil
	}
	return s.Epoch(ctx)
}

// whyNot names the reason why a password was not accepted. A hash that cannot be used is the operator's
// business; to the outside the password is wrong.
func whyNot(ctx context.Context, err error) result {
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

// find returns the name to count the attempt under and the user, nil when there is none.
func (s *Server) find(ctx context.Context, a attempt) (account string, user *identity.User, err error) {
	// Keyboards of phones add a space after a suggested word. No name has one.
	name, err := identity.CanonicalName(strings.TrimSpace(a.username))
	if err != nil {
		return noAccount, nil, nil
	}
	user, err = s.Users.FindUser(ctx, a.project, name)
	if err != nil && !errors.Is(err, identity.ErrNoUser) {
		return "", nil, err
	}
	return name, user, nil
}

func nameOf(user *identity.User) string {
	if user == nil {
		return ""
	}
	return user.Name
}

func (s *Server) issue(ctx context.Context, a attempt, req IssueRequest, v verdict) verdict {
	issued, err := s.Issue(ctx, req)
	if errors.Is(err, ErrAudience) {
		return v.with(invalidRequest, err)
	}
	if err != nil {
		return v.with(issueFailed, err)
	}
	if a.kind == KindLogin && !s.fitsCookie(issued.AccessToken) {
		return v.with(tokenTooLarge, fmt.Errorf("the session cookie has %d bytes with its name, %d are the most: shorten the claims",
			len(s.CookieName)+len(issued.AccessToken), MaxCookie))
	}
	v.result, v.issued = success, issued
	return v
}

// unlessGone returns the verdict, or that the client has gone: whatever failed because nobody waits for the
// answer any more is no fault of the server. A person who presses the button twice goes away once.
func (v verdict) unlessGone(ctx context.Context) verdict {
	if v.err == nil || !errors.Is(ctx.Err(), context.Canceled) {
		return v
	}
	if v.result == success {
		return v.with(success, nil)
	}
	return v.with(canceled, nil)
}

// event tells of the attempt.
func (s *Server) event(r *http.Request, a attempt, v verdict) {
	s.observe(r.Context(), Event{
		Kind: a.kind, Result: string(v.result), Account: v.account, Project: a.project, Audience: a.audience,
		ClientIP: s.ClientIP.Of(r), Request: r, Err: v.err,
	})
}
