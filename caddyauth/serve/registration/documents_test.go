package registration

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/web/egress"
)

const from = "192.0.2.1" // who names a document

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// documents is a resolver, and the server that publishes documents.
type documents struct {
	*Documents
	store   *memory
	server  *httptest.Server
	id      string
	fetched atomic.Int64

	mu     sync.Mutex
	taken  []string // addresses
	wait   time.Duration
	answer func(w http.ResponseWriter)
	events []audit.Event
}

// newDocuments may reach the server of the test although that is not public.
func newDocuments(t *testing.T) *documents {
	t.Helper()
	d := &documents{store: newMemory()}
	d.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.fetched.Add(1)
		d.mu.Lock()
		answer := d.answer
		d.mu.Unlock()
		answer(w)
	}))
	t.Cleanup(d.server.Close)
	d.id = d.server.URL + "/client.json"
	roots := x509.NewCertPool()
	roots.AddCert(d.server.Certificate())
	d.Documents = &Documents{
		Terms:  Terms{Project: project.Default, Scopes: []string{"openid"}},
		AtOnce: 4,
		Client: &egress.Client{
			Allow:   []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			Roots:   roots,
			Timeout: time.Second,
			MaxBody: MaxDocument,
		},
		Store: d.store,
		Take: func(_ context.Context, clientIP string, _ time.Time) (time.Duration, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.taken = append(d.taken, clientIP)
			return d.wait, nil
		},
		Events: func(_ context.Context, e audit.Event) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.events = append(d.events, e)
		},
	}
	d.says(200, d.document(""), "")
	return d
}

// document is a good one, with more members.
func (d *documents) document(more string) string {
	return `{"client_id":"` + d.id + `",` + more + public + `}`
}

// says sets what the server answers.
func (d *documents) says(status int, body, cacheControl string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", cacheControl)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// TestDocumentDuties are the rules of the draft, section 4 and 6.
func TestDocumentDuties(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   func(d *documents) string
		good   bool
	}{
		{"good", 200, func(d *documents) string { return d.document("") }, true},
		{"without a way to authenticate", 200, func(d *documents) string {
			return `{"client_id":"` + d.id + `","redirect_uris":["https://a.example/cb"]}`
		}, true},
		{"unknown members", 200, func(d *documents) string { return d.document(`"logo_uri":"x","x":1,`) }, true},
		{"private_key_jwt", 200, func(d *documents) string {
			return `{"client_id":"` + d.id + `","redirect_uris":["https://a.example/cb"],` +
				`"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://a.example/keys"}`
		}, true},
		{"another client_id", 200, func(*documents) string {
			return `{"client_id":"https://a.example/x",` + public + `}`
		}, false},
		{"no client_id", 200, func(*documents) string { return "{" + public + "}" }, false},
		{"two client_ids", 200, func(d *documents) string { return d.document(`"client_id":"x",`) }, false},
		{"a secret", 200, func(d *documents) string { return d.document(`"client_secret":"x",`) }, false},
		{"the end of a secret", 200, func(d *documents) string {
			return d.document(`"client_secret_expires_at":0,`)
		}, false},
		{"client_secret_basic", 200, func(d *documents) string {
			return strings.Replace(d.document(""), `"none"`, `"client_secret_basic"`, 1)
		}, false},
		{"redirect URI over http", 200, func(d *documents) string {
			return strings.Replace(d.document(""), "127.0.0.1", "a.example", 1)
		}, false},
		{"no JSON", 200, func(*documents) string { return "<html>" }, false},
		{"above 64 KiB", 200, func(d *documents) string {
			return d.document(`"x":"` + strings.Repeat("a", MaxDocument) + `",`)
		}, false},
		{"redirect", 302, func(d *documents) string { return d.document("") }, false},
		{"created", 201, func(d *documents) string { return d.document("") }, false},
		{"gone", 404, func(d *documents) string { return d.document("") }, false},
		{"away", 503, func(d *documents) string { return d.document("") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDocuments(t)
			d.says(c.status, c.body(d), "")
			err := d.Prepare(t.Context(), d.id, from, noon)
			client, stored := d.store.clients[d.id]
			if c.good != (err == nil) || stored != c.good || !c.good && !errors.Is(err, ErrNoClient) {
				t.Fatalf("%v; stored %v, reported %+v", err, stored, d.events)
			}
			if c.good && (client.Source != clients.MetadataDocument || !client.Active || len(client.Secrets) > 0) {
				t.Errorf("stored %+v", client)
			}
			if d.fetched.Load() != 1 || len(d.events) != 1 || (d.events[0].Result == "success") != c.good {
				t.Errorf("fetched %d times, reported %+v", d.fetched.Load(), d.events)
			}
		})
	}
}

// TestDocumentAddresses: nothing is asked of a server that may not be reached.
func TestDocumentAddresses(t *testing.T) {
	d := newDocuments(t)
	base := d.server.URL
	for _, c := range []struct {
		name, id string
		change   func()
	}{
		{"http", strings.Replace(d.id, "https", "http", 1), nil},
		{"no path", base, nil},
		{"the root", base + "/", nil},
		{"a query", d.id + "?x", nil},
		{"a fragment", d.id + "#x", nil},
		{"a user name", strings.Replace(d.id, "//", "//a@", 1), nil},
		{"dot segments", base + "/a/../client.json", nil},
		{"escaped dot segments", base + "/a/%2e%2e/client.json", nil},
		{"dot segments with parameters", base + "/a/..;x/client.json", nil},
		{"a backslash", base + "/a/%5c..%5cclient.json", nil},
		{"above 512 bytes", base + "/" + strings.Repeat("a", 512), nil},
		{"another host than the allowed ones", d.id, func() { d.Domains = []string{"app.example"} }},
		{"a loopback address", d.id, func() {
			d.Domains = nil
			d.Client = &egress.Client{Roots: d.Client.Roots}
		}},
		{"a name of a loopback address", strings.Replace(d.id, "127.0.0.1", "localhost", 1), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.change != nil {
				c.change()
			}
			if err := d.Prepare(t.Context(), c.id, from, noon); !errors.Is(err, ErrNoClient) || d.fetched.Load() != 0 {
				t.Errorf("%v; fetched %d times", err, d.fetched.Load())
			}
		})
	}
}

// TestDocumentsAreKept: for as long as HTTP says, within bounds, and a little longer while their
// server is away.
func TestDocumentsAreKept(t *testing.T) {
	const minute, hour, day = time.Minute, time.Hour, 24 * time.Hour
	for _, c := range []struct {
		name, cacheControl string
		life               time.Duration
	}{
		{"nothing said", "", hour},
		{"ten minutes", "max-age=600", 10 * minute},
		{"too short", "max-age=1", minute},
		{"not at all", "no-store", minute},
		{"too long", "max-age=31536000", day},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDocuments(t)
			d.says(200, d.document(""), c.cacheControl)
			for i, step := range []struct {
				after   time.Duration
				fetched int64
			}{{0, 1}, {c.life - 1, 1}, {c.life, 2}} {
				err := d.Prepare(t.Context(), d.id, from, noon.Add(step.after))
				if err != nil || d.fetched.Load() != step.fetched {
					t.Errorf("step %d: %v, fetched %d times", i, err, d.fetched.Load())
				}
			}
		})
	}
	for _, c := range []struct {
		name   string
		status int
		after  time.Duration
		want   error
	}{
		{"its server is away", 503, 2 * hour, nil},
		{"too many requests", 429, 2 * hour, nil},
		{"its server is away for long", 503, 25*hour + minute, ErrNoClient},
		{"the document is gone", 404, 2 * hour, ErrNoClient},
		{"the document is of another client", 200, 2 * hour, ErrNoClient},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDocuments(t)
			if err := d.Prepare(t.Context(), d.id, from, noon); err != nil {
				t.Fatal(err)
			}
			d.says(c.status, "{}", "")
			for range 3 { // what came of it is known for a minute
				if err := d.Prepare(t.Context(), d.id, from, noon.Add(c.after)); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			}
			d.says(200, d.document(""), "")
			if n := d.fetched.Load(); n != 2 {
				t.Errorf("fetched %d times", n)
			}
			err := d.Prepare(t.Context(), d.id, from, noon.Add(c.after+minute))
			if err != nil || d.fetched.Load() != 3 {
				t.Errorf("a minute later: %v, fetched %d times", err, d.fetched.Load())
			}
		})
	}
}

// TestACopyOfAnotherNodeIsUsed: one that starts has nothing in memory.
func TestACopyOfAnotherNodeIsUsed(t *testing.T) {
	d := newDocuments(t)
	copied := clients.Client{ID: d.id}
	d.Terms.grant(&copied)
	d.store.clients[d.id] = copied
	d.store.registrations[d.id] = clients.Registration{Fresh: noon.Add(time.Minute)}
	if err := d.Prepare(t.Context(), d.id, from, noon); err != nil || d.fetched.Load() != 0 {
		t.Errorf("%v, fetched %d times", err, d.fetched.Load())
	}
}

// TestACopyWithOtherTermsIsNotUsed: the operator has changed what such clients get.
func TestACopyWithOtherTermsIsNotUsed(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Terms)
	}{
		{"scopes", func(t *Terms) { t.Scopes = []string{"openid", "admin"} }},
		{"audience", func(t *Terms) { t.Audience = []string{"other"} }},
		{"resources", func(t *Terms) { t.Resources = []string{"https://api.example"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDocuments(t)
			copied := clients.Client{ID: d.id}
			before := d.Terms
			c.change(&before)
			before.grant(&copied)
			d.store.clients[d.id] = copied
			d.store.registrations[d.id] = clients.Registration{Fresh: noon.Add(time.Hour)}
			err := d.Prepare(t.Context(), d.id, from, noon)
			if got := d.store.clients[d.id]; err != nil || d.fetched.Load() != 1 || !d.Terms.are(got) {
				t.Errorf("%v, fetched %d times, stored %+v", err, d.fetched.Load(), got)
			}
		})
	}
}

// TestFirstFetchesAreCounted: each of them may become a row of the store.
func TestFirstFetchesAreCounted(t *testing.T) {
	d := newDocuments(t)
	d.wait = time.Minute
	for range 2 {
		if err := d.Prepare(t.Context(), d.id, from, noon); !errors.Is(err, ErrBusy) || d.fetched.Load() != 0 {
			t.Errorf("too many: %v, fetched %d times", err, d.fetched.Load())
		}
	}
	d.wait = 0
	for i := range 3 { // the second and third time it is known
		err := d.Prepare(t.Context(), d.id, "192.0.2.2", noon.Add(time.Duration(i)*2*time.Hour))
		if err != nil || d.fetched.Load() != int64(i+1) {
			t.Errorf("%v, fetched %d times", err, d.fetched.Load())
		}
	}
	if got := strings.Join(d.taken, " "); got != "192.0.2.1 192.0.2.1 192.0.2.2" {
		t.Errorf("counted for %s", got)
	}
}

// TestAStoreThatIsAwayIsNotRemembered: the next request asks it again.
func TestAStoreThatIsAwayIsNotRemembered(t *testing.T) {
	d := newDocuments(t)
	d.store.failing = errors.New("away")
	if err := d.Prepare(t.Context(), d.id, from, noon); err == nil || errors.Is(err, ErrNoClient) {
		t.Error(err)
	}
	d.store.failing = nil
	if err := d.Prepare(t.Context(), d.id, from, noon); err != nil {
		t.Error(err)
	}
}

// hanging never answers requests to some hosts, and passes those to others.
type hanging struct {
	hosts string // the end of their names
	begun chan struct{}
	next  http.RoundTripper
}

func (h hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Hostname(), h.hosts) {
		return h.next.RoundTrip(r)
	}
	h.begun <- struct{}{}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestSlowHostsHoldUpNobodyElse: neither one who owns a domain, whatever names are below it, nor one who
// names many domains takes all places.
func TestSlowHostsHoldUpNobodyElse(t *testing.T) {
	for _, c := range []struct {
		name, address, callers string // formats of the number of a document
		begun                  int
	}{
		{"one host", "https://slow.evil.example/%d", "192.0.2.%d", 2},
		{"many names of a domain", "https://h%d.slow.evil.example/c", "192.0.2.%d", 2},
		{"many domains, of one caller", "https://h%d-evil.example/c", "192.0.2.77", 4},
		{"many domains, of one network", "https://h%d-evil.example/c", "2001:db8:0:7::%d", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDocuments(t)
			slow := hanging{"evil.example", make(chan struct{}, 200), d.Client.Transport}
			if slow.next == nil {
				slow.next = d.server.Client().Transport
			}
			d.AtOnce, d.Client = 8, &egress.Client{Transport: slow, Timeout: time.Minute}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var all sync.WaitGroup
			refused := atomic.Int64{}
			for i := range 100 {
				address, caller := c.address, c.callers
				if strings.Contains(address, "%d") {
					address = fmt.Sprintf(address, i)
				}
				if strings.Contains(caller, "%d") {
					caller = fmt.Sprintf(caller, i+1)
				}
				all.Go(func() {
					if err := d.Prepare(ctx, address, caller, noon); errors.Is(err, ErrBusy) {
						refused.Add(1)
					}
				})
			}
			for range c.begun {
				<-slow.begun
			}
			if err := d.Prepare(ctx, d.id, "198.51.100.1", noon); err != nil {
				t.Errorf("another client: %v", err)
			}
			cancel()
			all.Wait()
			if n := refused.Load(); n != int64(100-c.begun) || len(slow.begun) != 0 {
				t.Errorf("%d refused, %d more begun", n, len(slow.begun))
			}
		})
	}
}

// TestADocumentThatTrickles ends after the time of a fetch, although each byte comes in time.
func TestADocumentThatTrickles(t *testing.T) {
	if FetchTimeout != 5*time.Second {
		t.Errorf("a fetch may take %v", FetchTimeout)
	}
	d := newDocuments(t)
	d.Client.Timeout = 2 * time.Second // enough for a busy machine to connect
	d.mu.Lock()
	d.answer = func(w http.ResponseWriter) { // 10 s, unless the client goes away
		w.Header().Set("Content-Type", "application/json")
		for range 1000 {
			if _, err := fmt.Fprint(w, " "); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	d.mu.Unlock()
	began := time.Now()
	if err := d.Prepare(t.Context(), d.id, from, noon); !errors.Is(err, ErrNoClient) {
		t.Error(err)
	}
	if took := time.Since(began); took > 8*time.Second || d.fetched.Load() != 1 {
		t.Errorf("it took %v, fetched %d times", took, d.fetched.Load())
	}
	if d.running != 0 {
		t.Errorf("%d fetches are under way", d.running)
	}
}

// TestFetchesAtOnce: one document is fetched once for all who wait for it, a host is asked for two
// at a time, and all hosts together for as many as is set.
func TestFetchesAtOnce(t *testing.T) {
	d := newDocuments(t)
	arrived, held := make(chan struct{}, 10), make(chan struct{})
	body := d.document("")
	d.mu.Lock()
	d.answer = func(w http.ResponseWriter) {
		arrived <- struct{}{}
		<-held
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, body)
	}
	d.mu.Unlock()
	var all sync.WaitGroup
	all.Go(func() {
		if err := d.Prepare(t.Context(), d.id, from, noon); err != nil {
			t.Error(err)
		}
	})
	<-arrived
	for range 20 {
		all.Go(func() {
			if err := d.Prepare(t.Context(), d.id, from, noon); err != nil {
				t.Error(err)
			}
		})
	}
	all.Go(func() { _ = d.Prepare(t.Context(), d.server.URL+"/second.json", from, noon) })
	<-arrived
	if err := d.Prepare(t.Context(), d.server.URL+"/third.json", from, noon); !errors.Is(err, ErrBusy) {
		t.Errorf("the third of a host: %v", err)
	}
	d.AtOnce = 2
	if err := d.Prepare(t.Context(), "https://app.example/client.json", from, noon); !errors.Is(err, ErrBusy) {
		t.Errorf("the third of all: %v", err)
	}

	// Whoever gives up does not take the document from the others.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Prepare(gone, d.id, from, noon); !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: %v", err)
	}
	close(held)
	all.Wait()
	if n := d.fetched.Load(); n != 2 || d.running != 0 || len(d.domains) != 0 || len(d.callers) != 0 {
		t.Errorf("fetched %d times, %d and %v under way", n, d.running, d.domains)
	}
}

// TestHostHasOneName: whoever is asked twice at once is not asked more often under other spellings.
func TestHostHasOneName(t *testing.T) {
	d := newDocuments(t)
	d.begin("https://victim.example/1.json", fetchKeys{"victim.example", "a"})
	d.begin("https://victim.example/2.json", fetchKeys{"victim.example", "b"})
	d.begin("https://[2001:db8::1]/1.json", fetchKeys{"2001:db8::1", "c"})
	d.begin("https://[2001:db8::1]/2.json", fetchKeys{"2001:db8::1", "d"})
	d.AtOnce = 100
	for _, host := range []string{
		"victim.example", "VICTIM.example", "victim.example.", "victim.example:443", "victim.example:8443",
		"www.victim.example",
		"Victim.Example.:443", "[2001:db8::1]", "[2001:DB8:0::1]:443", "[2001:db8::0.0.0.1]",
	} {
		t.Run(host, func(t *testing.T) {
			err := d.Prepare(t.Context(), "https://"+host+"/client.json", from, noon)
			if !errors.Is(err, ErrBusy) {
				t.Error(err)
			}
			if d.running != 4 || len(d.taken) != 0 {
				t.Errorf("%d are fetched, %q", d.running, d.taken)
			}
		})
	}
}

func TestMemoryOfDocumentsIsBounded(t *testing.T) {
	d := newDocuments(t)
	d.Client = &egress.Client{} // refuses the address
	for i := range maxKnown + 50 {
		_ = d.Prepare(t.Context(), fmt.Sprint(d.server.URL, "/", i), from, noon)
	}
	if len(d.known) > maxKnown {
		t.Errorf("%d documents are known", len(d.known))
	}
}

// FuzzDocument: whatever a document says, a client that comes of it is one that may be.
func FuzzDocument(f *testing.F) {
	const id = "https://app.example/client.json"
	for _, more := range []string{
		``, `"client_name":"A",`, `"jwks":{"keys":[{"kty":"EC"}]},`, `"client_secret":"x",`, `"jwks":null,`,
		`"grant_types":["client_credentials","authorization_code"],`, `"client_id":"https://app.example/client.json",`,
		`"redirect_uris":["javascript:x"],`, `"token_endpoint_auth_method":"client_secret_post",`,
	} {
		f.Add([]byte(`{"client_id":"` + id + `",` + more + public + `}`))
	}
	f.Add([]byte(`{"client_id":"` + id + `","redirect_uris":["https://a.example/"],` +
		`"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://a.example/k"}`))
	terms := Terms{Project: project.Default, Scopes: []string{"openid"}}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := readDocument(id, body, terms)
		if err != nil {
			return
		}
		var said struct {
			ID        string   `json:"client_id"`
			Redirects []string `json:"redirect_uris"`
			Method    string   `json:"token_endpoint_auth_method"`
		}
		broken := json.Unmarshal(body, &said) != nil
		if said.Method == "" {
			said.Method = clients.AuthNone
		}
		switch {
		case broken || said.ID != id || c.ID != id:
			t.Errorf("it is of %q", said.ID)
		case !slices.Equal(c.RedirectURIs, said.Redirects) || c.AuthMethod != said.Method:
			t.Errorf("it says %+v, the client is %+v", said, c)
		case c.Project != project.Default || !slices.Equal(c.Scopes, terms.Scopes) || len(c.Claims) > 0:
			t.Errorf("more than the terms: %+v", c)
		case bytes.Contains(c.JWKS, []byte(`"d"`)) || bytes.Contains(c.JWKS, []byte(`"k"`)):
			t.Errorf("a private key is kept: %s", c.JWKS)
		case c.Validate() != nil || !c.SelfRegistered() || len(c.Secrets) > 0 ||
			c.ConsentPolicy() == clients.ConsentOff:
			t.Errorf("%+v", c)
		case c.AllowsGrant(clients.GrantClientCredentials) || c.AllowsGrant(clients.GrantExchange):
			t.Errorf("grants %q", c.GrantTypes)
		}
		for _, uri := range c.RedirectURIs {
			if clients.ValidateRedirectURI(uri) != nil {
				t.Errorf("redirect URI %q", uri)
			}
		}
	})
}
