package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// roundTripAuth knows its keys, so that nothing but requests asks the store: eve and her project
// come through the API.
const roundTripAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS}
	secret seal:{{.Seal}}
	store "{{.Store}}"
	project acme
	client reports {
		project acme
		claim tier gold
	}
	client references {
		project acme
		access_token_format opaque
	}
	client rp {
		redirect_uri https://rp.example/cb?tenant=1
		secret {{.RPSecret}}
		scope openid read
	}
}`

const roundTripSites = authSite + metricsSite + `
{{url "api"}} {
	jwt_auth web api
	respond "hello"
}
`

// asked is what one request asks of the store: the verbs, and on PostgreSQL the statements and how
// often the server is waited for.
type asked struct {
	verbs string
	pgtest.Traffic
}

// roundTrips is a server whose questions to its store are counted.
type roundTrips struct {
	*gateway
	url   string
	proxy *pgtest.Proxy // nil: SQLite
	pool  int           // the number of the connection that verbs use

	refresh map[string]string // tokens of eve, by client
}

// backgroundVerbs are asked by no request, or by one in several seconds.
var backgroundVerbs = []string{"Denials", "CountGrants", "HashKinds", "Ping", "KeptTime", "KeepTime"}

// TestRoundTripsOfLoginAndRefresh: what a sign-in and a renewal cost is decided by how often they
// ask the database one after the other.
func TestRoundTripsOfLoginAndRefresh(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) { newRoundTrips(t, engine).countAll(t) })
	}
}

func newRoundTrips(t *testing.T, engine string) *roundTrips {
	r := &roundTrips{gateway: newGateway(t)}
	r.url = "sqlite:" + filepath.Join(r.dir, "auth.db")
	if engine == "postgres" {
		r.proxy, r.url = pgtest.Server(t).ProxyURL(t, "pool_max_conns=1")
	}
	r.extra["Store"], r.extra["Seal"], r.extra["RPSecret"] = r.url, goodSecret, rpSecret
	r.secret("the sealing secret", goodSecret)
	r.load(roundTripAuth, roundTripSites)
	if err := stopServer(); err != nil {
		t.Fatal(err)
	}
	r.addEve(t)
	opened := 0
	if r.proxy != nil {
		opened = r.proxy.Accepted()
	}
	r.load(roundTripAuth, roundTripSites)
	r.pool = opened + 1
	return r
}

// addEve puts a user, whom no configuration declares, and her sessions with two clients into the
// store of a server that does not run.
func (r *roundTrips) addEve(t *testing.T) {
	store, err := sqlstore.New(r.url)
	if err == nil {
		err = store.Open(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, slug := range []string{"default", "acme"} {
		err := store.AddUser(t.Context(), identity.User{
			ID:           "eve-of-" + slug,
			Project:      slug,
			Name:         "eve",
			PasswordHash: cheapHash(alicePassword),
			Created:      time.Now(),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err = store.GiveConsent(t.Context(), consent.Consent{
		Project:  "default",
		UserID:   "eve-of-default",
		ClientID: "rp",
		Scopes:   []string{"openid", "read"},
		Since:    time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.ParseSecretRing("seal:" + goodSecret)
	if err != nil {
		t.Fatal(err)
	}
	sessions := session.Service{Store: store}
	for _, key := range ring.Derive(session.TokenLabel) {
		sessions.Tokens.Secrets = append(sessions.Tokens.Secrets, session.Secret(key))
	}
	r.refresh = map[string]string{}
	for _, client := range []string{"reports", "references"} {
		begun, err := sessions.Begin(t.Context(), session.GrantRequest{
			Project:  "acme",
			Subject:  "eve",
			ClientID: client,
			Kind:     "api",
			Audience: []string{"api"},
			Access:   time.Hour,
			Idle:     time.Hour,
			Absolute: time.Hour,
		}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		r.refresh[client] = begun.RefreshToken
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// countAll counts each request several times and takes the least: something of the background may
// ask in between. Clients are remembered then (issuance.ClientCache).
func (r *roundTrips) countAll(t *testing.T) {
	browser := r.signIn(t, "eve", alicePassword)
	program, _ := r.apiLogin(t, "acme", "eve", alicePassword, "api")
	r.refresh["caddyauth"] = program.Refresh
	refresh := func(client string) func() {
		return func() { r.refresh[client] = r.refreshed(t, client, r.refresh[client]) }
	}
	code := ""
	for _, c := range []struct {
		name string
		ask  func()
		want asked
	}{
		{"login form", func() { browser = r.signIn(t, "eve", alicePassword) },
			asked{"1 AddSignIn, 1 FindParties, 1 TakeAttempt", pgtest.Traffic{Statements: 12, Trips: 4}}},
		{"login API", func() {
			if _, a := r.apiLogin(t, "acme", "eve", alicePassword, "api"); a.status != http.StatusOK {
				t.Fatal(a.body)
			}
		}, asked{"1 AddSignIn, 1 FindParties, 1 TakeAttempt", pgtest.Traffic{Statements: 12, Trips: 4}}},
		{"authorize, allowed before", func() { code = r.authorized(t, browser) },
			asked{"1 AddCode, 1 FindConsent, 1 FindParties", pgtest.Traffic{Statements: 3, Trips: 3}}},
		{"authorize, and code to tokens", func() { code = r.authorized(t, browser); r.exchanged(t, code) },
			asked{
				"1 AddCode, 1 AddEntry, 1 FindCode, 1 FindConsent, 1 FindParties, 1 RedeemCode",
				pgtest.Traffic{Statements: 7, Trips: 6},
			}},
		{"renewal of a browser's session", func() { browser = r.renewed(t, browser.refresh) },
			asked{"1 FindGrant, 1 UseKnown", pgtest.Traffic{Statements: 2, Trips: 2}}},
		{"login API, and the first refresh", func() {
			begun, _ := r.apiLogin(t, "acme", "eve", alicePassword, "api")
			r.refreshed(t, "caddyauth", begun.Refresh)
		}, asked{
			"1 AddSignIn, 1 FindGrant, 1 RotateGrant, 1 TakeAttempt, 2 FindParties",
			pgtest.Traffic{Statements: 15, Trips: 7},
		}},
		{"refresh", refresh("caddyauth"), asked{"1 UseKnown", pgtest.Traffic{Statements: 1, Trips: 1}}},
		{"refresh, declared client", refresh("reports"),
			asked{"1 UseKnown", pgtest.Traffic{Statements: 1, Trips: 1}}},
		{"refresh, declared client with opaque tokens", refresh("references"),
			asked{"1 UseKnown", pgtest.Traffic{Statements: 1, Trips: 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.ask() // statements are prepared
			got := r.count(t, c.ask)
			for range 3 {
				if again := r.count(t, c.ask); again.Trips < got.Trips || len(again.verbs) < len(got.verbs) {
					got = again
				}
			}
			if got.verbs != c.want.verbs || r.proxy != nil && got.Traffic != c.want.Traffic {
				t.Errorf("asked %+v, want %+v", got, c.want)
			}
		})
	}
}

func (r *roundTrips) count(t *testing.T, ask func()) asked {
	t.Helper()
	var before, after pgtest.Traffic
	verbs := r.verbs(t)
	if r.proxy != nil {
		before = r.proxy.Asked(r.pool)
	}
	ask()
	if r.proxy != nil {
		after = r.proxy.Asked(r.pool)
	}
	var list []string
	for verb, n := range r.verbs(t) {
		if n -= verbs[verb]; n > 0 && !slices.Contains(backgroundVerbs, verb) {
			list = append(list, fmt.Sprintf("%d %s", n, verb))
		}
	}
	slices.Sort(list)
	return asked{strings.Join(list, ", "), after.Minus(before)}
}

// authorized returns the code that a signed-in person's browser gets.
func (r *roundTrips) authorized(t *testing.T, c cookies) string {
	t.Helper()
	a := r.ask(t, "auth", call{target: request(t, ""), lines: c.lines()})
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		t.Fatalf("status %d to %v: %s", a.status, to, a.body)
	}
	return to.Query().Get("code")
}

// exchanged presents a code.
func (r *roundTrips) exchanged(t *testing.T, code string) {
	t.Helper()
	form := codeForm(code)
	form.Set("client_id", "rp")
	form.Set("client_secret", rpSecret)
	a := r.ask(t, "auth", call{
		method: http.MethodPost, target: "/token", lines: []string{"Content-Type: application/x-www-form-urlencoded"},
		body: form.Encode(),
	})
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
}

// verbs are how often the store was asked, by verb.
func (r *roundTrips) verbs(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(r.get(t, "metrics", "/", "").body) {
		rest, ok := strings.CutPrefix(line, `caddy_auth_store_seconds_count{verb="`)
		verb, number, found := strings.Cut(strings.TrimSpace(rest), `"} `)
		n, err := strconv.Atoi(number)
		if ok && found && err == nil {
			counts[verb] = n
		}
	}
	if len(counts) == 0 {
		t.Fatal("the metrics name no verb")
	}
	return counts
}

// refreshed uses a client's refresh token and returns the next one.
func (r *roundTrips) refreshed(t *testing.T, client, token string) string {
	t.Helper()
	r.hide(token)
	a := r.ask(t, "auth", call{
		method: http.MethodPost, target: "/token", lines: []string{"Content-Type: application/x-www-form-urlencoded"},
		body: url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {token}}.Encode(),
	})
	var next apiSession
	if err := json.Unmarshal([]byte(a.body), &next); err != nil || a.status != http.StatusOK || next.Refresh == "" {
		t.Fatalf("%s: status %d: %s %v", client, a.status, a.body, err)
	}
	r.tokens.remember(next.Access)
	return next.Refresh
}
