package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// reader reads an access token, without regard to its time and revocation.
type reader = func(ctx context.Context, raw string) (*token.Token, error)

// Verification reads and judges the tokens of one configuration.
type Verification struct {
	// Verify reads JWTs of whatever accepted issuer, and the server's own opaque tokens. It asks no
	// introspection endpoint, and refuses tokens that are bound to a key or a certificate.
	Verify reader

	// VerifyBound is Verify for whoever has the presenter prove possession of those, or only looks at
	// the token.
	VerifyBound reader

	verifier   *token.Verifier
	idTokens   *token.Verifier // of the server's own ID tokens, however old
	assertions *token.Verifier // of identity assertions; nil when no issuer may make any
	cache      *token.Cache    // in front of verifier; nil when it is off
	opaque     *opaque.Tokens
	foreign    []*opaque.IntrospectionClient
	accepts    map[string][]string // the audience words of each accepted issuer; nil stands for all of the server's
	denied     *revocation.DenyList
	stale      func(now time.Time) time.Duration // how old the deny list is
	staleness  time.Duration                     // how old it may be
	ready      func(ctx context.Context) error
	ctx        context.Context // the configuration's
}

// pollGrace is how old the list may be while all is well: it is read every half second, and a
// reading may take a moment.
const pollGrace = 2 * time.Second

// remember puts a cache of so many tokens in front of the verifier; 0 is none.
func (v *Verification) remember(size int) (err error) {
	v.VerifyBound, v.Verify = v.readsOwn(v.verifier.Verify), v.readsBearer
	if size == 0 {
		return nil
	}
	if v.cache, err = token.NewCache(v.verifier, size); err != nil {
		return err
	}
	v.VerifyBound = v.readsOwn(v.cache.Verify)
	return nil
}

// readsBearer is the reader of tokens that are good in whoever's hands they are.
func (v *Verification) readsBearer(ctx context.Context, raw string) (*token.Token, error) {
	t, err := v.VerifyBound(ctx, raw)
	if err == nil && t.Bound() {
		return nil, &token.Refusal{
			Reason: token.WrongType,
			Detail: "the token is bound to a key or a certificate (cnf) and is not a bearer token",
		}
	}
	return t, err
}

// Close ends what Provision began, and forgets the verified tokens.
func (v *Verification) Close() error {
	for _, foreign := range v.foreign {
		foreign.Close()
	}
	if v.cache != nil {
		v.cache.Close()
	}
	return nil
}

// expire forgets tokens that have expired.
func (v *Verification) expire(now time.Time) {
	if v.cache != nil {
		v.cache.Expire(now)
	}
}

// readsOwn makes the reader of JWTs, of whatever issuer, and of our own opaque tokens.
func (v *Verification) readsOwn(jwt reader) reader {
	return func(ctx context.Context, raw string) (*token.Token, error) {
		if !opaque.IsOwn(raw) {
			return jwt(ctx, raw)
		}
		if err := v.ready(ctx); err != nil { // the secret comes with the store
			return nil, fmt.Errorf("%w: %w",
				&token.Refusal{Reason: token.KeysUnavailable, Detail: "the server is starting"}, err)
		}
		return v.opaque.Verify(ctx, raw)
	}
}

// For is the reader of tokens, bound ones too, of a gate that accepts these issuers: what is neither
// a JWT nor an opaque token of ours goes to the introspection endpoints of the issuers that the gate
// accepts. No other issuer is told of it.
func (v *Verification) For(issuers map[string][]string) reader {
	var accepted []*opaque.IntrospectionClient
	for _, foreign := range v.foreign {
		if _, ok := issuers[foreign.Issuer.Name]; ok {
			accepted = append(accepted, foreign)
		}
	}
	if len(accepted) == 0 {
		return v.VerifyBound
	}
	return func(ctx context.Context, raw string) (*token.Token, error) {
		if opaque.IsOwn(raw) || strings.Count(raw, ".") == 2 {
			return v.VerifyBound(ctx, raw)
		}
		return askForeign(ctx, accepted, raw)
	}
}

// askForeign asks issuers that have an endpoint. That one does not know a token says little while
// another cannot be asked.
func askForeign(ctx context.Context, issuers []*opaque.IntrospectionClient, raw string) (*token.Token, error) {
	var refusal error
	for _, foreign := range issuers {
		t, err := foreign.Verify(ctx, raw)
		if err == nil {
			return t, nil
		}
		if refusal == nil || gate.ReasonOf(err) == token.KeysUnavailable {
			refusal = err
		}
	}
	return nil, refusal
}

// Keep has a claim kept with verified tokens: a gate forwards it or asks for it in a rule.
func (v *Verification) Keep(claim string) { v.verifier.Keep(claim) }

// Announced reports whether a gate forwards the claim or asks for it in a rule.
func (v *Verification) Announced(claim string) bool { return v.verifier.Keeps(claim) }

// Accepts returns the audience words that tokens of an issuer may use, where nil stands for all of
// the server's, and false when no gate may accept the issuer.
func (v *Verification) Accepts(issuer string) (words []string, ok bool) {
	words, ok = v.accepts[issuer]
	return words, ok
}

// isIssued recognises what this server, or one that it trusts, has issued.
func (v *Verification) isIssued(word string) bool {
	return opaque.IsIssued(word) || v.verifier.NamesIssuer(word)
}

// Revoked asks the deny list, which is in memory, and how old it may be.
func (v *Verification) Revoked(t *token.Token, now time.Time) error {
	if err := v.checkDenied(t); err != nil || v.stale(now) <= v.staleness {
		return err
	}
	// A request may come before Start has read the list for the first time.
	if v.ready(v.ctx) != nil || v.stale(now) > v.staleness {
		return &token.Refusal{
			Reason: gate.RevocationNotChecked,
			Detail: "the store has not been reached for longer than revocation_staleness",
		}
	}
	return v.checkDenied(t)
}

// checkDenied asks the deny list, unless nothing was added to it since it was asked about this very
// token.
func (v *Verification) checkDenied(t *token.Token) error {
	version := v.denied.Version() // before the list is asked: what is added meanwhile is asked about next time
	if t.RevocationVersion().Load() == version {
		return nil
	}
	if kind := v.denied.Denied(t.RevocationSubject()); kind != "" {
		return &token.Refusal{Reason: token.Revoked, Detail: "revoked with its " + string(kind)}
	}
	t.RevocationVersion().Store(version)
	return nil
}

// Session returns the token of a living session cookie. The token that a client was given for a person
// is no session, whatever its audience: with it the client could let itself into others, and be the
// administrator that the person is.
func (v *Verification) Session(ctx context.Context, raw string) (*token.Token, error) {
	return v.session(ctx, raw, clients.FirstParty)
}

func (v *Verification) session(ctx context.Context, raw string, of ...string) (*token.Token, error) {
	t, err := v.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if !t.Own() || !slices.Contains(of, t.ClientID) || !t.HasAudience("web") {
		return nil, errors.New("the cookie is not a session of this server")
	}
	now := time.Now()
	if err := t.CheckTime(now, 0); err != nil {
		return nil, err
	}
	return t, v.Revoked(t, now)
}

// WebSession is Session for gates: a session that began at the host of an application is good at
// this host, too. At the server's own routes it is none, so that nobody who gets hold of it can let
// clients in.
func (v *Verification) WebSession(r *http.Request, raw string) (*token.Token, error) {
	t, err := v.session(r.Context(), raw, clients.FirstParty, clients.Web)
	if err == nil && !v.CountsAt(t, r.Host) {
		return nil, errors.New("the cookie is a session at another host")
	}
	return t, err
}

// CountsAt reports whether a token is good at the host of a request, in whatever way it comes: that
// of a session at an application is so at the application's host alone. An application that gets
// hold of what its visitors bring, or of their way back from signing in, can be nobody at the
// others.
func (v *Verification) CountsAt(t *token.Token, host string) bool {
	return t.ClientID != clients.Web || !t.Own() || issuance.NamesHost(t.Audience, issuance.HostOf(host))
}

// signedIn returns whose living session a cookie is, and since when its token stands.
func (v *Verification) signedIn(ctx context.Context, raw string) (string, time.Time, error) {
	t, err := v.Session(ctx, raw)
	if err != nil {
		return "", time.Time{}, err
	}
	return t.Subject, t.IssuedAt.Time(), nil
}
