package oauth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/jose/token/tokentest"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
)

// memoryStore is a store without a database: what these tests need of session.Store.
type memoryStore struct {
	session.Store // the rest is not called

	mu      sync.Mutex
	grants  map[string]session.Grant
	denials revocation.DenyList
	fail    error
	writing error // of what writes alone
	uses    int   // of refresh tokens that changed something
	used    map[string]bool
}

func (m *memoryStore) locked(failure error, f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if failure != nil {
		return failure
	}
	return f()
}

func (m *memoryStore) Epoch(context.Context) (epoch int64, err error) {
	return 5, m.locked(nil, func() error { return nil })
}

func (m *memoryStore) AddGrant(_ context.Context, g session.Grant) error {
	return m.locked(m.writing, func() error { m.grants[g.ID] = g; return nil })
}

func (m *memoryStore) FindGrant(_ context.Context, id string) (g session.Grant, err error) {
	err = m.locked(nil, func() error {
		found, ok := m.grants[id]
		if !ok {
			return session.ErrNoGrant
		}
		g = found
		return nil
	})
	return g, err
}

func (m *memoryStore) RotateGrant(
	_ context.Context,
	r session.Rotation,
	now time.Time,
) (done session.Rotated, err error) {
	err = m.locked(m.writing, func() error {
		g, ok := m.grants[r.ID]
		if !ok {
			done.Verdict = session.Unknown
			return nil
		}
		done.Epoch = 5
		done.Grant, done.Verdict = g.Use(r, now)
		if done.Verdict.Honoured() {
			m.uses++
		}
		m.grants[r.ID] = done.Grant
		if done.Verdict == session.Reused {
			done.Denials = []revocation.Denial{familyDenial(g)}
		}
		return nil
	})
	return done, err
}

func (m *memoryStore) RevokeGrant(
	_ context.Context,
	id, reason string,
	now time.Time,
) (denials []revocation.Denial, err error) {
	err = m.locked(m.writing, func() error {
		g, ok := m.grants[id]
		if ok && g.Revoked.IsZero() {
			g.Revoked, g.RevokedFor = now, reason
			m.grants[id] = g
			denials = append(denials, familyDenial(g))
		}
		return nil
	})
	return denials, err
}

func familyDenial(g session.Grant) revocation.Denial {
	return revocation.Denial{Kind: revocation.FamilyKind, ID: g.ID, Until: g.AccessUntil.Add(revocation.Margin)}
}

func (m *memoryStore) RevokeToken(
	_ context.Context,
	issuer, id string,
	until, _ time.Time,
) (d revocation.Denial, err error) {
	err = m.locked(m.writing, func() error {
		d = revocation.Denial{Kind: revocation.TokenKind, Scope: issuer, ID: id, Until: until.Add(revocation.Margin)}
		return nil
	})
	return d, err
}

func (m *memoryStore) UseOnce(_ context.Context, u replay.Use) error {
	return m.locked(m.writing, func() error {
		if m.used[u.Key()] {
			return replay.ErrUsed
		}
		if m.used == nil {
			m.used = map[string]bool{}
		}
		m.used[u.Key()] = true
		return nil
	})
}

// isDenied is what is committed, of which the deny list of the node may not know.
func (m *memoryStore) isDenied(_ context.Context, b revocation.Subject) (denied bool, err error) {
	err = m.locked(nil, func() error { denied = m.denials.Denied(b) != ""; return nil })
	return denied, err
}

const (
	ownIssuer = "https://auth.example.com"
	secret    = "cacs_s+ec/ret=CANARY"
)

var known = map[string]clients.Client{
	"reports": serving("reports", "default", secret),
	"other":   serving("other", "default", "other-secret"),
	"acme":    serving("acme", "acme", "acme-secret"),
	"plain":   {ID: "plain", Project: "default", Secrets: oneSecret(secret), Active: true},
	"spa":     {ID: "spa", Project: "default", Active: true},
	"bound": {
		ID: "bound", Project: "default", Secrets: oneSecret(secret), Active: true,
		Settings: clients.Settings{DPoPBound: true},
	},
	"selfmade": {
		ID: "selfmade", Project: "default", Secrets: oneSecret(secret), Active: true,
		Settings: clients.Settings{Source: clients.Registered},
	},
	"paused":  {ID: "paused", Project: "default", Secrets: oneSecret(secret)},
	"machine": machine("machine", "default"),
	"twin":    machine("twin", "default"),
	"stopped": machine("stopped", "stopped"),
	"opaque": func() clients.Client {
		c := machine("opaque", "default")
		c.AccessTokenFormat = project.Opaque
		return c
	}(),
	"exchanger": {
		ID: "exchanger", Project: "default", Secrets: oneSecret(secret), Active: true,
		Scopes: []string{"read", "write", "offline_access"},
		Settings: clients.Settings{
			GrantTypes:    []string{clients.GrantExchange},
			TokenExchange: []string{"reports", "machine", "exchanger", "second", "paused"},
		},
	},
	"second": {
		ID: "second", Project: "default", Secrets: oneSecret(secret), Active: true, Scopes: []string{"read"},
		Settings: clients.Settings{
			GrantTypes:    []string{clients.GrantExchange},
			TokenExchange: []string{"exchanger"},
		},
	},
	"post": {
		ID: "post", Project: "default", Secrets: oneSecret(secret), Active: true,
		Settings: clients.Settings{AuthMethod: clients.AuthSecretPost},
	},
	"basic": {
		ID: "basic", Project: "default", Secrets: oneSecret(secret), Active: true,
		Settings: clients.Settings{AuthMethod: clients.AuthSecretBasic},
	},
	"keys": {
		ID: "keys", Project: "default", Active: true,
		Settings: clients.Settings{AuthMethod: clients.AuthPrivateKeyJWT},
	},
}

// serving is a client that is the resource server of the audience api.
func serving(id, slug, secret string) clients.Client {
	return clients.Client{
		ID: id, Project: slug, Secrets: oneSecret(secret), Active: true, Scopes: []string{"read"},
		Settings: clients.Settings{Introspection: []string{"api"}},
	}
}

// machine is a client that gets tokens for itself.
func machine(id, slug string) clients.Client {
	return clients.Client{
		ID: id, Project: slug, Secrets: oneSecret(secret), Active: true,
		Scopes:   []string{"openid", "read", "write"},
		Audience: []string{"api", "billing"},
		Claims:   map[string]any{"tier": "gold"},
		Settings: clients.Settings{
			GrantTypes: []string{clients.GrantClientCredentials},
			Resources:  []string{"https://api.example.com", "https://files.example.com/v1"},
		},
	}
}

func oneSecret(secret string) []clients.Secret {
	return []clients.Secret{{Number: 1, Hash: secrets.Hash(secret)}}
}

// fixture is a server with its surroundings.
type fixture struct {
	*Server
	issuance.Store // the rest is not called

	store    *memoryStore
	issuance *issuance.Service
	opaque   *opaque.Tokens
	tokens   *tokentest.Fixture
	proofs   map[string]bool // that were used
	events   []audit.Event
	answers  []string // the algorithms that signed answers

	idTokens bool // the subject token is one

	findClient, issuing, verifying, revocation error
}

func (h *fixture) useOnce(_ context.Context, u replay.Use, _ time.Time) error {
	switch {
	case h.store.writing != nil:
		return h.store.writing
	case h.proofs[u.Key()]:
		return replay.ErrUsed
	}
	h.proofs[u.Key()] = true
	return nil
}

// newFixture must be called inside the bubble of a test that uses one.
func newFixture(t testing.TB) *fixture {
	t.Helper()
	own := token.Issuer{Name: ownIssuer, Own: true, Types: []string{"at+jwt", "jwt"}}
	h := &fixture{
		tokens: tokentest.New(t, tokentest.Issuer{Issuer: own}),
		proofs: map[string]bool{},
		store:  &memoryStore{grants: map[string]session.Grant{}},
	}
	h.opaque = &opaque.Tokens{
		Secrets:  []keyring.Subkey{{ID: "1", Key: []byte(strings.Repeat("o", 32))}},
		IsDenied: h.store.isDenied,
		Issuer:   token.Issuer{Name: ownIssuer},
		Denied:   &revocation.DenyList{},
	}
	h.Server = &Server{
		Base:   &url.URL{Scheme: "https", Host: "auth.example.com", Path: "/auth"},
		Issuer: ownIssuer,
		AnswerKey: func(_ context.Context, algorithm string, _ time.Time) (*keyring.Key, error) {
			h.answers = append(h.answers, algorithm)
			return h.tokens.Key(ownIssuer), h.issuing
		},
		Sessions: &session.Service{
			Store:    h.store,
			Tokens:   session.Tokens{Secrets: []session.Secret{{ID: "1", Key: []byte(strings.Repeat("k", 32))}}},
			DenyList: h.opaque.Denied,
		},
		Clients: &clientauth.Authenticator{
			Issuer:        ownIssuer,
			TokenEndpoint: "https://auth.example.com/auth/token",
			Find: func(ctx context.Context, id string) (issuance.Parties, error) {
				return h.FindClientParties(ctx, id, id)
			},
			UseOnce: h.store.UseOnce,
			Keys:    &keyring.Published{},
		},
		Proofs: &clientauth.Proofs{
			Base:    &url.URL{Scheme: "https", Host: "auth.example.com", Path: "/auth"},
			UseOnce: h.useOnce,
		},
		Verify: h.verify, Revoked: h.revoked,
		ClientIP: func(*http.Request) string { return "192.0.2.7" },
		Events:   func(_ context.Context, e audit.Event) { h.events = append(h.events, e) },
	}
	h.issuance = &issuance.Service{
		Issuer:   ownIssuer,
		Store:    h,
		Sessions: h.Sessions,
		SigningKey: func(context.Context, time.Duration, time.Time) (*keyring.Key, error) {
			return h.tokens.Key(ownIssuer), h.issuing
		},
		Opaque: func(c token.Claims) (string, error) {
			if h.issuing != nil {
				return "", h.issuing
			}
			return h.opaque.Issue(c)
		},
	}
	h.issuance.Verify = h.verify
	h.Refresh, h.ClientCredentials = h.issuance.Refresh, h.issuance.ClientCredentials
	h.ExchangeCode = h.issuance.ExchangeCode
	h.PollDevice = h.issuance.PollDevice
	h.TokenExchange, h.IdentityAssertion = h.issuance.TokenExchange, h.issuance.IdentityAssertion
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	return h
}

// FindParties knows every user but "disabled" and those named as a client. The client spa has
// opaque tokens.
func (h *fixture) FindParties(_ context.Context, slug, clientID, name string) (issuance.Parties, error) {
	if h.store.fail != nil {
		return issuance.Parties{}, h.store.fail
	}
	p := issuance.Parties{
		Epoch:   5,
		Project: project.Project{Slug: slug, Active: true},
		Client: clients.Client{
			ID: clientID, Active: clientID != "paused",
			Scopes:   []string{"openid", "read", "write", "list", "offline_access"},
			Settings: clients.Settings{Resources: []string{"https://a.example", "https://b.example"}},
		},
	}
	if clientID == "spa" {
		p.Client.AccessTokenFormat = project.Opaque
	}
	if _, isClient := known[name]; name != "disabled" && !isClient {
		p.User = &identity.User{Name: name}
	}
	return p, nil
}

// FindClientParties knows the clients of the tests, and no person of the name of one of them but
// twin. All projects are active but stopped.
func (h *fixture) FindClientParties(_ context.Context, clientID, name string) (issuance.Parties, error) {
	c, ok := known[clientID]
	if !ok || h.findClient != nil {
		return issuance.Parties{}, h.findClient
	}
	p := issuance.Parties{
		Epoch:   5,
		Project: project.Project{Slug: c.Project, Active: c.Project != "stopped"},
		Client:  c,
	}
	if name == "twin" {
		p.User = &identity.User{Name: name}
	}
	return p, nil
}

// IsDenied implements issuance.Store.
func (h *fixture) IsDenied(_ context.Context, s revocation.Subject) (bool, error) {
	return h.Sessions.DenyList.Denied(s) != "", h.store.fail
}

// FindGrant implements issuance.Store.
func (h *fixture) FindGrant(ctx context.Context, id string) (session.Grant, error) {
	return h.store.FindGrant(ctx, id)
}

func (h *fixture) verify(ctx context.Context, raw string) (*token.Token, error) {
	if h.verifying != nil {
		return nil, h.verifying
	}
	if opaque.IsOwn(raw) {
		return h.opaque.Verify(ctx, raw)
	}
	return h.tokens.Verifier.Verify(ctx, raw)
}

func (h *fixture) revoked(t *token.Token) error {
	if h.revocation == nil && h.Sessions.DenyList.Denied(t.RevocationSubject()) != "" {
		return &token.Refusal{Reason: token.Revoked}
	}
	return h.revocation
}

// begin returns the first refresh token of a grant.
func (h *fixture) begin(t *testing.T, clientID string, scopes ...string) session.Issued {
	t.Helper()
	return h.open(t, session.GrantRequest{
		Project:  "default",
		Subject:  "alice",
		ClientID: clientID,
		Kind:     "api",
		Audience: []string{"api"},
		Scopes:   scopes,
		Access:   15 * time.Minute,
		Idle:     time.Hour,
		Absolute: 24 * time.Hour,
	})
}

func (h *fixture) open(t *testing.T, r session.GrantRequest) session.Issued {
	t.Helper()
	i, err := h.Sessions.Begin(t.Context(), r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// access returns an access token of a grant of the client.
func (h *fixture) access(t *testing.T, clientID string, scopes ...string) string {
	t.Helper()
	i := h.begin(t, clientID, scopes...)
	raw, err := h.issuance.Again(t.Context(), i.RefreshToken, 15*time.Minute, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// basic are the credentials of RFC 6749, section 2.3.1.
func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

// post sends a form; fields are names and values in turn.
func (h *fixture) post(path string, with func(*http.Request), fields ...string) *httptest.ResponseRecorder {
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Add(fields[i], fields[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, "https://auth.example.com/auth"+path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if with != nil {
		with(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func (h *fixture) last(t *testing.T) audit.Event {
	t.Helper()
	if len(h.events) == 0 {
		t.Fatal("nothing was observed")
	}
	return h.events[len(h.events)-1]
}
