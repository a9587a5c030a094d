package authorize

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
)

const (
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636, appendix B
	callback  = "https://rp.example/cb?tenant=1"
	issuer    = "https://auth.example.com/auth"
)

// fixture is a server with one relying party and one person.
type fixture struct {
	*Server
	client  clients.Client
	session *Session
	consent consent.Consent
	pushed  map[string]authorization.Pushed

	issued []issuance.CodeRequest
	given  []consent.Consent
	events []audit.Event

	counted int           // pushed requests
	wait    time.Duration // until the next one

	findErr, sessionErr, issueErr, consentErr, giveErr, rateErr error
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	x := &fixture{
		client: clients.Client{
			ID:       "rp",
			Project:  "default",
			Name:     "Reports",
			Secrets:  []clients.Secret{{Number: 1, Hash: secrets.Hash("secret")}},
			Scopes:   []string{"openid", "read"},
			Active:   true,
			Settings: clients.Settings{RedirectURIs: []string{callback}, Consent: clients.ConsentOff},
		},
		pushed: map[string]authorization.Pushed{},
	}
	x.Server = &Server{
		Base:     &url.URL{Scheme: "https", Host: "auth.example.com", Path: "/auth"},
		Issuer:   issuer,
		Project:  "default",
		Find:     x.find,
		Session:  func(http.ResponseWriter, *http.Request) (*Session, error) { return x.session, x.sessionErr },
		Issue:    x.issue,
		Consents: x,
		Pushed:   x,
		Authenticator: &clientauth.Authenticator{
			Issuer:        issuer,
			TokenEndpoint: issuer + "/token",
			Find: func(ctx context.Context, id string) (issuance.Parties, error) {
				return x.find(ctx, "default", id, "")
			},
			UseOnce: func(context.Context, replay.Use) error { return errors.New("no assertions here") },
			Keys:    new(keyring.Published),
		},
		Proofs: &clientauth.Proofs{
			Base:    &url.URL{Scheme: "https", Host: "auth.example.com", Path: "/auth"},
			UseOnce: func(context.Context, replay.Use, time.Time) error { return nil },
		},
		PushRate: func(context.Context, string, time.Time) (time.Duration, error) {
			x.counted++
			return x.wait, x.rateErr
		},
		Visits: session.Tokens{Secrets: []session.Secret{{ID: "1", Key: []byte("0123456789abcdef0123456789abcdef")}}},
		Events: func(_ context.Context, e audit.Event) { x.events = append(x.events, e) },
	}
	if err := x.Validate(); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *fixture) find(_ context.Context, _, clientID, account string) (issuance.Parties, error) {
	p := issuance.Parties{Epoch: 5, Project: project.Project{Slug: "default", Active: true}}
	if clientID == x.client.ID {
		p.Client = x.client
	}
	if account == "alice" {
		p.User = &identity.User{ID: "u", Name: "Alice"}
	}
	return p, x.findErr
}

func (x *fixture) issue(_ context.Context, r issuance.CodeRequest) (string, error) {
	if x.issueErr != nil {
		return "", x.issueErr
	}
	x.issued = append(x.issued, r)
	return "ac_code", nil
}

func (x *fixture) FindConsent(context.Context, string, string) (consent.Consent, error) {
	if x.consentErr != nil {
		return consent.Consent{}, x.consentErr
	}
	return x.consent, nil
}

func (x *fixture) GiveConsent(_ context.Context, c consent.Consent) error {
	x.given = append(x.given, c)
	if x.giveErr == nil {
		x.consent, x.consentErr = x.consent.With(c.Scopes, c.Resources, c.Since), nil
	}
	return x.giveErr
}

func (x *fixture) AddPushed(_ context.Context, p authorization.Pushed) error {
	x.pushed[p.Hash] = p
	return x.findErr
}

func (x *fixture) FindPushed(_ context.Context, hash string) (authorization.Pushed, error) {
	p, ok := x.pushed[hash]
	if !ok {
		return p, authorization.ErrNoPushed
	}
	return p, nil
}

// signedIn is a session of Alice that began some time ago.
func signedIn(ago time.Duration) *Session {
	return &Session{
		Subject:  "Alice",
		Project:  "default",
		ID:       "sso",
		TokenID:  "jti",
		Epoch:    3,
		AuthTime: time.Now().Add(-ago).Truncate(time.Second),
		ACR:      "pwd",
		AMR:      []string{"pwd"},
	}
}

// params are those of a good request, changed as a query says; a name alone takes a parameter out.
func params(t *testing.T, changes string) authorization.Parameters {
	t.Helper()
	p := authorization.Parameters{
		"response_type":         {"code"},
		"client_id":             {"rp"},
		"redirect_uri":          {callback},
		"scope":                 {"openid"},
		"state":                 {"a b&c"},
		"code_challenge":        {challenge},
		"code_challenge_method": {"S256"},
	}
	values, err := url.ParseQuery(changes)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(p, authorization.Parameters(values))
	maps.DeleteFunc(p, func(_ string, v []string) bool { return len(v) == 1 && v[0] == "" })
	return p
}

func (x *fixture) get(query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	x.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://auth.example.com/auth/authorize?"+query, nil))
	return w
}

// sentTo is where an answer led when it was written: afterwards the header holds no query.
func sentTo(t *testing.T, w *httptest.ResponseRecorder) *url.URL {
	t.Helper()
	u, err := url.Parse(w.Result().Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// outcome says in a word what became of a request: page, login, consent, or what the client was told.
func outcome(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	to := sentTo(t, w)
	switch {
	case w.Code == http.StatusOK && strings.Contains(w.Body.String(), "data-send"):
		return "form"
	case w.Code != http.StatusSeeOther:
		return "page"
	case to.Path == "/auth/login" && to.Query().Has("switch"):
		return "login again"
	case to.Path == "/auth/login":
		return "login"
	case to.Path == "/auth/consent":
		return "consent"
	}
	q := to.Query()
	if to.Host != "rp.example" || q.Get("tenant") != "1" || q.Get("iss") != issuer || q.Get("state") != "a b&c" {
		t.Errorf("sent to %v", to)
	}
	if q.Has("code") == q.Has("error") {
		t.Errorf("sent to %v", to)
	}
	return q.Get("error") + q.Get("code")
}

func TestWhatBecomesOfARequest(t *testing.T) {
	const code = "ac_code"
	essential := "&claims=" + url.QueryEscape(`{"id_token":{"acr":{"essential":true,"values":["mfa"]}}}`)
	for _, c := range []struct {
		name, changes string
		session       *Session
		change        func(x *fixture)
		want          string
	}{
		{"signed in", "", signedIn(time.Hour), nil, code},
		{"signed out", "", nil, nil, "login"},
		{"signed out, no page", "prompt=none", nil, nil, "login_required"},
		{"no page", "prompt=none", signedIn(time.Hour), nil, code},
		{"again", "prompt=login", signedIn(time.Second), nil, "login again"},
		{"another account", "prompt=select_account", signedIn(time.Second), nil, "login again"},
		{"too long ago", "max_age=60", signedIn(2 * time.Minute), nil, "login again"},
		{"too long ago, no page", "max_age=60&prompt=none", signedIn(2 * time.Minute), nil, "login_required"},
		{"not too long ago", "max_age=600", signedIn(2 * time.Minute), nil, code},
		{"no age at all", "max_age=0", signedIn(0), nil, "login again"},
		{"nobody knows when", "max_age=600", &Session{Subject: "Alice", Project: "default", ID: "sso"}, nil,
			"login again"},
		{"of another project", "", &Session{Subject: "Alice", Project: "acme", ID: "sso"}, nil, "login again"},
		{"who is there no more", "", &Session{Subject: "Bob", Project: "default", ID: "sso"}, nil, "login again"},
		{"hint", "id_token_hint=Alice", signedIn(0), nil, code},
		{"hint of another person", "id_token_hint=Bob", signedIn(0), nil, "login_required"},
		{"hint of another person, no page", "id_token_hint=Bob&prompt=none", signedIn(0), nil, "login_required"},
		{"hint that is none", "id_token_hint=x", signedIn(0), nil, "invalid_request"},
		{"hint, signed out", "id_token_hint=Alice", nil, nil, "login"},
		{"acr that is wished for", "acr_values=mfa", signedIn(0), nil, code},
		{"acr that is demanded", essential, signedIn(0), nil, "unmet_authentication_requirements"},
		{"consent never asked", "", signedIn(0), asks(consent.ErrNotFound, clients.ConsentOnce), "consent"},
		{"consent, no page", "prompt=none", signedIn(0), asks(consent.ErrNotFound, clients.ConsentOnce),
			"consent_required"},
		{"consent remembered", "", signedIn(0), asks(nil, clients.ConsentOnce), code},
		{"consent remembered for less", "scope=openid+read", signedIn(0), asks(nil, clients.ConsentOnce), "consent"},
		{"consent each time", "", signedIn(0), asks(nil, clients.ConsentAlways), "consent"},
		{"consent anew", "prompt=consent", signedIn(0), asks(nil, clients.ConsentOnce), "consent"},
		{"consent unknown", "", signedIn(0), asks(errors.New("down"), clients.ConsentOnce), "page"},
		{"project without sign-in", "", signedIn(0), func(x *fixture) { x.client.Project = "acme" },
			"unauthorized_client"},
		{"invalid", "response_type=token", signedIn(0), nil, "unsupported_response_type"},
		{"by form", "response_mode=form_post", signedIn(0), nil, "form"},
		{"client unknown", "client_id=x", signedIn(0), nil, "page"},
		{"client missing", "client_id=", signedIn(0), nil, "page"},
		{"client paused", "", signedIn(0), func(x *fixture) { x.client.Active = false }, "page"},
		{"first party", "client_id=caddyauth", signedIn(0), func(x *fixture) { x.client.ID = "caddyauth" }, "page"},
		{"redirect", "redirect_uri=https://evil.example", signedIn(0), nil, "page"},
		{"store down", "", signedIn(0), func(x *fixture) { x.findErr = errors.New("down") }, "page"},
		{"session unknown", "", signedIn(0), func(x *fixture) { x.sessionErr = errors.New("down") }, "page"},
		{"no code", "", signedIn(0), func(x *fixture) { x.issueErr = errors.New("down") }, "temporarily_unavailable"},
		{"audience", "", signedIn(0), func(x *fixture) { x.issueErr = issuance.ErrAudience }, "invalid_target"},
		{"ended meanwhile", "", signedIn(0), func(x *fixture) { x.issueErr = &session.Refusal{} }, "login again"},
		{"ended meanwhile, no page", "prompt=none", signedIn(0),
			func(x *fixture) { x.issueErr = &session.Refusal{} }, "login_required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(t)
			x.session = c.session
			x.Hint = func(_ context.Context, hint string) (string, error) {
				if hint == "x" {
					return "", errors.New("none")
				}
				return hint, nil
			}
			if c.change != nil {
				c.change(x)
			}
			w := x.get(params(t, c.changes).Encode())
			if got := outcome(t, w); got != c.want {
				t.Errorf("%s, want %s: %d %s", got, c.want, w.Code, w.Body)
			}
			if h := w.Result().Header; h.Get("Cache-Control") != "no-store" ||
				h.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("headers %v", h)
			}
			decided := !strings.HasPrefix(c.want, "login") || c.want == "login_required"
			if decided = decided && c.want != "consent"; len(x.events) > 1 || (len(x.events) == 1) != decided {
				t.Errorf("events %+v", x.events)
			}
			if (len(x.issued) > 0) != (c.want == code || c.want == "form") {
				t.Errorf("issued %+v", x.issued)
			}
		})
	}
}

// asks makes the client one that needs consent. openid was given, unless an error is.
func asks(err error, policy string) func(x *fixture) {
	return func(x *fixture) {
		x.client.Consent, x.consentErr = policy, err
		x.consent = consent.Consent{Scopes: []string{"openid"}}
	}
}

func TestCodeIsAskedForWithTheSession(t *testing.T) {
	x := newFixture(t)
	x.session = signedIn(time.Minute)
	x.get(params(t, "nonce=n").Encode())
	if len(x.issued) != 1 {
		t.Fatalf("issued %+v", x.issued)
	}
	r := x.issued[0]
	if r.Subject != "Alice" || r.Session != "sso" || r.Epoch != 3 || !r.AuthTime.Equal(x.session.AuthTime) ||
		r.ACR != "pwd" || len(r.AMR) != 1 || r.Request.Nonce != "n" || r.Parties.User.ID != "u" || r.Pushed != "" {
		t.Errorf("%+v", r)
	}
	if e := x.events[0]; e.Kind != audit.Authorize || e.Result != "success" || e.User != "Alice" ||
		e.ClientID != "rp" ||
		e.Project != "default" {
		t.Errorf("event %+v", e)
	}
}

// TestCodeIsGoneFromTheHeaderOnceItIsSent: an access log writes the header afterwards.
func TestCodeIsGoneFromTheHeaderOnceItIsSent(t *testing.T) {
	x := newFixture(t)
	x.session = signedIn(time.Minute)
	w := x.get(params(t, "").Encode())
	if got := w.Header().Get("Location"); got != "https://rp.example/cb" {
		t.Errorf("the header still says %q", got)
	}
	if got := sentTo(t, w).Query().Get("code"); got != "ac_code" {
		t.Errorf("the code was not sent: %q", got)
	}
}

func TestHeadUsesNothingUp(t *testing.T) {
	x := newFixture(t)
	x.session = signedIn(time.Minute)
	w := httptest.NewRecorder()
	x.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/auth/authorize?"+params(t, "").Encode(), nil))
	if w.Code != http.StatusMethodNotAllowed || len(x.issued) > 0 {
		t.Errorf("%d, issued %+v", w.Code, x.issued)
	}
}

func TestPostBecomesAnAddress(t *testing.T) {
	form := "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name, query, contentType, body string
		status                         int
	}{
		{"form", "", form, params(t, "resource=a&resource=b").Encode(), 303},
		{"query", "?client_id=rp", form, params(t, "").Encode(), 400},
		{"JSON", "", "application/json", "{}", 400},
		{"escape", "", form, "a=%zz", 400},
		{"too long", "", form, "state=" + strings.Repeat("x", authorization.MaxRequest), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(t)
			r := httptest.NewRequest(http.MethodPost, "/auth/authorize"+c.query, strings.NewReader(c.body))
			r.Header.Set("Content-Type", c.contentType)
			r.Header.Set("Sec-Fetch-Site", "cross-site") // an application's own form
			w := httptest.NewRecorder()
			x.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if to := sentTo(t, w); c.status == 303 && (to.Path != "/auth/authorize" || to.RawQuery != c.body) {
				t.Errorf("sent to %v", to)
			}
		})
	}
}

func TestAnswersByForm(t *testing.T) {
	x := newFixture(t)
	x.session = signedIn(time.Minute)
	w := x.get(params(t, "response_mode=form_post&state=%22%3E%3Cscript%3E").Encode())
	body := w.Body.String()
	for _, want := range []string{
		`action="` + strings.ReplaceAll(callback, "&", "&amp;") + `"`, `name="code" value="ac_code"`,
		`name="iss" value="` + issuer + `"`, `name="state" value="&#34;&gt;&lt;script&gt;"`, `<button type="submit"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing: %s", want, body)
		}
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https:;") {
		t.Error(policy)
	}
	w = x.get(params(t, "response_mode=form_post&response_type=token").Encode())
	if body := w.Body.String(); !strings.Contains(body, `name="error" value="unsupported_response_type"`) {
		t.Error(body)
	}
}
