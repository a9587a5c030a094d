package integration

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// publisher is an https server on this machine that publishes the metadata document of a client.
type publisher struct {
	*httptest.Server
	id      string
	fetched atomic.Int64
	gone    atomic.Bool
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := new(publisher)
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetched.Add(1)
		if p.gone.Load() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"client_id":%q,"client_name":"Published","redirect_uris":[%q],`+
			`"token_endpoint_auth_method":"none"}`, p.id, rpCallback)
	}))
	t.Cleanup(p.Close)
	p.id = p.URL + "/oauth/client.json"
	return p
}

// reached lets a server reach the publisher.
func (p *publisher) reached(t *testing.T) string {
	t.Helper()
	return egressTo(t, p.Server)
}

// egressTo lets a server reach another one on this machine. Its certificate is in a file.
func egressTo(t *testing.T, server *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return "egress {\n\t\tallow 127.0.0.0/8\n\t\tca " + file + "\n\t}"
}

// comingByThemselves is what lets clients come that nobody has added.
var comingByThemselves = `
	registration {
		open
		scopes openid read
		address_rate 1000 1m
		total_rate 1000 1m
	}
	client_metadata {
		scopes openid read
		%s
	}
}`

// newRegistering is a server at which clients register, and which reaches the publisher if egress
// and the domains of documents say so.
func newRegistering(t *testing.T, engine, egress, domains string) *authorizing {
	t.Helper()
	was := authorizeAuth
	t.Cleanup(func() { authorizeAuth = was })
	authorizeAuth = strings.TrimSuffix(authorizeAuth, "}") + egress + fmt.Sprintf(comingByThemselves, domains)
	return newAuthorizing(t, engine)
}

// register sends metadata to /register.
func (x *authorizing) register(t *testing.T, metadata string) (int, map[string]any) {
	t.Helper()
	a := x.ask(t, "auth", call{
		method: "POST", target: "/register", lines: []string{"Content-Type: application/json"}, body: metadata,
	})
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	for _, secret := range []string{"client_secret", "registration_access_token"} {
		if text, ok := got[secret].(string); ok {
			x.secret("what a client got", text)
		}
	}
	return a.status, got
}

// allow decides on the consent page, which must warn of a client that has described itself.
func (v *visitor) allow(p page) page {
	v.t.Helper()
	if p.status != http.StatusSeeOther || p.location.Path != "/consent" {
		v.t.Fatalf("not asked: %d to %v: %s", p.status, p.location, p.body)
	}
	form := v.get(p.location.String())
	if form.status != http.StatusOK || !strings.Contains(form.body, "has registered itself") {
		v.t.Fatalf("the page: %d %s", form.status, form.body)
	}
	p = v.post("/consent", url.Values{
		"request":  {html.UnescapeString(field(form.body, "request"))},
		"proof":    {field(form.body, "proof")},
		"decision": {"allow"},
	})
	if p.status == http.StatusSeeOther && p.location.Path == "/authorize" {
		p = v.get(p.location.String())
	}
	return p
}

// TestRegisteredClient from its registration to its tokens, the same after a reload, and its end.
func TestRegisteredClient(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			x := newRegistering(t, engine, "", "")
			d := x.metadata(t, "/.well-known/openid-configuration")
			if d["registration_endpoint"] != x.url("auth")+"/register" ||
				d["client_id_metadata_document_supported"] != true {
				t.Errorf("metadata %v", d)
			}
			status, made := x.register(t, `{"client_name":"Tool","scope":"openid","redirect_uris":["`+rpCallback+`"],`+
				`"token_endpoint_auth_method":"client_secret_post"}`)
			if status != http.StatusCreated {
				t.Fatalf("%d %v", status, made)
			}
			id, secret := made["client_id"].(string), made["client_secret"].(string)
			x.load(authorizeAuth, authorizeSites)

			// The scope of the registration is no ceiling.
			v := x.visitor(t)
			asking := request(t, "client_id="+id+"&scope=openid+read+admin")
			code := v.code(v.allow(v.signIn(v.get(asking), "alice", alicePassword)))
			got := x.token(t, id, secret, "", codeForm(code))
			if got.status != 200 || got.Scope != "openid read" {
				t.Fatalf("%+v", got)
			}
			if a := x.get(t, "api", "/", got.Access); a.status != 200 {
				t.Errorf("the gate: %d %s", a.status, a.body)
			}
			if bad := x.token(t, id, secret, "", url.Values{"grant_type": {"client_credentials"}}); bad.status != 400 {
				t.Errorf("without a person: %+v", bad)
			}

			token := "Authorization: Bearer " + made["registration_access_token"].(string)
			for _, step := range []struct {
				method string
				status int
			}{{"GET", 200}, {"DELETE", 204}, {"GET", 401}} {
				a := x.ask(t, "auth", call{method: step.method, target: "/register/" + id, lines: []string{token}})
				if a.status != step.status {
					t.Errorf("%s: %d %s", step.method, a.status, a.body)
				}
			}
			if a := x.get(t, "api", "/", got.Access); a.status != 401 {
				t.Errorf("what the client got, at the gate: %d", a.status)
			}
			gone := x.token(t, id, secret, "", codeForm(code))
			if gone.status != 401 || gone.Error != "invalid_client" {
				t.Errorf("%+v", gone)
			}
		})
	}
}

// TestConsentIsForThePlaceThatWasShown: a client that registered itself chooses its name and all of its
// redirect URIs, so the place where the answer goes is what people know it by. What they allow one
// that leads to a host they know is nothing that they have allowed another host.
func TestConsentIsForThePlaceThatWasShown(t *testing.T) {
	x := newRegistering(t, "sqlite", "", "")
	status, made := x.register(t, `{"client_name":"Tool","token_endpoint_auth_method":"none","redirect_uris":[`+
		`"https://known.example/cb","https://known.example/other","https://evil.example/cb","http://127.0.0.1/cb",`+
		`"com.example.app:/cb"]}`)
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, made)
	}
	asking := func(redirect, more string) string {
		return request(t, url.Values{
			"client_id": {made["client_id"].(string)}, "redirect_uri": {redirect},
		}.Encode()+more)
	}
	v := x.visitor(t)
	v.code(v.allow(v.signIn(v.get(asking("https://known.example/cb", "")), "alice", alicePassword)))
	for _, c := range []struct {
		name, redirect string
		asked          bool
	}{
		{"the same address", "https://known.example/cb", false},
		{"the same host", "https://known.example/other", false},
		{"another host", "https://evil.example/cb", true},
		{"a program", "http://127.0.0.1:4000/cb", true},
		{"the program on another port", "http://127.0.0.1:4001/cb", false},
		{"an application", "com.example.app:/cb", true},
		{"the first again", "https://known.example/cb", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := v.in(t)
			silent := v.get(asking(c.redirect, "&prompt=none"))
			if word := silent.location.Query().Get("error"); (word == "consent_required") != c.asked {
				t.Errorf("without a page: %q, to %v", word, silent.location)
			}
			p := v.get(asking(c.redirect, ""))
			if asked := p.location.Path == "/consent"; asked != c.asked {
				t.Fatalf("asked %v, sent to %v", asked, p.location)
			}
			if c.asked {
				page := v.get(p.location.String())
				shown, _, _ := strings.Cut(page.body, "<script")
				if !strings.Contains(shown, `id="scopes"`) || strings.Contains(shown, "place ") {
					t.Errorf("it does not say what is allowed: %s", page.body)
				}
				p = v.allow(p)
			}
			v.code(p)
		})
	}
}

// TestSameRegistrationAtOnce: 200 of them are one client.
func TestSameRegistrationAtOnce(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			x := newRegistering(t, engine, "", "")
			var mu sync.Mutex
			ids := map[any]int{}
			race(racers, func(int) {
				status, made := x.register(t, `{"redirect_uris":["http://127.0.0.1/cb"],`+
					`"token_endpoint_auth_method":"none"}`)
				if status != http.StatusCreated {
					t.Errorf("%d %v", status, made)
				}
				mu.Lock()
				defer mu.Unlock()
				ids[made["client_id"]]++
			})
			if len(ids) != 1 || ids[nil] != 0 {
				t.Errorf("clients %v", ids)
			}
		})
	}
}

// TestClientOfADocument: its URL is its client_id, and its document decides whether it is one.
func TestClientOfADocument(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			p := newPublisher(t)
			x := newRegistering(t, engine, p.reached(t), "domains 127.0.0.1")
			v := x.visitor(t)
			asking := request(t, "client_id="+url.QueryEscape(p.id))
			code := v.code(v.allow(v.signIn(v.get(asking), "alice", alicePassword)))
			got := x.token(t, p.id, "", "", codeForm(code))
			if got.status != 200 || got.Scope != "openid read" || p.fetched.Load() != 1 {
				t.Fatalf("%+v, fetched %d times", got, p.fetched.Load())
			}
			if again := x.token(t, p.id, "", "", url.Values{
				"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh},
			}); again.status != 200 {
				t.Errorf("%+v", again)
			}
			other := v.get(request(t, "client_id="+url.QueryEscape(p.URL+"/other.json")))
			if other.status != 400 || other.leads() {
				t.Errorf("a document of another client: %d to %v", other.status, other.location)
			}
			p.gone.Store(true) // a copy holds for an hour, also after a reload
			x.load(authorizeAuth, authorizeSites)
			v.code(v.get(asking))
		})
	}
}

// TestDocumentsInThisNetworkAreNotFetched unless the operator lets the server reach the network, and
// names the host: anybody can name a document.
func TestDocumentsInThisNetworkAreNotFetched(t *testing.T) {
	p := newPublisher(t)
	for _, c := range []struct{ name, egress, domains string }{
		{"nothing allowed", "", ""},
		{"the host named", "", "domains 127.0.0.1 localhost"},
		{"the network allowed", p.reached(t), ""},
		{"the network allowed, and another host named", p.reached(t), "domains app.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newRegistering(t, "sqlite", c.egress, c.domains)
			for _, id := range []string{p.id, strings.Replace(p.id, "127.0.0.1", "localhost", 1)} {
				answer := x.visitor(t).get(request(t, "client_id="+url.QueryEscape(id)))
				if answer.status != 400 || answer.leads() || p.fetched.Load() != 0 {
					t.Errorf("%s: %d to %v, fetched %d times", id, answer.status, answer.location, p.fetched.Load())
				}
			}
		})
	}
}

// TestRegistrationIsOff unless it is configured.
func TestRegistrationIsOff(t *testing.T) {
	p := newPublisher(t)
	x := newAuthorizing(t, "sqlite")
	a := x.ask(t, "auth", call{
		method: "POST", target: "/register", lines: []string{"Content-Type: application/json"}, body: "{}",
	})
	if a.status != http.StatusOK || a.body != "" { // the site has nothing there, and Caddy says no more
		t.Errorf("%d %s", a.status, a.body)
	}
	d := x.metadata(t, "/.well-known/openid-configuration")
	if d["registration_endpoint"] != nil || d["client_id_metadata_document_supported"] != nil {
		t.Errorf("metadata %v", d)
	}
	if got := x.token(t, p.id, "", "", codeForm("x")); got.status != 401 || p.fetched.Load() != 0 {
		t.Errorf("%+v, fetched %d times", got, p.fetched.Load())
	}
}
