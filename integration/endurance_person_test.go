package integration

import (
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// enduringPerson is a person with a browser, and the applications that act for them.
type enduringPerson struct {
	*enduring
	name    string
	number  int
	signIns int
	random  *rand.Rand
	client  *http.Client

	browser  cookies // of this visit
	resident cookies // of a browser that stays signed in
	granted  grant   // what an application keeps for as long as the run lasts
	ended    []endedToken
}

// grant is what an application got for a person.
type grant struct {
	client  string
	tokens  tokenAnswer
	before  string // the refresh token before this one
	access  []string
	offline bool
}

// endedToken is an access token that must not be taken any more.
type endedToken struct {
	access, how string
	at          time.Time
}

// asks are the credentials of a client with the rest of a form.
func (g grant) form(pairs ...string) url.Values {
	form := url.Values{"client_id": {g.client}}
	if g.client != "asking" {
		form.Set("client_secret", rpSecret)
	}
	return withPairs(form, pairs...)
}

// stay begins what is to last: a browser's session, and an application's grant.
func (p *enduringPerson) stay() error {
	if err := p.signIn(); err != nil {
		return err
	}
	p.resident = p.browser
	granted, _, err := p.authorize("web", true)
	p.granted = granted
	return err
}

// visit is one person's whole flow, from signing in to one of the ways to end.
func (p *enduringPerson) visit() error {
	if err := p.signIn(); err != nil {
		return err
	}
	client, offline := []string{"web", "asking", "references"}[p.random.IntN(3)], p.random.IntN(4) == 0
	if p.random.IntN(10) == 0 {
		return p.race(client, offline)
	}
	g, code, err := p.authorize(client, offline)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return p.use(g) },
		func() error { return p.renew(&g) },
		func() error { return p.use(g) },
		p.runMachine,
		func() error { return p.passes(message{cookies: p.browser}, p.name) },
		func() error { return p.leave(&g, code) },
		p.comeBack,
		p.checkEnded,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	p.count("visits")
	return nil
}

// settle uses what was kept once more, when nothing disturbs the server any longer.
func (p *enduringPerson) settle() error {
	if err := p.comeBack(); err != nil {
		return err
	}
	return p.checkEnded()
}

// signIn comes from one of several addresses in turn: each has room for one attempt in two seconds.
func (p *enduringPerson) signIn() error {
	p.signIns++
	got, err := p.send(message{
		method: "POST", target: "/login",
		json: fmt.Sprintf(`{"username":%q,"password":%q}`, p.name, alicePassword),
	})
	if err != nil {
		return err
	}
	if got.status != http.StatusOK || got.cookies.access == "" || got.cookies.refresh == "" {
		return fmt.Errorf("signing in: %v", got)
	}
	p.count("signed in")
	p.browser = got.cookies
	return nil
}

// authorize goes from the application to its tokens.
func (p *enduringPerson) authorize(client string, offline bool) (grant, string, error) {
	code, err := p.code(client, offline)
	if err != nil {
		return grant{}, "", err
	}
	g := grant{client: client, offline: offline}
	got, err := p.redeem(g, code)
	switch {
	case err != nil:
		return g, code, err
	case got.status == http.StatusOK:
		return g, code, p.took(&g, got)
	case got.lost && isInvalidGrant(got): // it was redeemed, and the answer was lost
		p.count("code lost with its answer")
		return g, code, errAbandoned
	}
	return g, code, fmt.Errorf("redeeming a code: %v", got)
}

// code is what a signed-in person's browser brings to the application, after the page that asks for
// consent if there is one.
func (p *enduringPerson) code(client string, offline bool) (string, error) {
	scope := "openid email read"
	if offline {
		scope += " offline_access"
	}
	q := url.Values{
		"response_type":         {"code"},
		"client_id":             {client},
		"redirect_uri":          {rpCallback},
		"scope":                 {scope},
		"state":                 {p.name},
		"code_challenge":        {pkceChallenge},
		"code_challenge_method": {"S256"},
	}
	if offline && client != "references" {
		q.Set("prompt", "consent")
	}
	got, err := p.browse("GET", "/authorize?"+q.Encode(), nil)
	if err == nil && got.location != nil && got.location.Path == "/consent" {
		got, err = p.consent(got.location)
	}
	if err != nil {
		return "", err
	}
	if got.location == nil || got.location.Host != "rp.example" || got.location.Query().Get("code") == "" ||
		got.location.Query().Get("state") != p.name {
		return "", fmt.Errorf("authorizing %s: %v", client, got)
	}
	p.count("authorized")
	return got.location.Query().Get("code"), nil
}

// browse sends a request of the browser, without following where it leads.
func (p *enduringPerson) browse(method, target string, form url.Values) (reply, error) {
	return p.send(message{method: method, target: target, form: form, cookies: p.browser, html: true})
}

// consent allows what a page asks for, and goes on.
func (p *enduringPerson) consent(page *url.URL) (reply, error) {
	shown, err := p.browse("GET", page.RequestURI(), nil)
	if err != nil {
		return shown, err
	}
	if shown.status != http.StatusOK {
		return shown, fmt.Errorf("the page that asks for consent: %v", shown)
	}
	got, err := p.browse("POST", "/consent", url.Values{
		"request":  {html.UnescapeString(field(shown.body, "request"))},
		"proof":    {field(shown.body, "proof")},
		"decision": {"allow"},
	})
	if err != nil {
		return got, err
	}
	if got.location == nil || got.location.Path != "/authorize" {
		return got, fmt.Errorf("allowing: %v", got)
	}
	p.count("consented")
	return p.browse("GET", got.location.RequestURI(), nil)
}

func (p *enduringPerson) redeem(g grant, code string) (reply, error) {
	form := g.form("grant_type", "authorization_code", "code", code, "redirect_uri", rpCallback,
		"code_verifier", pkceVerifier)
	got, err := p.send(message{method: "POST", target: "/token", form: form})
	if err == nil && got.status == http.StatusOK {
		p.count("code redeemed")
		err = p.redeems(code)
	}
	return got, err
}

func isInvalidGrant(r reply) bool {
	var answer tokenAnswer
	return r.status == http.StatusBadRequest && json.Unmarshal([]byte(r.body), &answer) == nil &&
		answer.Error == "invalid_grant"
}

// took takes the tokens of an answer.
func (p *enduringPerson) took(g *grant, got reply) error {
	var answer tokenAnswer
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != http.StatusOK ||
		answer.Access == "" || answer.Refresh == "" || answer.ID == "" {
		return fmt.Errorf("tokens of %s: %v", g.client, got)
	}
	g.before, g.tokens, g.access = g.tokens.Refresh, answer, append(g.access, answer.Access)
	return nil
}

// race presents one code twice at the same moment: at most one gets tokens, which end.
func (p *enduringPerson) race(client string, offline bool) error {
	code, err := p.code(client, offline)
	if err != nil {
		return err
	}
	g := grant{client: client, offline: offline}
	got, errs := make([]reply, 2), make([]error, 2)
	var both sync.WaitGroup
	for i := range got {
		both.Go(func() { got[i], errs[i] = p.redeem(g, code) })
	}
	both.Wait()
	for i := range got {
		switch {
		case errs[i] != nil:
			return errs[i]
		case got[i].status == http.StatusOK:
			if err := p.took(&g, got[i]); err != nil {
				return err
			}
		case !isInvalidGrant(got[i]):
			return fmt.Errorf("one of two with the same code: %v", got[i])
		}
	}
	if len(g.access) == 0 && !got[0].lost && !got[1].lost {
		return fmt.Errorf("neither of two with the same code got tokens: %v, %v", got[0], got[1])
	}
	p.count("code presented twice at once")
	p.ends("the code was presented twice at once", g.access...)
	return p.checkEnded()
}

// ends notes that access tokens must be refused from now on.
func (p *enduringPerson) ends(how string, access ...string) {
	for _, raw := range access {
		p.ended = append(p.ended, endedToken{raw, how, time.Now()})
	}
}

// use is what applications do with an access token: at the gate, at /userinfo, and by introspection.
func (p *enduringPerson) use(g grant) error {
	if err := p.passes(message{bearer: g.tokens.Access}, p.name); err != nil {
		return err
	}
	got, err := p.send(message{method: "GET", target: "/userinfo", bearer: g.tokens.Access})
	if err != nil {
		return err
	}
	var claims struct{ Sub, Email string }
	if json.Unmarshal([]byte(got.body), &claims) != nil || claims.Sub != p.name ||
		claims.Email != p.name+"@example.com" {
		return fmt.Errorf("userinfo of %s: %v", p.name, got)
	}
	p.count("userinfo")
	got, err = p.introspect(g.tokens.Access)
	if err != nil {
		return err
	}
	var told struct {
		Active bool
		Sub    string
		Client string `json:"client_id"`
	}
	if json.Unmarshal([]byte(got.body), &told) != nil || !told.Active || told.Sub != p.name || told.Client != g.client {
		return fmt.Errorf("introspection of a token of %s for %s: %v", g.client, p.name, got)
	}
	p.count("introspected")
	return nil
}

func (p *enduringPerson) introspect(raw string) (reply, error) {
	return p.send(message{method: "POST", target: "/introspect", form: grant{client: "machine"}.form("token", raw)})
}

// passes expects that the gate lets a request pass as somebody.
func (p *enduringPerson) passes(a message, name string) error {
	a.method, a.target = "GET", "/"
	got, err := p.send(a)
	if err == nil && (got.status != http.StatusOK || got.body != "hello "+name) {
		err = fmt.Errorf("the gate, as %s: %v", name, got)
	}
	p.count("passed the gate")
	return err
}

// renew uses a grant's refresh token, and now and then the one before again, as if its answer had been
// lost: it has one successor.
func (p *enduringPerson) renew(g *grant) error {
	present := func(raw string) (reply, error) {
		began := time.Now()
		got, err := p.send(message{method: "POST", target: "/token",
			form: g.form("grant_type", "refresh_token", "refresh_token", raw)})
		if err == nil && got.status != http.StatusOK {
			if got.lost && time.Since(began) > enduringReuse {
				p.count("session lost with an answer, after the reuse interval")
				return got, errAbandoned
			}
			err = fmt.Errorf("a session of %s was lost (an answer before: %v): %v", g.client, got.lost, got)
		}
		return got, err
	}
	got, err := present(g.tokens.Refresh)
	if err == nil {
		err = p.took(g, got)
	}
	if err != nil {
		return err
	}
	p.count("refreshed")
	if p.random.IntN(10) > 0 {
		return nil
	}
	next := g.tokens.Refresh
	if got, err = present(g.before); err != nil {
		return err
	}
	again := *g
	if err := p.took(&again, got); err != nil {
		return err
	}
	p.count("refresh repeated")
	if again.tokens.Refresh != next {
		return fmt.Errorf("a refresh token of %s has two successors", g.client)
	}
	g.access = again.access
	return nil
}

// runMachine is a program that acts for itself.
func (p *enduringPerson) runMachine() error {
	got, err := p.send(message{method: "POST", target: "/token",
		form: grant{client: "machine"}.form("grant_type", "client_credentials")})
	if err != nil {
		return err
	}
	var answer tokenAnswer
	if json.Unmarshal([]byte(got.body), &answer) != nil || got.status != http.StatusOK {
		return fmt.Errorf("client credentials: %v", got)
	}
	p.count("client credentials")
	return p.passes(message{bearer: answer.Access}, "machine")
}

// leave ends a visit in one of the ways there are.
func (p *enduringPerson) leave(g *grant, code string) error {
	switch p.random.IntN(5) {
	case 0:
		return p.revokeGrant(g)
	case 1:
		return p.revokeAccess(g)
	case 2:
		return p.signOut(g)
	case 3:
		return p.replay(g, code)
	}
	return nil // the browser is closed
}

func (p *enduringPerson) revoke(g *grant, raw string) error {
	got, err := p.send(message{method: "POST", target: "/revoke", form: g.form("token", raw)})
	if err == nil && got.status != http.StatusOK {
		err = fmt.Errorf("revoking: %v", got)
	}
	return err
}

// revokeGrant ends all that a refresh token stands for.
func (p *enduringPerson) revokeGrant(g *grant) error {
	if err := p.revoke(g, g.tokens.Refresh); err != nil {
		return err
	}
	p.count("refresh token revoked")
	p.ends("its refresh token was revoked", g.access...)
	return p.isOver(g)
}

// isOver expects that a refresh token is refused.
func (p *enduringPerson) isOver(g *grant) error {
	got, err := p.send(message{method: "POST", target: "/token",
		form: g.form("grant_type", "refresh_token", "refresh_token", g.tokens.Refresh)})
	if err == nil && !isInvalidGrant(got) {
		err = fmt.Errorf("a session that was ended goes on: %v", got)
	}
	return err
}

// revokeAccess ends one access token, and nothing else.
func (p *enduringPerson) revokeAccess(g *grant) error {
	raw := g.tokens.Access
	if err := p.revoke(g, raw); err != nil {
		return err
	}
	p.count("access token revoked")
	p.ends("it was revoked", raw)
	if err := p.renew(g); err != nil {
		return err
	}
	return p.use(*g)
}

// signOut ends the browser's session, and what was granted under it unless that was offline.
func (p *enduringPerson) signOut(g *grant) error {
	got, err := p.send(message{method: "POST", target: "/logout", cookies: p.browser})
	if err == nil && got.status != http.StatusNoContent {
		err = fmt.Errorf("signing out (an answer before: %v): %v", got.lost, got)
	}
	if err != nil {
		return err
	}
	p.count("signed out")
	p.ends("its person signed out", p.browser.access)
	if g.offline {
		return p.use(*g)
	}
	p.ends("the session it was granted under was signed out", g.access...)
	return p.isOver(g)
}

// replay presents a code that was used: it buys nothing, and ends what it bought.
func (p *enduringPerson) replay(g *grant, code string) error {
	got, err := p.redeem(*g, code)
	if err == nil && !isInvalidGrant(got) {
		err = fmt.Errorf("a code that was used: %v", got)
	}
	if err != nil {
		return err
	}
	p.count("code replayed")
	p.ends("its code was presented again", g.access...)
	return p.isOver(g)
}

// comeBack renews what is kept: the browser that stays signed in, and the application's grant.
func (p *enduringPerson) comeBack() error {
	began := time.Now()
	got, err := p.send(message{method: "GET", target: "/", cookies: onlyRefresh(p.resident)})
	switch {
	case err != nil:
		return err
	case got.status != http.StatusOK && got.lost && time.Since(began) > enduringReuse:
		p.count("session lost with an answer, after the reuse interval")
		return p.stay()
	case got.status != http.StatusOK || got.cookies.refresh == "" || got.body != "hello "+p.name:
		return fmt.Errorf("a browser's session was lost (an answer before: %v): %v", got.lost, got)
	}
	p.count("browser's session renewed")
	p.resident = got.cookies
	if err := p.renew(&p.granted); err != nil {
		return err
	}
	p.granted.access = nil // nothing ends them
	return p.use(p.granted)
}

// checkEnded expects that what was ended a second ago is refused everywhere; what was ended long ago,
// too, before a reload or a crash.
func (p *enduringPerson) checkEnded() error {
	old := slices.IndexFunc(p.ended, func(e endedToken) bool { return time.Since(e.at) < time.Second })
	if old < 0 {
		old = len(p.ended)
	}
	chosen := p.ended[max(0, old-4):old]
	for range min(3, old) {
		chosen = append(slices.Clone(chosen), p.ended[p.random.IntN(old)])
	}
	for _, e := range chosen {
		for _, a := range []message{
			{method: "GET", target: "/", bearer: e.access},
			{method: "GET", target: "/userinfo", bearer: e.access},
		} {
			got, err := p.send(a)
			if err == nil && got.status != http.StatusUnauthorized {
				err = fmt.Errorf("%s admits an access token %v after %s: %v", a.target, time.Since(e.at), e.how, got)
			}
			if err != nil {
				return err
			}
		}
		got, err := p.introspect(e.access)
		if err == nil && got.body != "{\"active\":false}\n" {
			err = fmt.Errorf("introspection, %v after %s: %v", time.Since(e.at), e.how, got)
		}
		if err != nil {
			return err
		}
		p.count("ended token refused")
	}
	return nil
}
