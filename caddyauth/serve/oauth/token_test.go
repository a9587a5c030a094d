package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
)

// problemIn reads an error answer and what every answer must have.
func problemIn(t *testing.T, w *httptest.ResponseRecorder) (code string) {
	t.Helper()
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", w.Header())
	}
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Description == "" {
		t.Errorf("body %q: %v", w.Body, err)
	}
	if strings.Contains(w.Body.String(), "CANARY") {
		t.Errorf("a secret in %q", w.Body)
	}
	return body.Error
}

func grantedIn(t *testing.T, w *httptest.ResponseRecorder) granted {
	t.Helper()
	var g granted
	if err := json.Unmarshal(w.Body.Bytes(), &g); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %q, %v", w.Code, w.Body, err)
	}
	return g
}

func TestRefreshAnswersWithBothTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		first := h.begin(t, "reports", "read", "write")
		time.Sleep(time.Minute)
		w := h.post(
			"/token",
			basic("reports", secret),
			"grant_type",
			"refresh_token",
			"refresh_token",
			first.RefreshToken,
		)
		got := grantedIn(t, w)
		if got.TokenType != "Bearer" || got.ExpiresIn != 900 || got.Scope != "read write" {
			t.Errorf("%+v", got)
		}
		for _, c := range []struct{ name, want string }{
			{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}, {"Pragma", "no-cache"},
			{"Access-Control-Allow-Origin", "*"},
		} {
			if w.Header().Get(c.name) != c.want {
				t.Errorf("%s is %q, want %q", c.name, w.Header().Get(c.name), c.want)
			}
		}
		access, err := h.verify(t.Context(), got.AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		if epoch, _ := access.Claim("epoch"); access.Session != first.Grant.ID ||
			!access.Expiry.Time().Equal(time.Now().Add(15*time.Minute)) ||
			epoch == nil {
			t.Errorf("the access token is %+v, epoch %v", access, epoch)
		}
		e := h.last(t)
		if want := (audit.Event{
			Kind:      audit.Token,
			Result:    success,
			Verdict:   string(session.Advanced),
			GrantType: "refresh_token",
			ClientID:  "reports",
			Project:   "default",
			User:      "alice",
			ClientIP:  "192.0.2.7",
		}); e != want {
			t.Errorf("event %+v", e)
		}
		again := grantedIn(
			t,
			h.post(
				"/token",
				basic("reports", secret),
				"grant_type",
				"refresh_token",
				"refresh_token",
				got.RefreshToken,
			),
		)
		if again.RefreshToken == got.RefreshToken || again.RefreshToken == first.RefreshToken {
			t.Error("the refresh token was not replaced")
		}
	})
}

func TestClientsAuthenticate(t *testing.T) {
	for _, c := range []struct {
		name   string
		client string
		with   func(*http.Request)
		fields []string
	}{
		{"in the header", "reports", basic("reports", secret), nil},
		{"in the header, id repeated", "reports", basic("reports", secret), []string{"client_id", "reports"}},
		{"in the body", "reports", nil, []string{"client_id", "reports", "client_secret", secret}},
		{"in the body, as declared", "post", nil, []string{"client_id", "post", "client_secret", secret}},
		{"in the header, as declared", "basic", basic("basic", secret), nil},
		{"public, by name", "spa", nil, []string{"client_id", "spa"}},
		{"public, empty secret", "spa", basic("spa", ""), nil},
		{"public, empty secret in body", "spa", nil, []string{"client_id", "spa", "client_secret", ""}},
		{"first party, by name", clientauth.FirstParty, nil, []string{"client_id", clientauth.FirstParty}},
		{"first party, in the header", clientauth.FirstParty, basic(clientauth.FirstParty, ""), nil},
		{
			"scheme in another case", "spa",
			func(r *http.Request) { r.Header.Set("Authorization", "bAsIc  c3BhOg==") }, nil,
		},
		{"parameters that mean nothing", "spa", nil, []string{"client_id", "spa", "unknown", "y"}},
		{"content type with a parameter", "spa", func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		}, []string{"client_id", "spa"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			first := h.begin(t, c.client)
			w := h.post(
				"/token",
				c.with,
				append([]string{"grant_type", "refresh_token", "refresh_token", first.RefreshToken}, c.fields...)...)
			if got := grantedIn(t, w); got.AccessToken == "" || strings.Contains(w.Body.String(), `"scope"`) {
				t.Errorf("%s", w.Body)
			}
		})
	}
}

// What is refused, with which word, and that the refresh token was not used up.
func TestTokenRequestsThatAreRefused(t *testing.T) {
	header := func(value ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = value }
	}
	target := func(query string) func(*http.Request) {
		return func(r *http.Request) { basic("reports", secret)(r); r.URL.RawQuery = query }
	}
	good := basic("reports", secret)
	for _, c := range []struct {
		name      string
		with      func(*http.Request)
		fields    string // beside grant_type and refresh_token; "-grant_type" leaves that out
		status    int
		code      string
		challenge bool
	}{
		{"nobody", nil, "", 401, invalidClient, false},
		{"unknown", nil, "client_id=nobody", 401, invalidClient, false},
		{"unknown, header", basic("nobody", "x"), "", 401, invalidClient, true},
		{"id that cannot be", nil, "client_id=%00'--", 401, invalidClient, false},
		{"wrong secret", nil, "client_id=reports client_secret=wrong", 401, invalidClient, false},
		{"wrong secret, header", basic("reports", "wrong"), "", 401, invalidClient, true},
		{
			"wrong secret, not encoded", func(r *http.Request) { r.SetBasicAuth("reports", secret+"+") }, "", 401,
			invalidClient, true,
		},
		{"confidential, no secret", nil, "client_id=reports", 401, invalidClient, false},
		{"confidential, empty secret", basic("reports", ""), "", 401, invalidClient, true},
		{"public, with a secret", nil, "client_id=spa client_secret=x", 401, invalidClient, false},
		{"first party, with a secret", basic(clientauth.FirstParty, "x"), "", 401, invalidClient, true},
		{"paused", basic("paused", secret), "", 401, invalidClient, true},
		{"a header where the client posts", basic("post", secret), "", 401, invalidClient, true},
		{
			"a body where the client has a header", nil, "client_id=basic client_secret=" + secret, 401, invalidClient,
			false,
		},
		{"a client with a key, without an assertion", nil, "client_id=keys", 401, invalidClient, false},
		{"bearer scheme", header("Bearer x"), "client_id=spa", 401, invalidClient, true},
		{"no base64", header("Basic ???"), "", 401, invalidClient, true},
		{"no colon", header("Basic c3Bh"), "", 401, invalidClient, true},
		{"bad percent", header("Basic JXp6Og=="), "", 401, invalidClient, true},
		{"header twice", header("Basic c3BhOg==", "Basic c3BhOg=="), "", 400, invalidRequest, false},
		{"two methods", good, "client_secret=x", 400, invalidRequest, false},
		{"two clients", good, "client_id=spa", 400, invalidRequest, false},
		{"credentials in the query", target("client_id=reports&client_secret=x"), "", 400, invalidRequest, false},
		{"token in the query", target("refresh_token=x"), "", 400, invalidRequest, false},
		{"repeated parameter", good, "scope=read scope=read", 400, invalidRequest, false},
		{"repeated grant_type", good, "grant_type=refresh_token", 400, invalidRequest, false},
		{"repeated empty parameter", good, "x= x=", 400, invalidRequest, false},
		{"repeated refresh_token", good, "refresh_token=x", 400, invalidRequest, false},
		{"bad escape", good, "x=%zz", 400, invalidRequest, false},
		{"semicolons", good, "x=1;y=2", 400, invalidRequest, false},
		{"too large", good, "x=" + strings.Repeat("x", clientauth.MaxBody), 400, invalidRequest, false},
		{
			"JSON", func(r *http.Request) { good(r); r.Header.Set("Content-Type", "application/json") }, "", 400,
			invalidRequest, false,
		},
		{
			"no content type", func(r *http.Request) { good(r); r.Header.Del("Content-Type") }, "", 400,
			invalidRequest, false,
		},
		{"no grant type", good, "-grant_type", 400, invalidRequest, false},
		{"no refresh token", good, "-refresh_token", 400, invalidRequest, false},
		{"password grant", good, "-grant_type grant_type=password", 400, unsupportedGrantType, false},
		{"grant type in another case", good, "-grant_type grant_type=Refresh_Token", 400, unsupportedGrantType, false},
		{"wider scope", good, "scope=read+admin", 400, invalidScope, false},
		{"scope in another case", good, "scope=READ", 400, invalidScope, false},
		{"two spaces", good, "scope=read++write", 400, invalidScope, false},
		{"another client", basic("other", "other-secret"), "", 400, invalidGrant, false},
		{"another client, wider scope", basic("other", "other-secret"), "scope=admin", 400, invalidGrant, false},
		{"another client, narrower scope", basic("other", "other-secret"), "scope=read", 400, invalidGrant, false},
		{"another client's, public", nil, "client_id=spa", 400, invalidGrant, false},
		{"an access token", good, "-refresh_token refresh_token=at_x", 400, invalidGrant, false},
		{
			"a forged token", good,
			"-refresh_token refresh_token=rt_1.ABC.0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 400, invalidGrant,
			false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			first := h.begin(t, "reports", "read", "write")
			w := h.postText("/token", c.with, tokenBody(first.RefreshToken, c.fields))
			if code := problemIn(t, w); w.Code != c.status || code != c.code {
				t.Errorf("%d %s, want %d %s", w.Code, code, c.status, c.code)
			}
			challenge := w.Header().Get("WWW-Authenticate")
			if want := map[bool]string{true: `Basic realm="auth.example.com"`}[c.challenge]; challenge != want {
				t.Errorf("challenge %q, want %q", challenge, want)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Error("scripts cannot read the answer")
			}
			if e := h.last(t); len(h.events) != 1 || e.Result != c.code {
				t.Errorf("events %+v", h.events)
			}
			if g, err := h.store.FindGrant(t.Context(), first.Grant.ID); err != nil || g.Generation != 0 ||
				!g.Revoked.IsZero() ||
				h.store.uses != 0 {
				t.Errorf("the grant was touched: %+v, %v", g, err)
			}
			again := h.post("/token", good, "grant_type", "refresh_token", "refresh_token", first.RefreshToken)
			if grantedIn(t, again).AccessToken == "" {
				t.Error("the refresh token is no longer good")
			}
		})
	}
}

// tokenBody writes a form: what is needed, without the fields that begin with a minus, and the
// others behind it.
func tokenBody(refresh, fields string) string {
	base := []string{"grant_type=refresh_token", "refresh_token=" + refresh}
	for field := range strings.FieldsSeq(fields) {
		if name, out := strings.CutPrefix(field, "-"); out {
			base = slices.DeleteFunc(base, func(f string) bool { return strings.HasPrefix(f, name+"=") })
			continue
		}
		base = append(base, field)
	}
	return strings.Join(base, "&")
}

// postText sends a body as it is.
func (h *fixture) postText(path string, with func(*http.Request), body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "https://auth.example.com/auth"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if with != nil {
		with(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestScopeIsNarrowedForOneAccessToken(t *testing.T) {
	h := newFixture(t)
	first := h.begin(t, "reports", "read", "write", "list")
	got := grantedIn(
		t,
		h.post(
			"/token",
			basic("reports", secret),
			"grant_type",
			"refresh_token",
			"refresh_token",
			first.RefreshToken,
			"scope",
			"list read list",
		),
	)
	access, err := h.verify(t.Context(), got.AccessToken)
	if err != nil || got.Scope != "list read" || !slices.Equal(access.Scopes, []string{"list", "read"}) {
		t.Errorf("answer %q, token %q, %v", got.Scope, access.Scopes, err)
	}
	all := grantedIn(
		t,
		h.post("/token", basic("reports", secret), "grant_type", "refresh_token", "refresh_token", got.RefreshToken),
	)
	if all.Scope != "read write list" {
		t.Errorf("afterwards the grant has %q", all.Scope)
	}
}

func TestReuseEndsTheFamilyAndItsAccessTokens(t *testing.T) {
	h := newFixture(t)
	first := h.begin(t, "spa")
	refresh := func(raw string) *httptest.ResponseRecorder {
		return h.post("/token", nil, "grant_type", "refresh_token", "refresh_token", raw, "client_id", "spa")
	}
	second := grantedIn(t, refresh(first.RefreshToken))
	if w := refresh(first.RefreshToken); w.Code != 400 || problemIn(t, w) != invalidGrant ||
		h.last(t).Verdict != string(session.Reused) ||
		h.last(t).User != "alice" {
		t.Errorf("reuse: %d, event %+v", w.Code, h.last(t))
	}
	if w := refresh(second.RefreshToken); w.Code != 400 || problemIn(t, w) != invalidGrant ||
		h.last(t).Verdict != string(session.Ended) {
		t.Errorf("the successor: %d, event %+v", w.Code, h.last(t))
	}
	if _, err := h.verify(t.Context(), second.AccessToken); err == nil {
		t.Error("the opaque access token is still good")
	}
}

func TestRefusalsOfSessionsHaveOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		o := session.GrantRequest{
			Project:  "default",
			Subject:  "alice",
			ClientID: "spa",
			Audience: []string{"api"},
			Access:   15 * time.Minute,
			Idle:     time.Hour,
			Absolute: time.Hour,
		}
		expired := h.open(t, o)
		time.Sleep(time.Hour)
		ended := h.open(t, o)
		if err := h.Sessions.RevokeFamily(t.Context(), ended.Grant.ID, "logout", time.Now()); err != nil {
			t.Fatal(err)
		}
		disabled := h.open(t, o)
		g := h.store.grants[disabled.Grant.ID]
		g.Subject = "disabled"
		h.store.grants[g.ID] = g
		bodies := map[string]bool{}
		for _, c := range []struct {
			raw  string
			want session.Verdict
		}{
			{expired.RefreshToken, session.Expired}, {ended.RefreshToken, session.Ended},
			{disabled.RefreshToken, session.NotAllowed}, {"rt_x", session.Malformed},
			{ended.RefreshToken[:len(ended.RefreshToken)-4] + "AAAA", session.BadMAC},
		} {
			w := h.post("/token", nil, "grant_type", "refresh_token", "refresh_token", c.raw, "client_id", "spa")
			if w.Code != 400 || problemIn(t, w) != invalidGrant || h.last(t).Verdict != string(c.want) {
				t.Errorf("%s: %d, %s", c.want, w.Code, h.last(t).Verdict)
			}
			bodies[w.Body.String()] = true
		}
		if len(bodies) != 1 {
			t.Errorf("the answers differ: %v", bodies)
		}
	})
}

func TestWhatCannotBeDoneNowIs503(t *testing.T) {
	down := errors.New("the disk is full")
	for _, c := range []struct {
		name   string
		breaks func(*fixture)
		scope  string
	}{
		{"the store", func(h *fixture) { h.store.fail = down }, ""},
		{"the store, asked for scopes", func(h *fixture) { h.store.fail = down }, "read"},
		{"writing", func(h *fixture) { h.store.writing = down }, ""},
		{"clients", func(h *fixture) { h.findClient = down }, ""},
		{"issuing", func(h *fixture) { h.issuing = down }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			first := h.begin(t, "reports", "read")
			c.breaks(h)
			w := h.post(
				"/token",
				basic("reports", secret),
				"grant_type",
				"refresh_token",
				"refresh_token",
				first.RefreshToken,
				"scope",
				c.scope,
			)
			if code := problemIn(t, w); w.Code != 503 || code != temporarilyUnavailable ||
				w.Header().Get("Retry-After") != "5" {
				t.Errorf("%d %s, Retry-After %q", w.Code, code, w.Header().Get("Retry-After"))
			}
			if e := h.last(t); !errors.Is(e.Err, down) || strings.Contains(w.Body.String(), "disk") {
				t.Errorf("event %+v, body %s", e, w.Body)
			}
			// A 503 is an answer: whoever got one comes again with the same token, and must not be
			// taken for its thief.
			h.store.fail, h.store.writing, h.findClient, h.issuing = nil, nil, nil, nil
			grantedIn(
				t,
				h.post(
					"/token",
					basic("reports", secret),
					"grant_type",
					"refresh_token",
					"refresh_token",
					first.RefreshToken,
				),
			)
		})
	}
}
