package registration

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

// memory is a store of registrations in memory. What must be atomic is tested with the databases.
type memory struct {
	clients       map[string]clients.Client
	registrations map[string]clients.Registration
	revoked       []string
	failing       error
}

func newMemory() *memory {
	return &memory{clients: map[string]clients.Client{}, registrations: map[string]clients.Registration{}}
}

func (m *memory) AddRegistered(
	_ context.Context,
	c clients.Client,
	r clients.Registration,
) (clients.Client, error) {
	for id, known := range m.registrations {
		if r.Fingerprint != "" && known.Fingerprint == r.Fingerprint {
			return m.clients[id], nil
		}
	}
	m.clients[c.ID], m.registrations[c.ID] = c, r
	return c, m.failing
}

func (m *memory) FindRegistered(_ context.Context, id string) (clients.Client, clients.Registration, error) {
	c, ok := m.clients[id]
	if !ok {
		return c, clients.Registration{}, errors.Join(m.failing, clients.ErrNotFound)
	}
	return c, m.registrations[id], nil
}

func (m *memory) ChangeRegistered(_ context.Context, c clients.Client, _ time.Time) (clients.Client, error) {
	if m.clients[c.ID].Version != c.Version {
		return c, project.ErrChanged
	}
	c.Version++
	m.clients[c.ID] = c
	return c, nil
}

func (m *memory) RemoveClient(_ context.Context, id string, _ int64) error {
	delete(m.clients, id)
	delete(m.registrations, id)
	return nil
}

func (m *memory) PutDocument(_ context.Context, c clients.Client, r clients.Registration, _ time.Time) error {
	m.clients[c.ID], m.registrations[c.ID] = c, r
	return m.failing
}

const initialToken = "an initial access token of 32 bytes"

// server is one that lets anybody register.
type server struct {
	*Server
	store  *memory
	events []audit.Event
	wait   time.Duration
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{store: newMemory()}
	s.Server = &Server{
		Base: &url.URL{Scheme: "https", Host: "as.example", Path: "/auth"},
		Open: true,
		Terms: Terms{
			Project:   project.Default,
			Scopes:    []string{"openid", "read"},
			Resources: []string{"https://mcp.example"},
		},
		Store: s.store,
		Take:  func(context.Context, string, time.Time) (time.Duration, error) { return s.wait, nil },
		Revoke: func(_ context.Context, _, id, _ string) error {
			s.store.revoked = append(s.store.revoked, id)
			return nil
		},
		Events: func(_ context.Context, e audit.Event) { s.events = append(s.events, e) },
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

// asks sends a request; the header are names and values in turn.
func (s *server) asks(t *testing.T, method, path, body string, header ...string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, "/auth"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var answer map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
		}
	}
	if w.Code != http.StatusNoContent && w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s: %v", method, path, w.Header())
	}
	return w.Code, answer
}

const public = `"redirect_uris":["http://127.0.0.1/cb"],"token_endpoint_auth_method":"none"`

// TestRegistrationDuties are the rules of RFC 7591, section 2 and 3, and of OpenID Connect Dynamic
// Client Registration 1.0, section 2.
func TestRegistrationDuties(t *testing.T) {
	redirect := func(uri string) string {
		return `{"redirect_uris":["` + uri + `"],"token_endpoint_auth_method":"none"}`
	}
	for _, c := range []struct {
		name, body string
		status     int
		want       string // the error, or empty
	}{
		{"loopback", "{" + public + "}", 201, ""},
		{"https", redirect("https://app.example/cb"), 201, ""},
		{"private-use scheme", redirect("com.example.app:/cb"), 201, ""},
		{"plain http", redirect("http://app.example/cb"), 400, invalidRedirectURI},
		{"javascript", redirect("javascript:alert(1)"), 400, invalidRedirectURI},
		{"scheme without a dot", redirect("app:/cb"), 400, invalidRedirectURI},
		{"fragment", redirect("https://app.example/cb#x"), 400, invalidRedirectURI},
		{"user name", redirect("https://a@app.example/cb"), 400, invalidRedirectURI},
		{"wildcard host", redirect("https://*.example/cb"), 400, invalidRedirectURI},
		{"no redirect URI", `{"token_endpoint_auth_method":"none"}`, 400, invalidRedirectURI},
		{"redirect URI as a text", `{"redirect_uris":"https://app.example/cb"}`, 400, invalidRedirectURI},
		{"device grant alone", `{"grant_types":["urn:ietf:params:oauth:grant-type:device_code"],` +
			`"token_endpoint_auth_method":"none"}`, 201, ""},
		{"web on loopback", `{"application_type":"web",` + public + `}`, 400, invalidRedirectURI},
		{"native", `{"application_type":"native",` + public + `}`, 201, ""},
		{"another application type", `{"application_type":"tv",` + public + `}`, 400, invalidMetadata},
		{"implicit", `{"response_types":["token"],` + public + `}`, 400, invalidMetadata},
		{"code among others", `{"response_types":["code","token"],` + public + `}`, 201, ""},
		{"no grant offered", `{"grant_types":["client_credentials","implicit"],` + public + `}`, 400, invalidMetadata},
		{"pairwise", `{"subject_type":"pairwise",` + public + `}`, 400, invalidMetadata},
		{"unsigned ID tokens", `{"id_token_signed_response_alg":"none",` + public + `}`, 400, invalidMetadata},
		{"unknown way to authenticate", `{"token_endpoint_auth_method":"client_secret_jwt"}`, 400, invalidMetadata},
		{"a certificate without a name", `{"redirect_uris":["https://a.example/"],` +
			`"token_endpoint_auth_method":"tls_client_auth"}`, 400, invalidMetadata},
		{"a certificate", `{"redirect_uris":["https://a.example/"],"token_endpoint_auth_method":"tls_client_auth",` +
			`"tls_client_auth_san_dns":"a.example","tls_client_certificate_bound_access_tokens":true}`, 201, ""},
		{"a self-signed certificate", `{"redirect_uris":["https://a.example/"],` +
			`"token_endpoint_auth_method":"self_signed_tls_client_auth","jwks_uri":"https://a.example/keys"}`, 201, ""},
		{"private_key_jwt without keys", `{"redirect_uris":["https://a.example/"],` +
			`"token_endpoint_auth_method":"private_key_jwt"}`, 400, invalidMetadata},
		{"private_key_jwt", `{"redirect_uris":["https://a.example/"],"token_endpoint_auth_method":"private_key_jwt",` +
			`"jwks_uri":"https://a.example/keys"}`, 201, ""},
		{"keys on this machine", `{"redirect_uris":["https://a.example/"],"jwks_uri":"http://localhost/keys",` +
			`"token_endpoint_auth_method":"private_key_jwt"}`, 400, invalidMetadata},
		{"private key", `{"redirect_uris":["https://a.example/"],"jwks":{"keys":[{"kty":"EC","d":"x"}]},` +
			`"token_endpoint_auth_method":"private_key_jwt"}`, 400, invalidMetadata},
		{"unknown members", `{"software_id":"x","software_statement":"y","logo_uri":"javascript:x","contacts":[1],` +
			`"x":{"y":[]},` + public + `}`, 201, ""},
		{"null is absent", `{"client_name":null,"jwks":null,` + public + `}`, 201, ""},
		{"name with a line end", `{"client_name":"a\nb",` + public + `}`, 400, invalidMetadata},
		{"name that turns the text around", `{"client_name":"a\u202eb",` + public + `}`, 400, invalidMetadata},
		{"name with what is not seen", `{"client_name":"a\u200bb",` + public + `}`, 400, invalidMetadata},
		{"name that is blank", `{"client_name":"\u2800",` + public + `}`, 400, invalidMetadata},
		{"name of a letter that is blank", `{"client_name":"\u3164",` + public + `}`, 400, invalidMetadata},
		{"name of spaces", `{"client_name":"  ",` + public + `}`, 400, invalidMetadata},
		{"name of a mark alone", `{"client_name":"\u0301",` + public + `}`, 400, invalidMetadata},
		{"name with a joiner", `{"client_name":"a\u034fb",` + public + `}`, 400, invalidMetadata},
		{"name with a variation selector", `{"client_name":"a\udb40\udd00b",` + public + `}`, 400, invalidMetadata},
		{"name with a tower of marks", `{"client_name":"a` + strings.Repeat("\u0301", 5) + `",` + public + `}`, 400,
			invalidMetadata},
		{"name with the marks of a language", `{"client_name":"Viê\u0323t\u0323 ก\u0e35\u0e48",` + public + `}`, 201,
			""},
		{"name with a picture", `{"client_name":"I \u2764\ufe0f NY",` + public + `}`, 201, ""},
		{"name of other letters", `{"client_name":"Bücher & Söhne 図書",` + public + `}`, 201, ""},
		{"name of 201 bytes", `{"client_name":"` + strings.Repeat("a", 201) + `",` + public + `}`, 400,
			invalidMetadata},
		{"duplicate member", `{"client_name":"a","client_name":"b",` + public + `}`, 400, invalidMetadata},
		{"no object", `[]`, 400, invalidMetadata},
		{"above 64 KiB", `{"x":"` + strings.Repeat("a", maxBody) + `",` + public + `}`, 413, invalidMetadata},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			status, answer := s.asks(t, "POST", "/register", c.body)
			code, _ := answer["error"].(string)
			if status != c.status || code != c.want || len(s.store.clients) != map[bool]int{true: 1}[c.want == ""] {
				t.Fatalf("answered %d %v, want %d %s; stored %d", status, answer, c.status, c.want,
					len(s.store.clients))
			}
			want := audit.Event{Result: "success", Status: 201, Recorded: true}
			if c.want != "" {
				want = audit.Event{Result: c.want, Status: c.status}
			}
			if e := s.events[0]; len(s.events) != 1 || e.Result != want.Result || e.Status != want.Status ||
				e.Recorded != want.Recorded || e.Kind != audit.Registration {
				t.Errorf("reported %+v", s.events)
			}
		})
	}
}

// TestWhatAPublicClientGets: nothing secret, and what the server decides.
func TestWhatAPublicClientGets(t *testing.T) {
	s := newServer(t)
	_, answer := s.asks(t, "POST", "/register", `{"scope":"read admin","client_name":"Tool",`+
		`"grant_types":["authorization_code","client_credentials","refresh_token"],`+public+`}`)
	id, _ := answer["client_id"].(string)
	delete(answer, "client_id")
	delete(answer, "client_id_issued_at")
	got, _ := json.Marshal(answer)
	const want = `{"client_name":"Tool","grant_types":["authorization_code","refresh_token"],` +
		`"id_token_signed_response_alg":"RS256","redirect_uris":["http://127.0.0.1/cb"],"response_types":["code"],` +
		`"scope":"openid read","token_endpoint_auth_method":"none"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c := s.store.clients[id]
	if !c.Public() || !c.SelfRegistered() || c.AllowsGrant(clients.GrantClientCredentials) ||
		c.Project != project.Default || !slices.Equal(c.Scopes, s.Terms.Scopes) ||
		!slices.Equal(c.Resources, s.Terms.Resources) {
		t.Errorf("stored %+v", c)
	}
}

func TestIdenticalPublicClientsAreOne(t *testing.T) {
	s := newServer(t)
	ids := map[any]bool{}
	for _, body := range []string{
		"{" + public + "}", `{"software_version":"2",` + public + "}", `{"scope":"read",` + public + "}",
	} {
		_, answer := s.asks(t, "POST", "/register", body)
		ids[answer["client_id"]] = true
	}
	if len(ids) != 1 || len(s.store.clients) != 1 {
		t.Errorf("identical registrations made %d clients", len(ids))
	}
	_, named := s.asks(t, "POST", "/register", `{"client_name":"b",`+public+"}")
	s.Terms.Scopes = []string{"write"}
	_, allowed := s.asks(t, "POST", "/register", "{"+public+"}")
	if ids[named["client_id"]] || ids[allowed["client_id"]] {
		t.Error("a client with another name, or with other scopes, is the same")
	}
	const confidential = `{"redirect_uris":["https://a.example/cb"]}`
	_, one := s.asks(t, "POST", "/register", confidential)
	_, two := s.asks(t, "POST", "/register", confidential)
	if one["client_id"] == two["client_id"] || one["client_secret"] == two["client_secret"] {
		t.Error("two clients with secrets are one")
	}
}

// TestWhoMayRegister: with an initial access token, or up to the limit.
func TestWhoMayRegister(t *testing.T) {
	for _, c := range []struct {
		name, authorization string
		open                bool
		wait                time.Duration
		status              int
	}{
		{"open", "", true, 0, 201},
		{"the token", "Bearer " + initialToken, false, 0, 201},
		{"the token, in lower case", "bearer " + initialToken, false, 0, 201},
		{"no token", "", false, 0, 401},
		{"an empty token", "Bearer ", false, 0, 401},
		{"another token", "Bearer x" + initialToken, false, 0, 401},
		{"another scheme", "Basic " + initialToken, false, 0, 401},
		{"too many", "", true, 90 * time.Second, 429},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			s.wait, s.Open = c.wait, c.open
			if !c.open {
				s.InitialTokens = []string{
					secrets.Hash("another one of the initial access tokens"), secrets.Hash(initialToken),
				}
			}
			status, answer := s.asks(t, "POST", "/register", "{"+public+"}", "Authorization", c.authorization)
			if status != c.status || len(s.store.clients) != map[int]int{201: 1}[status] {
				t.Errorf("answered %d %v", status, answer)
			}
		})
	}
}

// TestNoMoreClientsThanTheServerKeeps: the caller is told what is the matter, and the event has it.
func TestNoMoreClientsThanTheServerKeeps(t *testing.T) {
	s := newServer(t)
	s.MaxClients, s.store.failing = 7, clients.ErrTooMany
	status, answer := s.asks(t, "POST", "/register", "{"+public+"}")
	if e := s.events[len(s.events)-1]; status != 503 || answer["error"] != "too_many_clients" ||
		e.Result != "too_many_clients" || e.Recorded || e.Err != nil {
		t.Errorf("%d %v, event %+v", status, answer, e)
	}
	for _, r := range s.store.registrations {
		if r.AtMost != 7 {
			t.Errorf("%+v", r)
		}
	}
}

// TestChangesAreCounted: where anybody may register, anybody holds a registration access token, and
// each change is a line of the audit trail.
func TestChangesAreCounted(t *testing.T) {
	s := newServer(t)
	_, made := s.asks(t, "POST", "/register", `{"redirect_uris":["https://a.example/cb"]}`)
	path, token := "/register/"+made["client_id"].(string), "Bearer "+made["registration_access_token"].(string)
	change := `{"client_id":"` + made["client_id"].(string) + `","redirect_uris":["https://b.example/cb"]}`
	s.wait = 90 * time.Second
	for _, c := range []struct {
		name, authorization string
		status              int
	}{
		{"of a stranger", "Bearer cart_x", 401},
		{"too many", token, 429},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, answer := s.asks(t, "PUT", path, change, "Authorization", c.authorization)
			client := s.store.clients[made["client_id"].(string)]
			if status != c.status || client.Version != 1 || s.events[len(s.events)-1].Recorded {
				t.Errorf("answered %d %v, %+v", status, answer, client)
			}
		})
	}
}

func TestRedirectHosts(t *testing.T) {
	s := newServer(t)
	s.RedirectHosts = []string{"app.example", "*.partner.example"}
	for _, c := range []struct {
		uri    string
		status int
	}{
		{"https://app.example/cb", 201},
		{"https://app.example:8443/cb", 201},
		{"https://a.partner.example/cb", 201},
		{"https://a.b.partner.example/cb", 201},
		{"https://partner.example/cb", 400},
		{"https://evilpartner.example/cb", 400},
		{"https://app.example.evil.example/cb", 400},
		{"https://x.app.example/cb", 400},
		{"http://localhost/cb", 201},
		{"com.example.app:/cb", 201},
	} {
		t.Run(c.uri, func(t *testing.T) {
			status, answer := s.asks(t, "POST", "/register", `{"redirect_uris":["`+c.uri+`"]}`)
			if status != c.status {
				t.Errorf("answered %d %v", status, answer)
			}
		})
	}
}

// TestOwnRegistration are the rules of RFC 7592.
func TestOwnRegistration(t *testing.T) {
	s := newServer(t)
	_, made := s.asks(t, "POST", "/register", `{"client_name":"A","redirect_uris":["https://a.example/cb"]}`)
	id, secret := made["client_id"].(string), made["client_secret"].(string)
	token := made["registration_access_token"].(string)
	path := "/register/" + id
	if made["registration_client_uri"] != "https://as.example/auth"+path || made["client_secret_expires_at"] != 0.0 ||
		made["token_endpoint_auth_method"] != clients.AuthSecretBasic {
		t.Fatalf("registered as %v", made)
	}
	if text, _ := json.Marshal(s.store.registrations[id]); strings.Contains(string(text), token) {
		t.Error("the token is stored")
	}
	if !s.store.clients[id].Authentic(secret, time.Now()) {
		t.Error("the secret is not the client's")
	}
	_, other := s.asks(t, "POST", "/register", `{"redirect_uris":["https://b.example/cb"]}`)
	_, shared := s.asks(t, "POST", "/register", "{"+public+"}")

	changed := func(members string) string { return `{"client_id":"` + id + `",` + members + `}` }
	const moved = `"client_name":"B","redirect_uris":["https://b.example/cb"]`
	for _, c := range []struct {
		name, method, path, body, token string
		status                          int
		want                            map[string]any
	}{
		{"read", "GET", path, "", token, 200, map[string]any{
			"client_id": id, "client_name": "A", "client_secret": nil, "registration_access_token": token,
		}},
		{"without a token", "GET", path, "", "", 401, nil},
		{"with the secret", "GET", path, "", secret, 401, nil},
		{"with the token of another one", "GET", path, "", other["registration_access_token"].(string), 401, nil},
		{"a client that does not exist", "GET", "/register/nobody", "", token, 401, nil},
		{"a client that is shared", "GET", "/register/" + shared["client_id"].(string), "", token, 401, nil},
		{"change without client_id", "PUT", path, "{" + moved + "}", token, 400, nil},
		{"change of another client", "PUT", path, `{"client_id":"x",` + moved + "}", token, 400, nil},
		{"change with another secret", "PUT", path, changed(`"client_secret":"x",` + moved), token, 400, nil},
		{"change of the token", "PUT", path, changed(`"registration_access_token":"x",` + moved), token, 400, nil},
		{"change to a bad address", "PUT", path, changed(`"redirect_uris":["http://b.example/cb"]`), token, 400, nil},
		{"change without a token", "PUT", path, changed(moved), "", 401, nil},
		{"change", "PUT", path, changed(`"client_secret":"` + secret + `",` + moved), token, 200, map[string]any{
			"client_name": "B", "client_secret": nil, "registration_access_token": token,
		}},
		{"post", "POST", path, "{}", token, 405, nil},
		{"delete without a token", "DELETE", path, "", "", 401, nil},
		{"delete", "DELETE", path, "", token, 204, nil},
		{"read what is gone", "GET", path, "", token, 401, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := maps.Clone(s.store.clients)
			status, answer := s.asks(t, c.method, c.path, c.body, "Authorization", "Bearer "+c.token)
			if status != c.status {
				t.Fatalf("answered %d %v", status, answer)
			}
			for name, want := range c.want {
				if answer[name] != want {
					t.Errorf("%s is %v, want %v", name, answer[name], want)
				}
			}
			if status >= 400 && !maps.EqualFunc(before, s.store.clients, func(a, b clients.Client) bool {
				return a.Version == b.Version
			}) {
				t.Error("a refused request changed something")
			}
		})
	}
	if !slices.Equal(s.store.revoked, []string{id}) || len(s.store.clients) != 2 {
		t.Errorf("revoked %q, left %d", s.store.revoked, len(s.store.clients))
	}
}

// TestSwitchedOffClientsStayOff: neither its token nor the same registration brings one back.
func TestSwitchedOffClientsStayOff(t *testing.T) {
	s := newServer(t)
	_, own := s.asks(t, "POST", "/register", `{"redirect_uris":["https://a.example/cb"]}`)
	_, shared := s.asks(t, "POST", "/register", "{"+public+"}")
	for id, c := range s.store.clients {
		c.Active = false
		s.store.clients[id] = c
	}
	token := "Bearer " + own["registration_access_token"].(string)
	path := "/register/" + own["client_id"].(string)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		if status, answer := s.asks(t, method, path, "{}", "Authorization", token); status != 403 {
			t.Errorf("%s: %d %v", method, status, answer)
		}
	}
	if _, again := s.asks(t, "POST", "/register", "{"+public+"}"); again["client_id"] != shared["client_id"] {
		t.Error("the same registration got another client")
	}
	for _, c := range s.store.clients {
		if c.Active {
			t.Errorf("%s is active", c.ID)
		}
	}
}

func TestStoreFailures(t *testing.T) {
	s := newServer(t)
	s.store.failing = errors.New("away")
	if status, answer := s.asks(t, "POST", "/register", "{"+public+"}"); status != 503 || s.events[0].Err == nil {
		t.Errorf("%d %v, reported %+v", status, answer, s.events)
	}
}

// TestPagesMayRegister: a browser asks beforehand.
func TestPagesMayRegister(t *testing.T) {
	s := newServer(t)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodOptions, "/auth/register", nil))
	if w.Code != 204 || w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/auth/register", strings.NewReader("{"+public+"}"))
	r.Header.Set("Content-Type", "text/plain")
	s.ServeHTTP(w, r)
	if w.Code != http.StatusUnsupportedMediaType || len(s.store.clients) != 0 {
		t.Errorf("a form of another origin: %d", w.Code)
	}
}
