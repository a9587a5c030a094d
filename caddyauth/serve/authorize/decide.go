package authorize

import (
	"errors"
	"net/url"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// decide answers a request that is valid: it sends the person to sign in or to agree, or the code to
// the client.
func (c *call) decide() {
	if c.needsSignIn() {
		c.signIn()
		return
	}
	if err := c.checkPerson(); err != nil {
		c.refuse(err)
		return
	}
	_, _, ask, err := c.missing()
	if err != nil {
		c.refuse(err)
		return
	}
	if ask {
		c.askConsent()
		return
	}
	c.grant()
}

// deny is a refusal that the client is told of.
func (c *call) deny(code, description string) *authorization.Error {
	return &authorization.Error{Code: code, Description: description, To: &c.request.To}
}

// needsSignIn reports whether the person must sign in first, or again.
func (c *call) needsSignIn() bool {
	if c.session == nil || c.parties.User == nil {
		return true
	}
	if c.visit.isSignedInSince(c.session) {
		return false
	}
	prompt, age := c.request.Prompt, c.request.MaxAge
	switch {
	case prompt.Login:
		return true
	case prompt.SelectAccount && c.visit.Began.IsZero():
		return true // who comes back has seen the page that lets them choose
	}
	return age != nil && (*age == 0 || c.now.Sub(c.session.AuthTime) > *age)
}

// signIn sends the person to the login page, which leads back to the same request. The note of the
// visit tells that they have been there.
func (c *call) signIn() {
	if c.request.Prompt.None {
		c.refuse(c.deny(authorization.LoginRequired, "The person has to sign in."))
		return
	}
	query := url.Values{"next": {c.url("/authorize") + "?" + c.marked().Encode()}}
	if c.session != nil {
		query.Set("switch", "1")
	}
	redirect(c.w, c.url("/login")+"?"+query.Encode())
}

// marked are the parameters with the note of this visit, which begins now unless it has begun.
func (c *call) marked() authorization.Parameters {
	if c.visit.Began.IsZero() {
		c.visit.Began = c.now
		if c.session != nil {
			c.visit.Session = keyOf(c.session)
		}
	}
	return Mark(c.Visits, c.sent, c.visit)
}

// checkPerson refuses a person whom the client did not mean, or who has not proved enough.
func (c *call) checkPerson() error {
	if hint := c.request.IDTokenHint; hint != "" {
		subject, err := "", errors.New("no hints")
		if c.Hint != nil {
			subject, err = c.Hint(c.r.Context(), hint)
		}
		if err != nil {
			return c.deny(
				authorization.InvalidRequest,
				"The parameter id_token_hint is not an ID token of this server.",
			)
		}
		if subject != c.session.Subject {
			return c.deny(authorization.LoginRequired, "Another person is signed in than the client expects.")
		}
	}
	if !c.request.Claims.AcceptsSubject(c.session.Subject) {
		return c.deny(authorization.LoginRequired, "Another person is signed in than the client expects.")
	}
	if !c.request.Claims.AcceptsACR(c.session.ACR) {
		return c.deny(authorization.UnmetAuthentication, "Nobody can sign in here in the way that the client demands.")
	}
	return nil
}

// grant issues the code.
func (c *call) grant() {
	code, err := c.Issue(c.r.Context(), issuance.CodeRequest{
		Parties:  c.parties,
		Request:  c.request,
		Subject:  c.session.Subject,
		Session:  c.session.ID,
		Epoch:    c.session.Epoch,
		AuthTime: c.session.AuthTime,
		ACR:      c.session.ACR,
		AMR:      c.session.AMR,
		Device:   c.r.UserAgent(),
		ClientIP: c.ClientIP.Of(c.r),
		Pushed:   c.pushed,
		Now:      c.now,
	})
	switch {
	case err == nil:
		c.answer(code)
	case errors.Is(err, authorization.ErrPushedUsed):
		c.refuse(badRequestURI())
	case errors.Is(err, issuance.ErrTarget), errors.Is(err, issuance.ErrAudience):
		c.refuse(c.deny(authorization.InvalidTarget, "The project has no tokens for the resource or audience."))
	case isNotAllowed(err):
		c.signInAnew()
	default:
		e := unavailable(err)
		e.To = &c.request.To
		c.refuse(e)
	}
}

func isNotAllowed(err error) bool {
	_, refused := errors.AsType[*session.Refusal](err)
	return refused
}

// signInAnew is for a person whose session has ended while the request was being answered.
func (c *call) signInAnew() {
	c.visit = Visit{}
	c.signIn()
}
