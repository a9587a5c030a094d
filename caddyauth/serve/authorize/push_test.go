package authorize

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
)

// push posts to /par as the client rp.
func (x *fixture) push(form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/auth/par", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !form.Has("client_secret") {
		r.SetBasicAuth("rp", "secret")
	}
	w := httptest.NewRecorder()
	x.ServeHTTP(w, r)
	return w
}

// pushed returns the request_uri of a good request.
func (x *fixture) pushedURI(t *testing.T, changes string) string {
	t.Helper()
	w := x.push(url.Values(params(t, changes)))
	var answer pushed
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusCreated ||
		answer.ExpiresIn != 300 || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s, %v", w.Code, w.Header(), w.Body, err)
	}
	if !strings.HasPrefix(answer.RequestURI, "urn:ietf:params:oauth:request_uri:") || len(answer.RequestURI) < 70 {
		t.Fatalf("request_uri %q", answer.RequestURI)
	}
	return answer.RequestURI
}

func byReference(uri, more string) string {
	return "client_id=rp&request_uri=" + url.QueryEscape(uri) + more
}

func TestPushedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newFixture(t)
		x.client.PARRequired = true
		uri := x.pushedURI(t, "nonce=pushed&client_secret=secret")
		for _, p := range x.pushed {
			if p.Parameters.Get("client_secret") != "" || p.Parameters.Get("nonce") != "pushed" || p.ClientID != "rp" {
				t.Errorf("stored %+v", p)
			}
		}
		if e := x.events[0]; e.Kind != audit.PushedRequest || e.Result != "success" || e.ClientID != "rp" {
			t.Errorf("event %+v", e)
		}

		// Until the authorization completes, it can be visited again: here before the sign-in.
		query := x.comeBack(t, byReference(uri, "&nonce=ignored&state=ignored"))
		x.session = signedIn(0)
		if got := outcome(t, x.get(query)); got != "ac_code" {
			t.Fatal(got)
		}
		if r := x.issued[0]; r.Request.Nonce != "pushed" || r.Pushed == "" || x.pushed[r.Pushed].ClientID != "rp" {
			t.Errorf("%+v", r)
		}
		if got := outcome(t, x.get(params(t, "").Encode())); got != "invalid_request" {
			t.Errorf("a request that was not pushed: %s", got)
		}
	})
}

func TestPushedRequestsThatAreOfNoUse(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(x *fixture, p *authorization.Pushed)
		wait   time.Duration
		query  string
		want   string // the word on the page
	}{
		{"good", nil, 299 * time.Second, "", ""},
		{"used", func(_ *fixture, p *authorization.Pushed) { p.Used = "h" }, 0, "", "invalid_request_uri"},
		{"expired", nil, 300 * time.Second, "", "invalid_request_uri"},
		{"of another client", func(_ *fixture, p *authorization.Pushed) { p.ClientID = "x" }, 0, "",
			"invalid_request_uri"},
		{"used meanwhile", func(x *fixture, _ *authorization.Pushed) { x.issueErr = authorization.ErrPushedUsed }, 0,
			"",
			"invalid_request_uri"},
		{"unknown", nil, 0, byReference(authorization.PushedURI("x"), ""), "invalid_request_uri"},
		{"no client", nil, 0, "request_uri=" + authorization.PushedURI("x"), "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newFixture(t)
				query := byReference(x.pushedURI(t, ""), "")
				if c.change != nil {
					for hash, p := range x.pushed {
						c.change(x, &p)
						x.pushed[hash] = p
					}
				}
				if c.query != "" {
					query = c.query
				}
				time.Sleep(c.wait)
				x.session = signedIn(0)
				w := x.get(query)
				if c.want == "" {
					if got := outcome(t, w); got != "ac_code" {
						t.Error(got)
					}
					return
				}
				if outcome(t, w) != "page" || !strings.Contains(w.Body.String(), "<code>"+c.want+"</code>") {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		})
	}
}

// TestPushIsBoundToTheKeyOfItsProof, as the parameter dpop_jkt binds it.
func TestPushIsBoundToTheKeyOfItsProof(t *testing.T) {
	key, other := dpoptest.New(t, "ES256"), dpoptest.New(t, "ES256")
	for _, c := range []struct {
		name, changes string
		proof         *dpoptest.Client
		url           string
		want          string // the thumbprint, or the word of the refusal
	}{
		{"proof", "", key, issuer + "/par", key.Thumbprint},
		{"parameter", "dpop_jkt=" + other.Thumbprint, nil, "", other.Thumbprint},
		{"both", "dpop_jkt=" + key.Thumbprint, key, issuer + "/par", key.Thumbprint},
		{"two keys", "dpop_jkt=" + other.Thumbprint, key, issuer + "/par", "invalid_dpop_proof"},
		{"proof of another address", "", key, issuer + "/token", "invalid_dpop_proof"},
		{"neither", "", nil, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(t)
			x.client.DPoPBound = true // a push needs no proof: /token demands it
			r := httptest.NewRequest(http.MethodPost, "/auth/par",
				strings.NewReader(url.Values(params(t, c.changes)).Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth("rp", "secret")
			if c.proof != nil {
				r.Header.Set("DPoP", c.proof.Proof(t, "POST", c.url, "", time.Now(), nil))
			}
			w := httptest.NewRecorder()
			x.ServeHTTP(w, r)
			got := x.events[0].Result
			for _, p := range x.pushed {
				got = p.Parameters.Get("dpop_jkt")
			}
			if got != c.want {
				t.Errorf("%s, want %s: %d %s", got, c.want, w.Code, w.Body)
			}
		})
	}
}

func TestPushesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, changes string
		with          func(r *http.Request)
		status        int
		code          string
	}{
		{"request_uri", "request_uri=" + authorization.PushedURI("x"), nil, 400, "invalid_request"},
		{"request object", "request=x", nil, 400, "request_not_supported"},
		{"redirect URI", "redirect_uri=https://evil.example", nil, 400, "invalid_redirect_uri"},
		{"response type", "response_type=token", nil, 400, "unsupported_response_type"},
		{"plain", "code_challenge_method=plain", nil, 400, "invalid_request"},
		{"another client", "client_id=x", nil, 400, "invalid_request"},
		{"wrong secret", "", func(r *http.Request) { r.SetBasicAuth("rp", "x") }, 401, "invalid_client"},
		{"unknown client", "client_id=", func(r *http.Request) { r.SetBasicAuth("x", "x") }, 401, "invalid_client"},
		{"query", "", func(r *http.Request) { r.URL.RawQuery = "a=b" }, 400, "invalid_request"},
		{"JSON", "", func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 400,
			"invalid_request"},
		{"GET", "", func(r *http.Request) { r.Method = http.MethodGet }, 405, ""},
		{"too long", "state=" + strings.Repeat("%20", authorization.MaxRequest), nil, 400, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(t)
			body := url.Values(params(t, c.changes)).Encode()
			r := httptest.NewRequest(http.MethodPost, "/auth/par", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth("rp", "secret")
			if c.with != nil {
				c.with(r)
			}
			w := httptest.NewRecorder()
			x.ServeHTTP(w, r)
			if w.Code != c.status || c.code != "" && !strings.Contains(w.Body.String(), `"error":"`+c.code+`"`) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if len(x.pushed) > 0 || len(x.events) > 0 && x.events[0].Result != c.code {
				t.Errorf("stored %+v, events %+v", x.pushed, x.events)
			}
		})
	}
}

// TestPushesOfClientsThatAnybodyCanBeAreCounted: what they push is stored, so there is a limit.
func TestPushesOfClientsThatAnybodyCanBeAreCounted(t *testing.T) {
	public := func(x *fixture) { x.client.Secrets = nil }
	selfMade := func(x *fixture) { x.client.Source = clients.Registered }
	for _, c := range []struct {
		name    string
		change  func(x *fixture)
		wait    time.Duration
		err     error
		status  int
		counted int
	}{
		{"a client of the operator's", func(*fixture) {}, time.Second, nil, 201, 0},
		{"a public one", public, 0, nil, 201, 1},
		{"a public one, too many", public, 1500 * time.Millisecond, nil, 429, 1},
		{"a public one, not known", public, 0, errors.New("down"), 503, 1},
		{"one that registered itself", selfMade, 0, nil, 201, 1},
		{"one that registered itself, too many", selfMade, 1500 * time.Millisecond, nil, 429, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(t)
			x.client.Consent = ""
			c.change(x)
			x.wait, x.rateErr = c.wait, c.err
			form := url.Values(params(t, ""))
			r := httptest.NewRequest(http.MethodPost, "/auth/par", strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if !x.client.Public() {
				r.SetBasicAuth("rp", "secret")
			}
			w := httptest.NewRecorder()
			x.ServeHTTP(w, r)
			again := map[int]string{429: "2", 503: "5"}[c.status]
			if w.Code != c.status || x.counted != c.counted || len(x.pushed) != map[int]int{201: 1}[c.status] ||
				w.Header().Get("Retry-After") != again {
				t.Errorf("%d %v %s, counted %d, stored %d", w.Code, w.Header(), w.Body, x.counted, len(x.pushed))
			}
		})
	}
}
