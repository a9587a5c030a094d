package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// Mode says what a gate does with its decision.
type Mode string

const (
	// Required refuses every request without a good credential. It is the zero value.
	Required Mode = ""
	// Optional lets requests without a credential pass without identity; a bad credential is
	// refused.
	Optional Mode = "optional"
	// ReportOnly decides and reports, and touches nothing: it refuses nothing, and neither removes
	// nor sets a header.
	ReportOnly Mode = "report_only"
)

// Gate guards one route. Fill it, call Validate once, then share it between requests.
type Gate struct {
	// Audiences are the words of which a token's `aud` must name at least one.
	Audiences []string
	// Project is the project whose tokens pass; tokens of trusted foreign issuers carry none and
	// are judged by Issuers.
	Project string
	// Issuers maps each accepted issuer to the audience words that its tokens may use here; nil
	// means all of Audiences.
	Issuers map[string][]string
	// Resource, when set, is a URL that `aud` must name besides one of the words (RFC 8707, RFC
	// 9728).
	Resource string
	// Mode says what happens with the decision. Default: Required.
	Mode Mode
	// Leeway is the clock difference that is forgiven.
	Leeway time.Duration
	// Rules is the policy; all must hold.
	Rules []Rule
	// Forward lists which claims reach the application, and under which header.
	Forward []Mapping
	// Sources are the places where a credential is looked for.
	Sources []Source
	// Credentials are the places of all gates of the configuration. Default: those of this gate.
	Credentials *Credentials
	// Preflight lets real CORS preflights (Fetch standard, section 4.8) pass without identity.
	Preflight bool
	// Upgrades are the protocols besides websocket to which an admitted request may switch its
	// connection.
	Upgrades []string
	// Origins are the other origins from which a request with a cookie credential may come.
	Origins []string
	// Paths says which spellings of a path pass although applications read them in different ways.
	Paths PathForms
	// Owned is the set of header names that only the gateway may set. Required.
	Owned *Owned
	// Verify turns compact text into a verified token; its error is a *token.Refusal. Required.
	Verify func(ctx context.Context, raw string) (*token.Token, error)
	// Session is the cookie of the gateway's own sessions; what stands in it is read by
	// VerifySession. Default: none.
	Session Source
	// VerifySession is Verify for the session cookie, which is sent to no other issuer. Required
	// with Session.
	VerifySession func(ctx context.Context, raw string) (*token.Token, error)
	// Revoked returns a *token.Refusal when the token was revoked. Required.
	Revoked func(t *token.Token, now time.Time) error
	// CountsAt reports whether a token is good at the host of a request, as in http.Request.Host.
	// Default: every token is good at every host.
	CountsAt func(t *token.Token, host string) bool
	// Placeholders returns what answers placeholders about a token; it is called once per token and
	// source. Default: none, and so are Admission.Placeholders.
	Placeholders func(t *token.Token) func(key string) (any, bool)
	// Possession asks for the proof that whoever presents a token has the key that it is bound to
	// (token.Token.JKT; RFC 9449, section 7.1). It is asked last before the policy, and only about
	// bound tokens under the scheme DPoP; spend says that the proof shall not be good for another
	// request. The error is a *token.Refusal. Default: the gate does not know that scheme, and
	// refuses bound tokens.
	Possession func(r *http.Request, t *token.Token, spend bool, now time.Time) error
	// MaxAge is how long ago the person may have signed in (`auth_time`), Leeway aside; whole seconds.
	// Default: any time.
	MaxAge time.Duration
	// BoundOnly refuses tokens that are not bound to a key. It needs Possession.
	BoundOnly bool

	sameOrigin http.CrossOriginProtection
	names      []string // canonical header names of Forward, each once, the last mapping to a name wins
	claims     []string // the claims that go with names
	accepts    []accepted
	admissions []sourced
}

// accepted is an issuer with the words that its tokens may use here.
type accepted struct {
	issuer string
	words  []string
}

// sourced is where a token remembers its admission through this gate when it came from one source.
type sourced struct {
	key    token.DerivedKey
	source Source
}

// Validate checks the gate's settings and makes it ready. It must be called once before Admit, and
// before the set of owned headers and the set of credentials are frozen, to which it adds the
// gate's.
func (g *Gate) Validate() error {
	if err := g.check(); err != nil {
		return err
	}
	if g.Credentials == nil {
		g.Credentials = new(Credentials)
	}
	for _, s := range g.Sources {
		if err := g.Credentials.Add(s); err != nil {
			return err
		}
		g.admissions = append(g.admissions, sourced{source: s})
	}
	if g.Possession != nil && g.reads(Source{Kind: Bearer}) {
		g.admissions = append(g.admissions, sourced{source: Source{Kind: DPoP}})
	}
	for _, m := range g.Forward {
		if err := g.Owned.Own(m.Header); err != nil {
			return err
		}
		g.claimFor(m)
	}
	for issuer, words := range g.Issuers {
		if words == nil {
			words = g.Audiences
		}
		g.accepts = append(g.accepts, accepted{issuer, words})
	}
	for _, o := range g.Origins {
		if err := g.sameOrigin.AddTrustedOrigin(o); err != nil {
			return err
		}
	}
	return nil
}

// check refuses settings with which the gate could not decide, or would decide on too little.
func (g *Gate) check() error {
	switch {
	case len(g.Audiences) == 0:
		return errors.New("a gate needs at least one audience")
	case g.Verify == nil:
		return errors.New("a gate needs Verify")
	case g.Session != (Source{}) && g.VerifySession == nil:
		return errors.New("a gate with a session cookie needs VerifySession")
	case g.Revoked == nil:
		return errors.New("a gate needs Revoked")
	case g.Owned == nil:
		return errors.New("a gate needs Owned")
	case g.BoundOnly && g.Possession == nil:
		return errors.New("a gate that takes only bound tokens needs Possession")
	case g.Leeway < 0 || g.Leeway > leeway.Max: // denials and keys stand for no longer
		return fmt.Errorf("leeway %s is not between 0s and %s", g.Leeway, leeway.Max)
	}
	for i := range g.Rules {
		if err := g.Rules[i].check(); err != nil {
			return err
		}
	}
	for _, m := range g.Forward {
		if err := m.check(); err != nil {
			return err
		}
	}
	return nil
}

// String says nothing: an admission holds a credential, and may meet a placeholder that prints it.
func (*Admission) String() string { return "admission" }

func (g *Gate) claimFor(m Mapping) {
	if i := slices.Index(g.names, m.Header); i >= 0 {
		g.claims[i] = m.Claim
		return
	}
	g.names, g.claims = append(g.names, m.Header), append(g.claims, m.Claim)
}

// Admission is what gates established about one request. Later gates on the same request build on
// it. It is immutable and may be shared between requests.
type Admission struct {
	// Token is the verified token; nil when the request passed without identity.
	Token *token.Token
	// Stale says that an expired cookie was ignored in optional mode and should be cleared at the
	// client.
	Stale bool
	// Placeholders answers placeholders about Token; nil when there is none.
	Placeholders func(key string) (any, bool)

	via     *Source
	headers *[]string // canonical names of the headers set so far; the gate's own list where it is the only one
	values  []string  // what the last gate sets under its names; empty where the claim is absent

	concealed *Concealed

	// A request that finds the admission has found what it needs of it, without going elsewhere.
	derived token.DerivedValue
	room    [4]string // of values
}

// Concealed returns the credentials that the gate has taken out of the request and that a later
// gate may look for; nil when there are none.
func (p *Admission) Concealed() *Concealed { return p.concealed }

// Via returns where the credential came from; zero when there was none.
func (p *Admission) Via() Source {
	if p == nil || p.via == nil {
		return Source{}
	}
	return *p.via
}

// Admit decides whether r may pass. On admission r carries the headers of the verified claims and
// no credential; after a refusal it carries neither, so that error routes see nothing either. prior
// is the admission that an earlier gate on this request returned, or nil. The error is a
// *token.Refusal; the admission beside it is for logs: where the credential came from and, when its
// token was verified, whose it is.
//
// What an earlier gate has concealed must have been revealed before. In report-only mode r is left
// as it came, whatever the decision, and the admission is prior unless the decision is a refusal.
func (g *Gate) Admit(r *http.Request, prior *Admission, now time.Time) (*Admission, error) {
	return g.admit(r, prior, nil, now)
}

// AdmitSession is Admit for the first gate of a request whose session cookie the caller has
// verified already: it is not verified again. session is nil where the caller has not.
func (g *Gate) AdmitSession(r *http.Request, session *token.Token, now time.Time) (*Admission, error) {
	return g.admit(r, nil, session, now)
}

func (g *Gate) admit(r *http.Request, prior *Admission, session *token.Token, now time.Time) (*Admission, error) {
	preflight := g.Preflight && isPreflight(r)
	if g.Mode == ReportOnly {
		t, via, err := g.decide(r, prior, session, preflight, now)
		if err != nil {
			refused := via
			return &Admission{Token: t, via: &refused}, err
		}
		return prior, nil
	}
	g.Owned.Strip(r, prior, g.Upgrades...)
	t, via, err := g.decide(r, prior, session, preflight, now)
	concealed := g.removeCredential(r)
	if err != nil {
		prior.withdraw(r)
		if len(g.Upgrades) > 0 {
			g.Owned.Strip(r, prior) // what only the admitted may ask for
		}
		refused := via // of its own, so that an admitted request allocates none
		return &Admission{Token: t, via: &refused}, err
	}
	p := g.admission(t, via)
	if prior != nil || concealed != nil {
		p = p.after(prior)
		p.concealed = concealed
	}
	g.setHeaders(r, p)
	return p, nil
}

// after returns the admission of a request that had passed other gates before. Where this gate saw
// no credential, the request goes on being whose it was.
func (p *Admission) after(prior *Admission) *Admission {
	joined := *p
	if prior == nil {
		return &joined
	}
	names := slices.Concat(prior.names(), p.names())
	joined.headers = &names
	if joined.Token == nil && prior.Token != nil {
		joined.Token, joined.via, joined.Placeholders = prior.Token, prior.via, prior.Placeholders
	}
	return &joined
}

// withdraw removes the headers that earlier gates have set, since the request is refused after all.
func (p *Admission) withdraw(r *http.Request) {
	for _, name := range p.names() {
		delete(r.Header, name)
	}
}

// names are the canonical names of the headers set so far.
func (p *Admission) names() []string {
	if p == nil || p.headers == nil {
		return nil
	}
	return *p.headers
}

// anonymous is the admission of a request without identity.
var anonymous, anonymousStale = &Admission{}, &Admission{Stale: true}

// admission returns the admission of a token through this gate, remembered beside the token: the
// values of its headers are worked out once per token and gate.
func (g *Gate) admission(t *token.Token, via Source) *Admission {
	if t == nil {
		if via == staleCookie {
			return anonymousStale
		}
		return anonymous
	}
	for i := range g.admissions {
		if g.admissions[i].source == via {
			from := &g.admissions[i]
			return t.Derived(&from.key, func(t *token.Token) *token.DerivedValue {
				return &g.newAdmission(t, &from.source).derived
			}).(*Admission)
		}
	}
	other := via
	return g.newAdmission(t, &other)
}

// staleCookie marks an anonymous admission that ignored an expired cookie.
var staleCookie = Source{Kind: "stale"}

// decide is the list of refusals: one credential, verified, in time, not revoked, for this gate,
// in the hands of whom it is bound to, within the policy.
func (g *Gate) decide(
	r *http.Request, prior *Admission, session *token.Token, preflight bool, now time.Time,
) (*token.Token, Source, error) {
	if err := CheckTarget(r, r.URL, g.Paths); err != nil {
		return nil, Source{}, err
	}
	if preflight {
		return nil, Source{}, nil
	}
	raw, via, err := g.credential(r, prior)
	if err != nil {
		if g.Mode == Optional && refusedFor(err, NoCredential) {
			return nil, Source{}, nil
		}
		return nil, via, err
	}
	if via.Kind == Cookie {
		if err := g.checkOrigin(r); err != nil {
			return nil, via, err
		}
	}
	t, err := g.verified(r.Context(), raw, via, prior, session)
	if err == nil {
		err = g.checkToken(t, r.Host, now)
	}
	if err == nil && (t.Bound() || via.Kind == DPoP || g.BoundOnly) {
		err = g.checkPossession(r, t, via, prior, now)
	}
	if err != nil {
		if g.Mode == Optional && via.Kind == Cookie && refusedFor(err, token.Expired) {
			return nil, staleCookie, nil
		}
		return t, via, err // a token that is verified says whose it is, whatever else is wrong with it
	}
	if err := g.checkPolicy(t); err != nil {
		return t, via, err
	}
	return t, via, g.checkAuthentication(t, now)
}

// verified returns the token of raw, reusing what an earlier gate on this request, or the look at
// its session, verified.
func (g *Gate) verified(
	ctx context.Context, raw string, via Source, prior *Admission, session *token.Token,
) (*token.Token, error) {
	if prior != nil && prior.Token != nil && prior.Token.Raw() == raw {
		return prior.Token, nil
	}
	if via.Kind == Cookie && via == g.Session {
		if session != nil && session.Raw() == raw {
			return session, nil
		}
		return g.VerifySession(ctx, raw)
	}
	return g.Verify(ctx, raw)
}

// checkToken holds everything that may change between two uses of the same token, and what differs
// between gates.
func (g *Gate) checkToken(t *token.Token, host string, now time.Time) error {
	issuer := t.Issuer()
	from := slices.IndexFunc(g.accepts, func(a accepted) bool { return a.issuer == issuer })
	if from < 0 {
		return refuse(token.UnknownIssuer, "this gate does not accept tokens of "+shown(issuer))
	}
	if err := t.CheckTime(now, g.Leeway); err != nil {
		return err
	}
	if err := g.Revoked(t, now); err != nil {
		return err
	}
	if words := g.accepts[from].words; !t.HasAudience(words...) {
		return refuse(token.WrongAudience,
			"the token is for "+shownList(t.Audience)+", not for "+strings.Join(words, ", "))
	}
	if g.Resource != "" && !namesResource(t, g.Resource) {
		return refuse(token.WrongAudience, "the token is for "+shownList(t.Audience)+", not for "+g.Resource)
	}
	if g.CountsAt != nil && !g.CountsAt(t, host) {
		return refuse(token.WrongAudience, "the token is for "+shownList(t.Audience)+", not for host "+shown(host))
	}
	if t.Own() && t.Project != g.Project {
		return refuse(token.WrongProject, "this gate belongs to project "+g.Project+", the token to "+shown(t.Project))
	}
	return nil
}

// namesResource compares resource URLs as RFC 8707 wants them, byte by byte; only `https://h` and
// `https://h/` are the same.
func namesResource(t *token.Token, resource string) bool {
	bare := strings.TrimSuffix(resource, "/")
	for _, a := range t.Audience {
		if a == resource || strings.TrimSuffix(a, "/") == bare && strings.Count(bare, "/") == 2 {
			return true
		}
	}
	return false
}

// isPreflight reports whether r is what a browser sends before a cross-origin request. It asks for
// no upgrade, so this is asked before any is removed.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header[upgradeHeader]) == 0 &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}
