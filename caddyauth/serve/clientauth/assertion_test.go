package clientauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

const (
	issuer   = "https://auth.example.com"
	tokenURL = issuer + "/token"
	secret   = "cacs_CANARY"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fixture is an Authenticator with its surroundings.
type fixture struct {
	*Authenticator

	keys  map[string]*keyring.Key // by algorithm
	known map[string]clients.Client

	mu   sync.Mutex
	used map[string]time.Time

	store, publisher error
	publishes        json.RawMessage
	fetches          int
}

// generated are a key of each algorithm, made once: those of RSA take a while.
var generated = sync.OnceValue(func() map[string]*keyring.Key {
	keys := make(map[string]*keyring.Key)
	for _, alg := range []string{"ES256", "RS256", "PS256", "EdDSA", "HS256"} {
		key, err := keyring.Generate(alg, noon)
		if err != nil {
			panic(err)
		}
		keys[alg] = key
	}
	return keys
})

func newFixture(t testing.TB) *fixture {
	t.Helper()
	h := &fixture{keys: generated(), used: map[string]time.Time{}}
	h.known = map[string]clients.Client{
		"signer": {Settings: clients.Settings{AuthMethod: clients.AuthPrivateKeyJWT, JWKS: h.jwks(t)}},
		"sole":   {Settings: clients.Settings{AuthMethod: clients.AuthPrivateKeyJWT, JWKS: h.jwks(t, "ES256")}},
		"fetched": {
			Settings: clients.Settings{AuthMethod: clients.AuthPrivateKeyJWT, JWKSURI: "https://c.example/jwks"},
		},
		"fapi": {Settings: clients.Settings{
			AuthMethod: clients.AuthPrivateKeyJWT, Preset: clients.PresetFAPI2, JWKS: h.jwks(t),
		}},
		"secret": {Secrets: []clients.Secret{{Number: 1, Hash: secrets.Hash(secret)}}},
		"public": {},
	}
	h.Authenticator = &Authenticator{
		Issuer:        issuer,
		TokenEndpoint: tokenURL,
		Find: func(_ context.Context, id string) (issuance.Parties, error) {
			c, ok := h.known[id]
			c.ID, c.Active = id, true
			if !ok || h.store != nil {
				return issuance.Parties{}, h.store
			}
			return issuance.Parties{Epoch: 5, Project: project.Project{Slug: "default", Active: true}, Client: c}, nil
		},
		UseOnce: h.useOnce,
		Keys:    &keyring.Published{Sets: new(keyring.PublishedSets), Transport: h},
	}
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	return h
}

// jwks are public keys of the algorithms, or all of key pairs.
func (h *fixture) jwks(t testing.TB, algorithms ...string) json.RawMessage {
	t.Helper()
	if len(algorithms) == 0 {
		algorithms = []string{"ES256", "RS256", "PS256", "EdDSA"}
	}
	var keys []*keyring.Key
	for _, alg := range algorithms {
		keys = append(keys, h.keys[alg])
	}
	ring, err := keyring.NewRing(keys, "")
	if err != nil {
		t.Fatal(err)
	}
	return ring.JWKS()
}

func (h *fixture) useOnce(_ context.Context, u replay.Use) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, twice := h.used[u.Key()]; twice {
		return replay.ErrUsed
	}
	h.used[u.Key()] = u.Until
	return nil
}

// RoundTrip publishes the ES256 key, unless a test wants another one.
func (h *fixture) RoundTrip(*http.Request) (*http.Response, error) {
	h.fetches++
	if h.publisher != nil {
		return nil, h.publisher
	}
	w := httptest.NewRecorder()
	set := h.publishes
	if set == nil {
		set = h.known["sole"].JWKS
	}
	_, _ = w.Write(set)
	return w.Result(), nil
}

// assertion signs what a client of that id sends, changed.
func (h *fixture) assertion(t testing.TB, id, alg string, change func(header, claims map[string]any)) string {
	t.Helper()
	header := map[string]any{"alg": alg, "kid": h.keys[alg].ID(), "typ": "JWT"}
	claims := map[string]any{
		"iss": id, "sub": id, "aud": issuer, "jti": "once", "iat": noon.Unix(), "exp": noon.Unix() + 60,
	}
	if change != nil {
		change(header, claims)
	}
	return signed(t, h.keys[alg], header, claims)
}

// signed makes a compact JWS by hand, so that it may be wrong in every way.
func signed(t testing.TB, key *keyring.Key, header, claims map[string]any) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, b64(text))
	}
	signature, err := key.Sign([]byte(strings.Join(parts, ".")))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(parts, b64(signature)), ".")
}

// send authenticates a client by a form.
func (h *fixture) send(form Form, header ...string) (issuance.Parties, *Problem) {
	r := httptest.NewRequest(http.MethodPost, tokenURL, nil)
	if len(header) > 0 {
		r.Header["Authorization"] = header
	}
	p, err := h.Authenticate(Request{HTTP: r, Form: form, Endpoint: issuer + "/par", Now: noon})
	if err == nil {
		return p, nil
	}
	return p, ProblemOf(err)
}

func withAssertion(raw string) Form {
	return Form{"client_assertion": raw, "client_assertion_type": assertionType}
}

// set returns a change of one claim; nil removes it.
func set(name string, value any) func(header, claims map[string]any) {
	return func(_, claims map[string]any) {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
}

func setHeader(name string, value any) func(header, claims map[string]any) {
	return func(header, _ map[string]any) {
		header[name] = value
		if value == nil {
			delete(header, name)
		}
	}
}

// TestClientAssertions: each is good or refused for one reason, and only a good one is used up.
func TestClientAssertions(t *testing.T) {
	at := func(name string, seconds int64) func(_, claims map[string]any) { return set(name, noon.Unix()+seconds) }
	for _, c := range []struct {
		name, client, alg string
		change            func(header, claims map[string]any)
		good              bool
	}{
		{"ES256", "signer", "ES256", nil, true},
		{"RS256", "signer", "RS256", nil, true},
		{"PS256", "signer", "PS256", nil, true},
		{"EdDSA", "signer", "EdDSA", nil, true},
		{"a published key", "fetched", "ES256", nil, true},
		{"without kid, one key", "sole", "ES256", setHeader("kid", nil), true},
		{"without kid, several keys", "signer", "ES256", setHeader("kid", nil), false},
		{"a key that the client does not have", "sole", "PS256", nil, false},
		{"a key that is not published", "fetched", "PS256", nil, false},
		{"HMAC", "signer", "HS256", nil, false},
		{"none", "signer", "ES256", setHeader("alg", "none"), false},
		{"another algorithm than the key's", "signer", "RS256", setHeader("alg", "PS256"), false},
		{"a kid of another key", "signer", "RS256", func(header, _ map[string]any) { header["kid"] = "x" }, false},
		{"typ missing", "signer", "ES256", setHeader("typ", nil), true},
		{"typ of its own", "signer", "ES256", setHeader("typ", "client-authentication+jwt"), true},
		{"an access token", "signer", "ES256", setHeader("typ", "at+jwt"), false},
		{"a DPoP proof", "signer", "ES256", setHeader("typ", "dpop+jwt"), false},
		{"crit", "signer", "ES256", setHeader("crit", []string{"x"}), false},

		{"aud is the token endpoint", "signer", "ES256", set("aud", tokenURL), true},
		{"aud is the endpoint that is asked", "signer", "ES256", set("aud", issuer+"/par"), true},
		{"aud is a list", "signer", "ES256", set("aud", []string{"https://other", issuer}), true},
		{"aud is another server", "signer", "ES256", set("aud", "https://other"), false},
		{"aud with a slash", "signer", "ES256", set("aud", issuer+"/"), false},
		{"aud missing", "signer", "ES256", set("aud", nil), false},
		{"aud is an empty list", "signer", "ES256", set("aud", []string{}), false},

		{"iss is another client", "signer", "ES256", set("iss", "sole"), false},
		{"iss missing", "signer", "ES256", set("iss", nil), false},
		{"sub is another client", "signer", "ES256", set("sub", "sole"), false},
		{"sub missing", "signer", "ES256", set("sub", nil), false},
		{"jti missing", "signer", "ES256", set("jti", nil), false},
		{"jti empty", "signer", "ES256", set("jti", ""), false},

		{"exp missing", "signer", "ES256", set("exp", nil), false},
		{"exp 5 minutes away", "signer", "ES256", at("exp", 300), true},
		{"exp 6 minutes away", "signer", "ES256", at("exp", 360), false},
		{"expired a second ago", "signer", "ES256", at("exp", -1), true},
		{"expired a minute ago", "signer", "ES256", at("exp", -60), false},
		{"nbf 8 s ahead", "signer", "ES256", at("nbf", 8), true},
		{"nbf over 60 s ahead", "signer", "ES256", at("nbf", 61), false},
		{"iat 8 s ahead", "signer", "ES256", at("iat", 8), true},
		{"iat over 60 s ahead", "signer", "ES256", at("iat", 61), false},
		{"iat missing", "signer", "ES256", set("iat", nil), true},

		{"FAPI", "fapi", "ES256", nil, true},
		{"FAPI, PS256", "fapi", "PS256", nil, true},
		{"FAPI, RS256", "fapi", "RS256", nil, false},
		{"FAPI, aud is a list of one", "fapi", "ES256", set("aud", []string{issuer}), false},
		{"FAPI, aud is the token endpoint", "fapi", "ES256", set("aud", tokenURL), false},
		{"FAPI, aud is the endpoint that is asked", "fapi", "ES256", set("aud", issuer+"/par"), false},

		{"a client with a secret", "secret", "ES256", nil, false},
		{"a public client", "public", "ES256", nil, false},
		{"an unknown client", "nobody", "ES256", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			raw := h.assertion(t, c.client, c.alg, c.change)
			p, problem := h.send(withAssertion(raw))
			if !c.good {
				if problem == nil || problem.Status != 401 || problem.Code != InvalidClient || problem.Challenge ||
					problem.Hint == "" || len(h.used) != 0 {
					t.Errorf("%v, used %v", problem, h.used)
				}
				return
			}
			if problem != nil || p.Client.ID != c.client || len(h.used) != 1 {
				t.Fatalf("%+v, %v", p.Client.ID, problem)
			}
			if _, problem = h.send(withAssertion(raw)); problem == nil || problem.Code != InvalidClient {
				t.Errorf("a second time: %v", problem)
			}
		})
	}
}

// TestOperatorsAreToldWhy: all that do not authenticate get one answer, and the event says what was
// wrong.
func TestOperatorsAreToldWhy(t *testing.T) {
	h := newFixture(t)
	h.known["ended"] = clients.Client{Secrets: []clients.Secret{{Number: 1, Hash: secrets.Hash(secret), Expires: noon}}}
	assertion := func(change func(header, claims map[string]any)) Form {
		return withAssertion(h.assertion(t, "signer", "ES256", change))
	}
	used := assertion(nil)
	if _, problem := h.send(used); problem != nil {
		t.Fatal(problem)
	}
	for _, c := range []struct {
		name, header string
		form         Form
		want         string
	}{
		{"an unknown client", "", Form{"client_id": "nobody", "client_secret": secret}, hintNoClient},
		{"no client", "", Form{}, hintUnnamed},
		{"another secret", "", Form{"client_id": "secret", "client_secret": "x"}, hintWrongSecret},
		{"a secret that has ended", "", Form{"client_id": "ended", "client_secret": secret}, hintEndedSecret},
		{"another one, while its own has ended", "", Form{"client_id": "ended", "client_secret": "x"}, hintWrongSecret},
		{"a header that is not Basic", "Bearer x", Form{}, hintHeader},
		{"no secret", "", Form{"client_id": "secret"},
			"the client authenticates by none, and may do so by client_secret_basic or client_secret_post"},
		{"a secret where a key is wanted", "", Form{"client_id": "signer", "client_secret": "x"},
			"the client authenticates by client_secret_post, and may do so by private_key_jwt"},
		{"a secret of a public client", "", Form{"client_id": "public", "client_secret": "x"},
			"the client authenticates by client_secret_post, and may do so by none"},
		{"not a JWT", "", withAssertion("x"), hintUnreadable},
		{"used before", "", used, hintUsed},
		{"sub", "", assertion(set("sub", "x")), hintSubject},
		{"jti", "", assertion(set("jti", nil)), hintNoID},
		{"aud", "", assertion(set("aud", "https://other")), hintAudience},
		{"exp far away", "", assertion(set("exp", noon.Unix()+360)), hintTooLong},
		{"expired", "", assertion(set("exp", noon.Unix()-60)), "assertion: expired: exp was"},
		{"type", "", assertion(setHeader("typ", "at+jwt")), "assertion: wrong_type"},
		{"key", "", assertion(setHeader("kid", "x")), "assertion: unknown_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []string
			if c.header != "" {
				lines = []string{c.header}
			}
			_, problem := h.send(c.form, lines...)
			if problem == nil || !strings.HasPrefix(problem.Hint, c.want) ||
				problem.Text != UnknownClient(false).Text {
				t.Errorf("%+v, want %q", problem, c.want)
			}
		})
	}
	h.known["paused"] = clients.Client{Secrets: h.known["secret"].Secrets}
	find := h.Find
	h.Find = func(ctx context.Context, id string) (issuance.Parties, error) {
		p, err := find(ctx, id)
		p.Client.Active = false
		return p, err
	}
	if _, problem := h.send(Form{"client_id": "paused", "client_secret": secret}); problem == nil ||
		problem.Hint != hintPaused {
		t.Errorf("a paused client: %+v", problem)
	}
}

// TestWaysOfAuthentication: exactly one, and the one that is registered.
func TestWaysOfAuthentication(t *testing.T) {
	h := newFixture(t)
	raw := h.assertion(t, "signer", "ES256", nil)
	basicOf := func(id, secret string) string {
		return "Basic " + stdB64([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
	}
	for _, c := range []struct {
		name   string
		form   Form
		header []string
		status int // 0: the client is known
		code   string
	}{
		{"an assertion and its client_id", Form{"client_id": "signer"}, nil, 0, ""},
		{"an assertion and another client_id", Form{"client_id": "sole"}, nil, 400, InvalidRequest},
		{"an assertion and a secret", Form{"client_id": "signer", "client_secret": "x"}, nil, 400, InvalidRequest},
		{"an assertion and a header", Form{}, []string{basicOf("signer", "x")}, 400, InvalidRequest},
		{"an assertion and an empty secret in the header", Form{}, []string{basicOf("signer", "")}, 400,
			InvalidRequest},
		{"an assertion without its type", Form{"client_assertion_type": ""}, nil, 400, InvalidRequest},
		{"an assertion of another type", Form{"client_assertion_type": "saml2"}, nil, 400, InvalidRequest},
		{"a type without an assertion", Form{"client_assertion": ""}, nil, 400, InvalidRequest},
		{"not a JWT", Form{"client_assertion": "x"}, nil, 401, InvalidClient},
		{"iss is a number", Form{"client_assertion": strings.Replace(raw, ".", "."+b64([]byte(`{"iss":1}`)), 1)}, nil,
			401, InvalidClient},
	} {
		t.Run(c.name, func(t *testing.T) {
			form := withAssertion(raw)
			for name, value := range c.form {
				form[name] = value
			}
			clear(h.used)
			p, problem := h.send(form, c.header...)
			if c.status == 0 {
				if problem != nil || p.Client.ID != "signer" {
					t.Errorf("%v", problem)
				}
				return
			}
			if problem == nil || problem.Status != c.status || problem.Code != c.code || len(h.used) != 0 {
				t.Errorf("%v, want %d %s", problem, c.status, c.code)
			}
		})
	}
	for _, id := range []string{"signer", "fapi"} { // registered for keys, so that nothing else is enough
		for _, form := range []Form{{"client_id": id}, {"client_id": id, "client_secret": secret}} {
			if _, problem := h.send(form); problem == nil || problem.Code != InvalidClient {
				t.Errorf("%v: %v", form, problem)
			}
		}
		if _, problem := h.send(Form{}, basicOf(id, "")); problem == nil || !problem.Challenge {
			t.Errorf("%s by an empty secret: %v", id, problem)
		}
	}
}

// TestWhatCannotBeToldIsNoRefusal: the client is asked to come again, and its assertion stays good.
func TestWhatCannotBeToldIsNoRefusal(t *testing.T) {
	down := errors.New("down")
	h := newFixture(t)
	raw := h.assertion(t, "fetched", "ES256", nil)
	for _, c := range []struct {
		name   string
		breaks func()
	}{
		{"the store", func() { h.store = down }},
		{"the publisher of keys", func() { h.publisher = down }},
		{"what was used", func() { h.UseOnce = func(context.Context, replay.Use) error { return down } }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.Keys = &keyring.Published{Sets: new(keyring.PublishedSets), Transport: h}
			c.breaks()
			if _, problem := h.send(withAssertion(raw)); problem == nil || problem.Status != 503 ||
				!errors.Is(problem, down) {
				t.Errorf("%v", problem)
			}
			h.store, h.publisher, h.UseOnce = nil, nil, h.useOnce
			h.Keys = &keyring.Published{Sets: new(keyring.PublishedSets), Transport: h}
		})
	}
	if _, problem := h.send(withAssertion(raw)); problem != nil {
		t.Errorf("afterwards: %v", problem)
	}
}

// TestKeysOfClientsThatCameByThemselves are fetched as those of publishers whom nobody knows.
func TestKeysOfClientsThatCameByThemselves(t *testing.T) {
	for _, c := range []struct {
		source string
		want   bool
	}{{"", false}, {clients.Registered, true}, {clients.MetadataDocument, true}} {
		t.Run(c.source, func(t *testing.T) {
			from := publishedBy(clients.Client{
				Settings: clients.Settings{Source: c.source, JWKSURI: "https://client.example/jwks"},
			})
			if from.Unknown != c.want || from.URL != "https://client.example/jwks" {
				t.Errorf("%+v", from)
			}
		})
	}
}

// TestAClientReplacesItsKeys: right after it was known by the old one, whether the new one has an id
// of its own, that of the old one or none. Assertions that nobody signed cause one fetch, not more.
func TestAClientReplacesItsKeys(t *testing.T) {
	for _, c := range []struct {
		name, alg string
		publish   func(set string, before, after *keyring.Key) string
		kid       func(before, after *keyring.Key) any
	}{
		{
			"another id", "PS256",
			func(set string, _, _ *keyring.Key) string { return set },
			func(_, after *keyring.Key) any { return after.ID() },
		},
		{
			"the same id, another algorithm", "PS256",
			func(set string, before, after *keyring.Key) string {
				return strings.Replace(set, after.ID(), before.ID(), 1)
			},
			func(before, _ *keyring.Key) any { return before.ID() },
		},
		{
			"the same id, the same algorithm", "other",
			func(set string, before, after *keyring.Key) string {
				return strings.Replace(set, after.ID(), before.ID(), 1)
			},
			func(before, _ *keyring.Key) any { return before.ID() },
		},
		{
			"no id", "other",
			func(set string, _, _ *keyring.Key) string { return set },
			func(_, _ *keyring.Key) any { return nil },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			other, err := keyring.Generate("ES256", noon)
			if err != nil {
				t.Fatal(err)
			}
			h.keys = maps.Clone(h.keys)
			h.keys["other"] = other
			before, after := h.keys["ES256"], h.keys[c.alg]
			byOldKey := h.assertion(t, "fetched", "ES256", set("jti", "1"))
			if _, problem := h.send(withAssertion(byOldKey)); problem != nil {
				t.Fatal(problem)
			}
			h.publishes = json.RawMessage(c.publish(string(h.jwks(t, c.alg)), before, after))
			byNewKey := h.assertion(t, "fetched", c.alg, func(header, claims map[string]any) {
				header["alg"], claims["jti"] = after.Algorithm(), "2"
				setHeader("kid", c.kid(before, after))(header, nil)
			})
			if _, problem := h.send(withAssertion(byNewKey)); problem != nil || h.fetches != 2 {
				t.Errorf("by the new key: %v, fetches %d", problem, h.fetches)
			}
			for range 3 {
				forged := h.assertion(t, "fetched", "RS256", setHeader("kid", c.kid(before, after)))
				if _, problem := h.send(withAssertion(forged)); problem == nil || h.fetches != 2 {
					t.Errorf("forged: %v, fetches %d", problem, h.fetches)
				}
			}
		})
	}
}

// Of 200 uses of one assertion at the same time one authenticates.
func TestAnAssertionAuthenticatesOnce(t *testing.T) {
	h := newFixture(t)
	raw := h.assertion(t, "signer", "ES256", nil)
	var known atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if _, problem := h.send(withAssertion(raw)); problem == nil {
				known.Add(1)
			} else if problem.Code != InvalidClient {
				t.Error(problem)
			}
		})
	}
	all.Wait()
	if known.Load() != 1 {
		t.Errorf("%d authenticated", known.Load())
	}
}

// FuzzClientAssertion: no text authenticates but the one that the client signed, nothing panics, and
// what is remembered does not grow.
func FuzzClientAssertion(f *testing.F) {
	h := newFixture(f)
	good := h.assertion(f, "signer", "ES256", nil)
	withKey := h.assertion(f, "signer", "ES256", setHeader("jwk", map[string]any{"kty": "oct"})) // which nobody reads
	for _, seed := range []string{
		withKey, good, good + "=", strings.ToUpper(good), good[:len(good)-1], "a.b.c", "..", "", "rt_x",
		h.assertion(f, "signer", "ES256", set("aud", []any{1, nil, map[string]any{}})),
		h.assertion(f, "nobody", "RS256", nil),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		clear(h.used)
		p, problem := h.send(withAssertion(raw))
		if problem != nil {
			if problem.Code != InvalidClient && problem.Code != InvalidRequest || len(h.used) > 0 {
				t.Errorf("%v, %d ids are remembered", problem, len(h.used))
			}
			return
		}
		// The signature may be another one, of the same text: ECDSA has two for each.
		input := raw[:strings.LastIndexByte(raw, '.')+1]
		ours := strings.HasPrefix(good, input) || strings.HasPrefix(withKey, input)
		if !ours || p.Client.ID != "signer" || len(h.used) != 1 {
			t.Errorf("%q authenticated as %q, %d ids are remembered", raw, p.Client.ID, len(h.used))
		}
	})
}

// FuzzSignedClientAssertion: whatever a client signs, it is the client that the assertion names, for
// this server, now, and the assertion is used up.
func FuzzSignedClientAssertion(f *testing.F) {
	h := newFixture(f)
	good := fmt.Sprintf(`{"iss":"sole","sub":"sole","aud":%q,"jti":"1","iat":%d,"exp":%d}`, issuer, noon.Unix(),
		noon.Unix()+60)
	ends := fmt.Sprintf(`"exp":%d`, noon.Unix()+60)
	f.Add(`{"alg":"ES256"}`, good)
	for _, change := range [][2]string{ // one member each: a second one of the name is refused for that
		{`"sub":"sole"`, `"sub":"fapi"`}, {`"sub":`, `"Sub":`}, {`"iss":"sole"`, `"iss":"public"`},
		{issuer, "https://other.example"}, {`"aud":"` + issuer + `"`, `"aud":["x","` + issuer + `",1]`},
		{`"jti":"1"`, `"jti":""`}, {`"jti":"1",`, ``}, {ends, `"exp":1e30`}, {ends, `"exp":1772370000`},
		{ends, `"exp":-1`}, {ends, `"exp":1`}, {`,` + ends, ``},
	} {
		f.Add(`{"alg":"ES256"}`, strings.Replace(good, change[0], change[1], 1))
	}
	for _, header := range []string{
		`{"alg":"none"}`, `{"alg":"ES256","typ":"at+jwt"}`, `{"alg":"HS256"}`, `{"alg":"ES256","crit":["exp"]}`,
		`{"alg":"ES256","jku":"https://evil.example"}`, `{"alg":"ES256","typ":"application/jwt"}`,
	} {
		f.Add(header, good)
	}
	f.Fuzz(func(t *testing.T, header, claims string) {
		input := b64([]byte(header)) + "." + b64([]byte(claims))
		signature, err := h.keys["ES256"].Sign([]byte(input))
		if err != nil {
			t.Fatal(err)
		}
		clear(h.used)
		p, problem := h.send(withAssertion(input + "." + b64(signature)))
		if problem != nil {
			if len(h.used) > 0 {
				t.Errorf("refused with %v, and %d ids are remembered", problem, len(h.used))
			}
			return
		}
		var said, of map[string]any
		if json.Unmarshal([]byte(claims), &said) != nil || json.Unmarshal([]byte(header), &of) != nil {
			t.Fatalf("%s.%s is no JSON", header, claims)
		}
		expiry, _ := said["exp"].(float64)
		ends := expiry - float64(noon.Unix())
		kind, _ := of["typ"].(string)
		id, _ := said["jti"].(string)
		if said["iss"] != p.Client.ID || said["sub"] != p.Client.ID || id == "" || of["alg"] != "ES256" ||
			ends < -skew.Seconds() || ends > (maxAssertion+skew).Seconds() || len(h.used) != 1 ||
			!strings.Contains(fmt.Sprint(said["aud"]), issuer) || strings.Contains(strings.ToLower(kind), "at+jwt") {
			t.Errorf("%s.%s authenticated as %q, %d ids are remembered", header, claims, p.Client.ID, len(h.used))
		}
	})
}

// TestSecretsInTheHeader: as RFC 6749 has them, and as they are, which many clients send. One reading alone
// counts as the secret.
func TestSecretsInTheHeader(t *testing.T) {
	h := newFixture(t)
	for _, own := range []string{"plus+slash/equals=", "percent%41", "percent%zz", "a space", "100%", "plain"} {
		h.known["odd"] = clients.Client{ID: "odd", Active: true, Secrets: []clients.Secret{{Hash: secrets.Hash(own)}}}
		for _, c := range []struct {
			sent string
			want bool
		}{
			{own, true}, {url.QueryEscape(own), true}, {url.QueryEscape(url.QueryEscape(own)), own == "plain"},
			{own + "+", false}, {"", false},
		} {
			t.Run(own+" as "+c.sent, func(t *testing.T) {
				_, problem := h.send(Form{}, "Basic "+stdB64([]byte("odd:"+c.sent)))
				if (problem == nil) != c.want {
					t.Errorf("%+v", problem)
				}
			})
		}
	}
}

// FuzzBasic: what is read of a header is what a client would have written.
func FuzzBasic(f *testing.F) {
	for _, seed := range []string{
		"Basic c3BhOg==", "bAsIc  c3BhOg==", "Basic", "Basic ???", "Bearer x", "Basic JXp6Og==", "Basic OjpjOg==", "",
		"Basic YTorLyVhJWE=", "Basic YTolMmIr",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		id, secret, plain, ok := parseBasic(line)
		if !ok {
			return
		}
		r := &http.Request{Header: http.Header{"Authorization": {line}}}
		user, password, basic := r.BasicAuth() // takes one space before the credentials
		user, errUser := url.QueryUnescape(user)
		decoded, errPassword := url.QueryUnescape(password)
		if errPassword != nil {
			decoded = password
		}
		if basic && (errUser != nil || user != id || decoded != secret || plain != "" && plain != password ||
			(plain == "") != (decoded == password)) {
			t.Errorf("%q is %q and %q, net/http reads %q and %q", line, id, secret, user, password)
		}
		again := "Basic " + stdB64([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
		if id2, secret2, _, ok := parseBasic(again); !ok || id2 != id || secret2 != secret {
			t.Errorf("%q is %q and %q, and then %q and %q", line, id, secret, id2, secret2)
		}
	})
}

// TestFormsAreRead: once each, but for what may be repeated.
func TestFormsAreRead(t *testing.T) {
	for _, c := range []struct {
		name, body, query string
		kind              string
		want              string // "" is a refusal
	}{
		{"one each", "a=1&b=2", "", "", "1 2 [] []"},
		{"an empty value", "a=&b=2", "", "", " 2 [] []"},
		{"resources", "resource=x&resource=&resource=y&audience=z", "", "", "  [x y] [z]"},
		{"a duplicate", "a=1&a=1", "", "", ""},
		{"an empty duplicate", "a=&a=", "", "", ""},
		{"a query", "a=1", "b=2", "", ""},
		{"JSON", `{"a":1}`, "", "application/json", ""},
		{"a broken escape", "a=%zz", "", "", ""},
		{"too large", "a=" + strings.Repeat("x", MaxBody), "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, tokenURL+"?"+c.query, io.NopCloser(strings.NewReader(c.body)))
			if c.query == "" {
				r.URL.RawQuery = ""
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if c.kind != "" {
				r.Header.Set("Content-Type", c.kind)
			}
			form, lists, err := ReadForm(httptest.NewRecorder(), r)
			if c.want == "" {
				if err == nil || ProblemOf(err).Code != InvalidRequest {
					t.Errorf("%v %v, %v", form, lists, err)
				}
				return
			}
			got := form["a"] + " " + form["b"] + " " + list(lists["resource"]) + " " + list(lists["audience"])
			if err != nil || got != c.want {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func list(words []string) string { return "[" + strings.Join(words, " ") + "]" }

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func stdB64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
