package jwtauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage" // where Caddy writes must be a folder of the test

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// How much is done. Nothing here is a length of time: whoever changes something waits until so many
// decisions were compared since.
const (
	hammers     = 64  // goroutines that send requests
	slots       = 96  // tokens in use at a time, a multiple of what flavours and people make together
	revocations = 48  // a quarter of them each of a token, a session, a person and a client
	keyTurns    = 12  // a key comes, or one goes
	reloads     = 18  // with other audiences, rules, headers, people and another size of the cache
	calm        = 50  // comparisons before a revocation is aimed and before it is carried out
	calmKeys    = 600 // between two turns of the keys
	calmReloads = 800 // between two reloads
)

// TestNoDecisionIsOneThatAFreshVerificationWouldNotHaveGiven sends requests from 64 goroutines
// through the gates of a running Caddy, while keys come and go, tokens, sessions, people and
// clients are revoked, and configurations are reloaded. Beside each gate stands a twin of the same
// settings that verifies anew each time.
//
// Where nothing changed around both, their decisions must be the same, with the same headers. Two
// rules hold always, whatever changes: a token that was done with before the request began is not
// admitted, and who is admitted is whom the token names.
func TestNoDecisionIsOneThatAFreshVerificationWouldNotHaveGiven(t *testing.T) {
	for _, c := range []struct {
		name   string
		keys   func(turn int) *config.Keys
		turn   func(*comparison, int)
		turned []token.Reason // refusals that must have come of tokens which had been admitted before
	}{
		{"generated keys, rotated and revoked", func(int) *config.Keys { return nil }, (*comparison).orderKey,
			[]token.Reason{token.Revoked, token.UnknownKey, token.Expired}},
		{"configured keys, exchanged by reloads", configuredKeys, (*comparison).exchangeKeys,
			[]token.Reason{token.Revoked, token.UnknownKey, token.BadSignature, token.Expired}},
	} {
		t.Run(c.name, func(t *testing.T) { newComparison(t, c.keys).run(c.turn).check(t, c.turned) })
	}
}

// admitted stands for no refusal.
const admitted token.Reason = "admitted"

// What must have happened, and often, so that the test does not pass by comparing nothing.
var (
	everyDecision = []token.Reason{admitted, anonymously, token.Revoked, token.UnknownKey, token.BadSignature,
		token.Expired, token.WrongAudience,
		gate.InsufficientScope, gate.ClaimDenied}
	everyEnd = []string{"key", "token", "session", "person", "client", "undeclared", "expired", "forged"}
)

// often is how many of each are enough.
const often = 20

// anonymously is how an optional gate admits somebody whose cookie has expired.
const anonymously token.Reason = "anonymous"

// comparison is a running Caddy, the tokens that are sent to it, and what is known of both.
type comparison struct {
	t    *testing.T
	dir  string
	keys func(turn int) *config.Keys // nil settings: they are generated

	current atomic.Pointer[round]
	slots   [slots]atomic.Pointer[pass]
	hot     atomic.Int64 // the slot that every fourth request takes

	begun, ended atomic.Int64          // changes; equal while nothing changes
	counts       [hammers]atomic.Int64 // comparisons, each goroutine's apart so that counting puts them into no order
	asked        atomic.Int64          // fresh verifications
	faults       atomic.Int64
	over         atomic.Bool

	// One reload or order about a key at a time: two configurations are as two nodes, which learn
	// of each other's keys within a second.
	loading           sync.Mutex
	keyTurn, ruleTurn int

	// Of the one who revokes and mints.
	random   *rand.Rand
	minted   int
	sessions map[string]string // by person and number
}

// round is one configuration while it is current.
type round struct {
	app          *auth.App
	gates, twins []*JWTAuth // the same in the same order; a twin verifies anew each time
}

// pass is one token and what may be said of it without asking.
type pass struct {
	raw                          string
	id, subject, client, session string
	key                          *keyring.Key
	expiry                       time.Time

	admitted atomic.Bool            // by a gate that remembers, at least once
	barred   atomic.Pointer[string] // why no gate may admit it any more, set when that is complete
}

// verdict is what came of one request.
type verdict struct {
	reason  token.Reason // or admitted, or anonymously
	status  int
	headers string // those of the gates, as the application saw them
	user    string // what the placeholders say
}

func newComparison(t *testing.T, keys func(int) *config.Keys) *comparison {
	a := &comparison{t: t, dir: t.TempDir(), keys: keys, random: rand.New(rand.NewPCG(1, 2)),
		sessions: make(map[string]string)}
	t.Setenv("XDG_DATA_HOME", filepath.Join(a.dir, "data"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(a.dir, "config"))
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := a.load(); err != nil {
		t.Fatal(err)
	}
	if err := a.refill(func(*pass) bool { return true }); err != nil {
		t.Fatal(err)
	}
	return a
}

// run hammers until all that was to change has changed, and returns what was seen.
func (a *comparison) run(turnKeys func(*comparison, int)) *tally {
	var churn, hammer sync.WaitGroup
	tallies := make([]*tally, hammers)
	for g := range tallies {
		tallies[g] = newTally()
		hammer.Go(func() { a.hammer(g, tallies[g]) })
	}
	churn.Go(func() { a.repeat(revocations, calm, a.revoke) })
	churn.Go(func() { a.repeat(keyTurns, calmKeys, func(n int) { turnKeys(a, n) }) })
	churn.Go(func() { a.repeat(reloads, calmReloads, a.reload) })
	churn.Wait()
	a.settle(calm)
	a.over.Store(true)
	hammer.Wait()
	whole := newTally()
	for _, t := range tallies {
		whole.add(t)
	}
	if whole.pairs > int(a.asked.Load()) {
		a.t.Errorf("%d comparisons with %d fresh verifications", whole.pairs, a.asked.Load())
	}
	return whole
}

func (a *comparison) repeat(times int, pause int64, step func(int)) {
	for n := 0; n < times && !a.t.Failed(); n++ {
		a.settle(pause)
		step(n)
	}
}

// settle waits for so many comparisons. Nobody sleeps: the processors are busy anyway.
func (a *comparison) settle(comparisons int64) {
	for until := a.comparisons() + comparisons; a.comparisons() < until && !a.t.Failed(); {
		runtime.Gosched()
	}
}

func (a *comparison) comparisons() (sum int64) {
	for g := range a.counts {
		sum += a.counts[g].Load()
	}
	return sum
}

// change carries out a change; no comparison counts that meets a part of it.
func (a *comparison) change(what string, do func() error) bool {
	a.begun.Add(1)
	defer a.ended.Add(1)
	if err := do(); err != nil {
		a.t.Errorf("%s: %v", what, err)
		return false
	}
	return true
}

// fault reports a wrong decision; more than ten say nothing new.
func (a *comparison) fault(format string, args ...any) {
	if a.faults.Add(1) <= 10 {
		a.t.Errorf(format, args...)
	}
}

// people are those who have tokens. Each fourth configuration does not declare the last, whose
// tokens are done with then.
var people = []string{"alice", "bob", "carol", "dave", "erin", "visitor"}

const visitor = "visitor"

var clientIDs = []string{"reports", "backup", "phone", "desk"}

func (a *comparison) visitorDeclared() bool { return a.ruleTurn%4 != 3 }

func (a *comparison) settings() config.Settings {
	s := config.Settings{Issuer: "https://auth.example.com", Keys: a.keys(a.keyTurn)}
	for _, name := range people {
		if name != visitor || a.visitorDeclared() {
			s.Users = append(s.Users, config.User{Name: name})
		}
	}
	switch few := slots / 4; a.ruleTurn % 3 {
	case 1:
		s.TokenCache = &few // tokens push each other out
	case 2:
		s.Audiences = []string{"web", "mcp", "api"}
	}
	return s
}

// tidal is a key that is there in every second turn; it alone comes back.
const tidal = "tide"

// configuredKeys are three that move on with each turn, one whose id stays while its secret
// changes, and one that comes and goes.
func configuredKeys(turn int) *config.Keys {
	text := func(id string, n int) config.SecretText {
		return config.SecretText{ID: id, Secret: fmt.Sprintf("the secret number %d of the key called %s", n, id)}
	}
	var k config.Keys
	for n := range 3 {
		k.Texts = append(k.Texts, text(fmt.Sprint("k", turn+n), 0))
	}
	k.Texts = append(k.Texts, text("same", turn))
	if turn%2 == 0 {
		k.Texts = append(k.Texts, text(tidal, 0))
	}
	return &k
}

// guards are the gates of a turn. They put different claims under the same headers, so that what
// one remembers of a token is wrong for another.
func (a *comparison) guards() []JWTAuth {
	none, second := option.Duration(0), option.Duration(time.Second)
	plain := JWTAuth{Name: "plain", Audiences: []string{"api"}, Leeway: &none, Forward: forwards("sub", "role", "jti")}
	strict := JWTAuth{Name: "strict", Audiences: []string{"api"}, Leeway: &none,
		Forward: forwards("email", "jti", "sub"),
		Rules:   []Rule{{Claim: "role", Values: []string{"admin"}}}}
	web := JWTAuth{Name: "web", Audiences: []string{"api", "web"}, Leeway: &second,
		Forward: forwards("profile.team", "sid", "groups"),
		Rules: []Rule{{Claim: "scope", Values: []string{"write"}},
			{Claim: "role", Values: []string{"banned"}, Deny: true}}}
	if a.ruleTurn%2 == 1 {
		plain.Audiences, plain.Forward = []string{"mcp"}, forwards("jti", "sub", "role")
		strict.Rules[0].Values = []string{"viewer", "admin"}
	}
	if a.ruleTurn%4 > 0 {
		web.Mode = "optional"
	}
	return []JWTAuth{plain, strict, web}
}

var identityHeaders = []string{"X-User-One", "X-User-Two", "X-User-Three"}

func forwards(claims ...string) []Forward {
	list := make([]Forward, len(claims))
	for i, claim := range claims {
		list[i] = Forward{claim, identityHeaders[i]}
	}
	return list
}

// server has one route for each gate.
func (a *comparison) server(address string) *caddyhttp.Server {
	server := &caddyhttp.Server{
		Listen:    []string{address},
		Protocols: []string{"h1"},
		AutoHTTPS: &caddyhttp.AutoHTTPSConfig{Disabled: true},
	}
	for _, g := range a.guards() {
		handler := caddyconfig.JSONModuleObject(g, "handler", "jwt_auth", nil)
		server.Routes = append(server.Routes, caddyhttp.Route{HandlersRaw: []json.RawMessage{handler}})
	}
	return server
}

// config is a whole configuration of Caddy: the app, a server with the gates, and one with their
// twins.
func (a *comparison) config() []byte {
	no := false
	servers := map[string]*caddyhttp.Server{"gates": a.server("127.0.0.1:0"), "twins": a.server("127.0.0.2:0")}
	return caddyconfig.JSON(caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &no}},
		StorageRaw: caddyconfig.JSON(map[string]string{"module": "file_system",
			"root": filepath.Join(a.dir, "storage")}, nil),
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{
			"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"discard"}`), Level: "ERROR"}},
		}},
		AppsRaw: caddy.ModuleMap{
			"auth": caddyconfig.JSON(a.settings(), nil),
			"http": caddyconfig.JSON(caddyhttp.App{Servers: servers}, nil),
			"tls":  json.RawMessage(`{"disable_storage_clean":true}`),
		},
	}, nil)
}

// load runs the configuration of the turn in place of the one that is current.
func (a *comparison) load() error {
	if err := caddy.Load(a.config(), true); err != nil {
		return err
	}
	ctx := caddy.ActiveContext()
	loaded, err := ctx.AppIfConfigured("auth")
	if err != nil {
		return err
	}
	server, err := ctx.AppIfConfigured("http")
	if err != nil {
		return err
	}
	r := &round{app: loaded.(*auth.App)}
	for _, route := range server.(*caddyhttp.App).Servers["gates"].Routes {
		r.gates = append(r.gates, route.Handlers[0].(*JWTAuth))
	}
	if r.twins, err = a.twins(server.(*caddyhttp.App), r.app); err != nil {
		return err
	}
	if err := r.remembers(); err != nil {
		return err
	}
	a.current.Store(r)
	return nil
}

// twins are the same gates again, with a verifier of their own that nothing stands in front of.
func (a *comparison) twins(server *caddyhttp.App, app *auth.App) ([]*JWTAuth, error) {
	fresh, err := token.NewVerifier([]token.Issuer{{Name: app.Server().Issuer, Own: true, Keys: app.Services().Keys.Key,
		MaxLifetime: app.Server().MaxLifetime}})
	if err != nil {
		return nil, err
	}
	var twins []*JWTAuth
	for _, route := range server.Servers["twins"].Routes {
		twin := route.Handlers[0].(*JWTAuth)
		twin.gate.Verify = func(ctx context.Context, raw string) (*token.Token, error) {
			a.asked.Add(1)
			return fresh.Verify(ctx, raw)
		}
		twins = append(twins, twin)
	}
	return twins, nil
}

// remembers makes sure that it is a cache which is compared.
func (r *round) remembers() error {
	now := time.Now()
	raw, err := token.Mint(r.app.Read().Ring.Active(), "at+jwt", token.Claims{Issuer: r.app.Server().Issuer,
		Subject: "nobody", Audience: []string{"api"},
		IssuedAt: now, Expiry: now.Add(time.Minute)})
	if err != nil {
		return err
	}
	first, err := r.app.Verification().Verify(context.Background(), raw)
	if err != nil {
		return err
	}
	second, err := r.app.Verification().Verify(context.Background(), raw)
	if err == nil && first != second {
		err = errors.New("a configuration remembers nothing")
	}
	return err
}

// reload runs the next configuration, with the same keys.
func (a *comparison) reload(int) {
	a.loading.Lock()
	defer a.loading.Unlock()
	a.ruleTurn++
	load := func() bool { return a.change("reloading", a.load) }
	if a.visitorDeclared() {
		load()
		return
	}
	a.bar("undeclared", func(p *pass) bool { return p.subject == visitor }, load)
}

// exchangeKeys runs a configuration with other keys.
func (a *comparison) exchangeKeys(int) {
	a.loading.Lock()
	defer a.loading.Unlock()
	a.keyTurn++
	if a.change("exchanging keys", a.load) {
		a.barKeys()
	}
}

// orderKey announces a key, and the next time revokes the one that signs.
func (a *comparison) orderKey(turn int) {
	a.loading.Lock()
	defer a.loading.Unlock()
	app := a.current.Load().app
	if a.change("ordering keys", func() (err error) {
		if turn%2 == 0 {
			_, err = app.Services().Keys.Rotate(context.Background())
		} else {
			_, err = app.Services().Keys.Revoke(context.Background(), app.Read().Ring.Active().ID())
		}
		return err
	}) {
		a.barKeys()
	}
}

// barKeys is asked after the keys changed: a key that is gone stays gone, but for the one that
// comes and goes.
func (a *comparison) barKeys() {
	cause, ring := "key", a.current.Load().app.Read().Ring
	for i := range a.slots {
		p := a.slots[i].Load()
		if key := ring.Key(p.key.ID()); p.key.ID() != tidal && (key == nil || !p.key.Equal(key)) {
			p.barred.CompareAndSwap(nil, &cause)
		}
	}
}

// revoke brings some new tokens, lets many requests take one of the good ones, and ends it by one
// of the four orders.
func (a *comparison) revoke(turn int) {
	if err := a.refill(func(p *pass) bool { return a.random.IntN(2) == 0 && p.done(time.Now()) }); err != nil {
		a.t.Error(err)
		return
	}
	target := a.aim(turn%4 == 1)
	a.settle(calm)
	grants, now, ctx := a.current.Load().app.Services().Grants, time.Now(), context.Background()
	all := func(kind revocation.Kind, id string) func() error {
		return func() error {
			_, err := grants.RevokeAll(ctx, revocation.Revocation{Kind: kind, Project: project.Default, ID: id,
				Reason: "test"}, now)
			return err
		}
	}
	switch turn % 4 {
	case 0:
		a.order("token", func(p *pass) bool { return p == target },
			func() error {
				return grants.RevokeToken(ctx, "https://auth.example.com", target.id, target.expiry, now)
			})
	case 1:
		a.order("session", func(p *pass) bool { return p.session == target.session },
			func() error { return grants.RevokeFamily(ctx, target.session, "test", now) })
		maps.DeleteFunc(a.sessions, func(_, id string) bool { return id == target.session })
	case 2:
		a.order("person", func(p *pass) bool { return p.subject == target.subject },
			all(revocation.UserKind, target.subject))
		maps.DeleteFunc(a.sessions, func(of, _ string) bool { return strings.HasPrefix(of, target.subject+" ") })
	case 3:
		a.order("client", func(p *pass) bool { return p.client == target.client },
			all(revocation.ClientKind, target.client))
	}
}

func (a *comparison) order(cause string, ends func(*pass) bool, do func() error) {
	a.bar(cause, ends, func() bool { return a.change("ending a "+cause, do) })
}

// bar carries out what ends some tokens, and says so of them afterwards. They are gathered before:
// what is minted meanwhile may be good.
func (a *comparison) bar(cause string, ends func(*pass) bool, carryOut func() bool) {
	var ended []*pass
	for i := range a.slots {
		if p := a.slots[i].Load(); ends(p) {
			ended = append(ended, p)
		}
	}
	if !carryOut() {
		return
	}
	for _, p := range ended {
		p.barred.CompareAndSwap(nil, &cause)
	}
}

// aim makes many requests take one token that is good, and of a session if that is asked for.
func (a *comparison) aim(ofSession bool) *pass {
	for {
		slot := a.random.IntN(slots)
		p := a.slots[slot].Load()
		if !p.done(time.Now()) && (p.session != "" || !ofSession) {
			a.hot.Store(int64(slot))
			return p
		}
	}
}

// done reports whether nobody will admit the token any more, so that another may take its place.
func (p *pass) done(now time.Time) bool {
	return p.barred.Load() != nil || !now.Before(p.expiry)
}

// refill puts new tokens in place of those that the function names.
func (a *comparison) refill(replace func(*pass) bool) error {
	app := a.current.Load().app
	// Before anything that is minted: an order in between ends it.
	epoch, err := app.Services().Grants.Epoch(context.Background())
	if err != nil {
		return err
	}
	keys := app.Read().Ring.Keys()
	for slot := range a.slots {
		if !replace(a.slots[slot].Load()) {
			continue
		}
		p, err := a.mint(slot, app, epoch, keys[a.random.IntN(len(keys))])
		if err != nil {
			return err
		}
		a.slots[slot].Store(p)
	}
	return nil
}

// mint makes the token of a slot: eight flavours for each of the people.
func (a *comparison) mint(slot int, app *auth.App, epoch int64, key *keyring.Key) (*pass, error) {
	a.minted++
	now, flavour := time.Now(), slot%8
	p := &pass{id: fmt.Sprint("token-", a.minted), subject: people[slot/8%len(people)],
		client: clientIDs[a.random.IntN(len(clientIDs))], key: key}
	if err := a.open(p, app, now); err != nil {
		return nil, err
	}
	claims := token.Claims{
		Issuer: "https://auth.example.com", Subject: p.subject, Audience: []string{"api", "web"},
		IssuedAt: now.Add(-time.Minute), Expiry: now.Add(time.Hour),
		ID: p.id, ClientID: p.client, Project: project.Default, Session: p.session,
		Scopes: []string{"read", "write"}, Protocol: map[string]any{"epoch": epoch},
		Extra: map[string]any{
			"role": "admin", "email": p.subject + "@example.com", "groups": []string{"staff", p.id},
			"profile": map[string]any{"team": "team of " + p.id},
		},
	}
	spice(&claims, flavour, a.random, now)
	p.expiry = claims.Expiry.Truncate(time.Second)
	raw, err := token.Mint(key, "at+jwt", claims)
	if err != nil {
		return nil, err
	}
	p.raw = raw
	if flavour == 7 {
		forged := "forged"
		p.barred.Store(&forged)
		p.raw = forge(raw, a.slots[slot-7].Load().raw, a.random)
	}
	return p, nil
}

// spice makes of a good token one of the others.
func spice(c *token.Claims, flavour int, random *rand.Rand, now time.Time) {
	switch flavour {
	case 2:
		c.Audience, c.Extra["role"] = []string{"api"}, "viewer"
	case 3:
		c.Scopes = []string{"read"}
	case 4:
		delete(c.Extra, "role")
		if random.IntN(2) == 0 {
			c.Extra["role"] = "banned"
		}
	case 5:
		c.Audience = []string{"mcp"}
	case 1, 6:
		c.Expiry = now.Add(time.Duration(random.IntN(4)-1) * time.Second)
	}
}

// forge puts the claims of one of two tokens under the signature of the other.
func forge(one, other string, random *rand.Rand) string {
	if random.IntN(2) == 0 {
		one, other = other, one
	}
	return one[:strings.LastIndexByte(one, '.')] + other[strings.LastIndexByte(other, '.'):]
}

// open gives the token one of the two sessions of its subject, and begins that where it is over.
// The visitor has none.
func (a *comparison) open(p *pass, app *auth.App, now time.Time) error {
	if p.subject == visitor {
		return nil
	}
	of := fmt.Sprint(p.subject, " ", a.random.IntN(2))
	if a.sessions[of] == "" {
		begun, err := app.Services().Grants.Begin(context.Background(), session.GrantRequest{
			Project:  project.Default,
			Subject:  p.subject,
			ClientID: clients.FirstParty,
			Kind:     issuance.APIGrant,
			Audience: []string{"api"},
			Access:   15 * time.Minute,
			Idle:     time.Hour,
			Absolute: 24 * time.Hour,
		}, now)
		if err != nil {
			return fmt.Errorf("beginning a session: %w", err)
		}
		a.sessions[of] = begun.Grant.ID
	}
	p.session = a.sessions[of]
	return nil
}

func (a *comparison) hammer(g int, seen *tally) {
	random := rand.New(rand.NewPCG(3, uint64(g)))
	for !a.over.Load() {
		if a.compare(random, seen) {
			a.counts[g].Add(1)
		}
		runtime.Gosched() // between two requests, as if each had come from the network
	}
}

// compare sends one token through gates and through their twins, and reports whether nothing
// changed around both.
func (a *comparison) compare(random *rand.Rand, seen *tally) bool {
	slot := a.hot.Load()
	if random.IntN(4) > 0 {
		slot = random.Int64N(slots)
	}
	p := a.slots[slot].Load()
	// Before looking which configuration is current: it is one that knows.
	barred, before := p.barred.Load(), p.admitted.Load()
	// In this order: equal, they say that nothing was going on in between.
	ended, begun := a.ended.Load(), a.begun.Load()
	r, q := a.current.Load(), newQuestion(random)

	start := time.Now()
	var cached, fresh verdict
	if random.IntN(2) == 0 {
		cached, fresh = a.ask(r, r.gates, q, p), a.ask(r, r.twins, q, p)
	} else {
		fresh, cached = a.ask(r, r.twins, q, p), a.ask(r, r.gates, q, p)
	}
	stop := time.Now()

	if cached.reason == admitted && !before {
		p.admitted.Store(true)
	}
	over, crossing := q.expiry(r, p, start, stop)
	if cause := causeOf(barred, over); cause != "" {
		seen.barred[cause]++
		if cached.reason == admitted || fresh.reason == admitted {
			a.fault("%s was done with (%s) when the request began; %v: cached %+v, fresh %+v", p.id, cause, q,
				cached, fresh)
		}
	}
	if crossing || ended != begun || a.begun.Load() != begun {
		seen.dropped++
		return false
	}
	if cached != fresh {
		a.fault("%s, %v: cached %+v, fresh %+v", p.id, q, cached, fresh)
	}
	seen.note(fresh.reason, before)
	return true
}

func causeOf(barred *string, over bool) string {
	switch {
	case barred != nil:
		return *barred
	case over:
		return "expired"
	}
	return ""
}

// question is how a token is sent: through which gates, one after the other, and whether in the
// session cookie.
type question struct {
	gates  []int
	cookie bool
}

func newQuestion(random *rand.Rand) question {
	switch n := random.IntN(16); {
	case n < 9:
		return question{gates: []int{n % 3}}
	case n < 13:
		return question{gates: []int{2}, cookie: true}
	}
	return question{gates: []int{random.IntN(3), random.IntN(3)}}
}

// expiry reports whether the token's time was over before start, and whether it ended between start
// and stop, for one of the gates.
func (q question) expiry(r *round, p *pass, start, stop time.Time) (over, crossing bool) {
	for _, i := range q.gates {
		end := p.expiry.Add(time.Duration(*r.gates[i].Leeway))
		over = over || !start.Before(end)
		crossing = crossing || start.Before(end) && !stop.Before(end)
	}
	return over, crossing
}

// ask sends one request and says what came of it. Whoever is admitted must be whom the token names.
func (a *comparison) ask(r *round, gates []*JWTAuth, q question, p *pass) verdict {
	request := caddyRequest()
	if q.cookie {
		request.Header["Cookie"] = []string{"theme=dark; " + r.app.Gates().Cookies.Access + "=" + p.raw}
	} else {
		request.Header["Authorization"] = []string{"Bearer " + p.raw}
	}
	var v verdict
	next := caddyhttp.Handler(caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		v = seenBy(r)
		return nil
	}))
	for _, i := range slices.Backward(q.gates) {
		next = behind(gates[i], next)
	}
	w := httptest.NewRecorder()
	if err := next.ServeHTTP(w, request); err != nil {
		a.fault("%v: %v", q, err)
	}
	if v.status = w.Code; v.reason == "" {
		v.reason = reasonIn(w)
	}
	if v.reason == admitted && v.user != p.subject+" "+p.id {
		a.fault("%s of %s: %v admitted %+v", p.id, p.subject, q, v)
	}
	return v
}

func behind(j *JWTAuth, next caddyhttp.Handler) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return j.ServeHTTP(w, r, next) })
}

// seenBy is what an application sees.
func seenBy(r *http.Request) verdict {
	v := verdict{reason: admitted}
	for _, name := range identityHeaders {
		v.headers += strings.Join(r.Header[name], "&") + "|"
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if v.user = repl.ReplaceAll("{http.auth.user.id} {http.auth.user.jti}", ""); v.user == " " {
		v.reason = anonymously
	}
	return v
}

// reasonIn is the reason code of an answer.
func reasonIn(w *httptest.ResponseRecorder) token.Reason {
	var body struct {
		Reason token.Reason `json:"error_description"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		return token.Reason(errors.Join(errors.New("no refusal"), err).Error())
	}
	return body.Reason
}

// tally counts what one goroutine saw, or all of them.
type tally struct {
	pairs, dropped   int
	compared, turned map[token.Reason]int
	barred           map[string]int
}

func newTally() *tally {
	return &tally{compared: make(map[token.Reason]int), turned: make(map[token.Reason]int),
		barred: make(map[string]int)}
}

func (t *tally) note(reason token.Reason, before bool) {
	t.pairs++
	t.compared[reason]++
	if before && reason != admitted {
		t.turned[reason]++
	}
}

func (t *tally) add(other *tally) {
	t.pairs += other.pairs
	t.dropped += other.dropped
	for reason, n := range other.compared {
		t.compared[reason] += n
	}
	for reason, n := range other.turned {
		t.turned[reason] += n
	}
	for cause, n := range other.barred {
		t.barred[cause] += n
	}
}

// check demands that all of it happened, and often.
func (t *tally) check(tb testing.TB, turned []token.Reason) {
	tb.Helper()
	tb.Logf("%d compared, %d not: something changed meanwhile", t.pairs, t.dropped)
	tb.Logf("decisions %v, refused after they were admitted %v, done with %v", t.compared, t.turned, t.barred)
	if tb.Failed() {
		return // it ended early
	}
	enough(tb, "decided", t.compared, everyDecision)
	enough(tb, "decided after an admission", t.turned, turned)
	enough(tb, "the end of a token that came again", t.barred, everyEnd)
}

func enough[K comparable](tb testing.TB, what string, counts map[K]int, wanted []K) {
	tb.Helper()
	for _, k := range wanted {
		if counts[k] < often {
			tb.Errorf("%v was %s %d times", k, what, counts[k])
		}
	}
}
