// Package integration drives whole servers: a real Caddy with the gateway's modules in this
// process, recording applications behind it and raw clients before it. The cases are those of the
// project's list of attacks; each says what arrives, what the gateway must decide, and exactly what
// the application may see.
package integration

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddyauth/gateway/caddyauth"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

func TestMain(m *testing.M) {
	// Whatever reads the home directory before a test names its own finds an empty one.
	home, err := os.MkdirTemp("", "caddyauth-integration")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("XDG_DATA_HOME", filepath.Join(home, "data"))
	os.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	scratch = home
	http.DefaultTransport.(*http.Transport).DialContext = dialAgain
	code := pgtest.Main(m)
	os.RemoveAll(home)
	os.Exit(code)
}

// dialAgain connects as browsers do: what the system resets before a byte was sent, as it does in the instant
// in which a reload exchanges sockets, is tried again.
func dialAgain(ctx context.Context, network, addr string) (net.Conn, error) {
	for attempt := 1; ; attempt++ {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if attempt == 3 || !errors.Is(err, syscall.ECONNRESET) {
			return conn, err
		}
	}
}

// scratch is a folder that lasts as long as this process's tests.
var scratch string

// gateway is the Caddy of one test. Caddy is one per process, so tests that have one run one after
// the other.
type gateway struct {
	t       *testing.T
	dir     string // holds everything the server writes
	logFile string
	proxy   *recorder        // application behind reverse_proxy
	php     *fastcgiRecorder // application behind php_fastcgi
	tokens  *tokenFixture
	extra   map[string]any         // what a test's own templates may name
	program func() (string, error) // builds the server of startProcess
	roots   *x509.CertPool         // that its clients trust when its sites are https; nil for http

	mu      sync.Mutex
	ports   map[string]int
	secrets []string
}

// newGateway prepares folders, applications and keys; load starts the server.
func newGateway(t *testing.T) *gateway {
	t.Helper()
	needTime(t)
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	g := &gateway{
		t: t, dir: dir, logFile: filepath.Join(dir, "caddy.log"),
		proxy: newRecorder(t), php: newFastCGIRecorder(t),
		ports: map[string]int{}, extra: map[string]any{}, program: program,
	}
	if err := os.WriteFile(filepath.Join(dir, "index.php"), []byte("<?php\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.tokens = newTokenFixture(t, g.url("auth"))
	t.Setenv("TEST_KEYS", g.tokens.secretRing())
	g.secret("alice's password", alicePassword, bobPassword, g.tokens.hmacText)
	t.Cleanup(g.stop)
	return g
}

// The people of the tests.
const (
	alicePassword = "wonderland-rabbit-hole"
	bobPassword   = "builder-yes-we-can"
)

// hashes keeps one hash per password, so that the same configuration is the same text.
var hashes sync.Map

// cheapHash makes a bcrypt hash at the lowest cost: tests check who may pass, not how slow a guess
// is.
func cheapHash(password string) string {
	if known, ok := hashes.Load(password); ok {
		return known.(string)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	known, _ := hashes.LoadOrStore(password, string(hash))
	return known.(string)
}

// preamble holds the global options of every test. Header fields may be far larger than Caddy's 16
// kB, so that huge tokens meet the gateway's own limit.
const preamble = `{
	admin off
	persist_config off
	auto_https off
	default_bind 127.0.0.1
	grace_period 1s
	storage file_system "{{.Dir}}/storage"
	log {
		output file "{{.Log}}" {
			roll_disabled
		}
		level DEBUG
		format json
	}
	servers {
		protocols h1 h2c
		max_header_size 4MB
	}
	%s
}
`

// standardAuth is the auth block that most tests use: keys of every family, known to the token
// fixture, and two people.
const standardAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS} {
		active hs1
		file rs1 "{{keyfile "rs1"}}"
		file es1 "{{keyfile "es1"}}"
		file ed1 "{{keyfile "ed1"}}"
	}
	return_to {{origins}}
	user alice {
		password_hash {{hash "alice"}}
		claim role admin
		claim email alice@example.com
	}
	user bob {
		password_hash {{hash "bob"}}
		claim role viewer
	}
}`

// authSite mounts the login service at the public URL.
const authSite = `
{{url "auth"}} {
	log
	auth_server
}
`

// expand fills a configuration text.
func (g *gateway) expand(text string) string {
	g.t.Helper()
	parsed, err := template.New("Caddyfile").Option("missingkey=error").Funcs(template.FuncMap{
		"port": g.port, "url": g.url, "addr": g.addr, "origins": g.origins, "keyfile": g.tokens.keyFile,
		"hash": func(name string) string {
			return cheapHash(map[string]string{"alice": alicePassword, "bob": bobPassword}[name])
		},
	}).Parse(text)
	if err != nil {
		g.t.Fatalf("template: %v", err)
	}
	values := map[string]any{"Dir": g.dir, "Log": g.logFile, "Proxy": g.proxy.addr(), "PHP": g.php.addr(),
		"AutoHTTPS": "off"}
	for name, value := range g.extra {
		values[name] = value
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, values); err != nil {
		g.t.Fatalf("template: %v", err)
	}
	return out.String()
}

// caddyfile is the whole configuration: the preamble with the global options, then the sites.
func (g *gateway) caddyfile(globals, sites string) string {
	g.t.Helper()
	body := g.expand(sites) // first: it allocates the ports that the globals list as return targets
	return g.expand(fmt.Sprintf(preamble, globals)) + body
}

// siteOf is the template of a site with an address of its own.
func siteOf(name, body string) string { return fmt.Sprintf("{{url %q}} {\n\t%s\n}\n", name, body) }

// load runs a configuration, in place of the running one when there is one.
func (g *gateway) load(globals, sites string) {
	g.t.Helper()
	text := g.caddyfile(globals, sites)
	if err := loadText(text); err != nil {
		if testing.Verbose() {
			g.t.Log(text)
		}
		g.t.Fatalf("loading: %v", err)
	}
	g.settle()
}

// settle waits until a reload has closed the sockets it replaces. Caddy opens a second one on the same
// port and closes the first a moment after the reload is answered; Linux resets what still waits in it.
func (g *gateway) settle() {
	g.t.Helper()
	eventually(g.t, 10*time.Second, func() string {
		g.mu.Lock()
		defer g.mu.Unlock()
		for site, port := range g.ports {
			if n := listeningSockets(port); n > 1 {
				return fmt.Sprintf("%d sockets of the site %q listen", n, site)
			}
		}
		return ""
	})
}

// listeningSockets counts those that share an address with this port, as /proc has it; 0 where there is
// no /proc, and where sockets are not replaced like this.
func listeningSockets(port int) (most int) {
	count := map[string]int{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(table)
		for line := range strings.Lines(string(text)) {
			field := strings.Fields(line)
			if len(field) < 4 || field[3] != "0A" || !strings.HasSuffix(field[1], fmt.Sprintf(":%04X", port)) {
				continue
			}
			count[field[1]]++
			most = max(most, count[field[1]])
		}
	}
	return most
}

// tryLoad is load for configurations that may be refused.
func (g *gateway) tryLoad(globals, sites string) error {
	g.t.Helper()
	err := loadText(g.caddyfile(globals, sites))
	g.settle()
	return err
}

func loadText(text string) error {
	adapted, err := adapt(text)
	if err != nil {
		return err
	}
	return caddy.Load(adapted, true)
}

func adapt(text string) ([]byte, error) {
	adapter := caddyconfig.GetAdapter("caddyfile")
	if adapter == nil {
		return nil, errors.New("no caddyfile adapter")
	}
	adapted, _, err := adapter.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return adapted, err
}

// stop ends the server and looks through everything it logged, at DEBUG, for what must never be
// there.
func (g *gateway) stop() {
	if err := caddy.Stop(); err != nil {
		g.t.Errorf("stopping: %v", err)
	}
	g.checkLog()
}

// secret names texts that must not appear in the log.
func (g *gateway) secret(what string, texts ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, text := range texts {
		if len(text) < 8 {
			g.t.Fatalf("%s: a canary of %d bytes would be found by chance", what, len(text))
		}
		g.secrets = append(g.secrets, text)
	}
}

var (
	// tokenLike is the beginning of base64url JSON, as every JOSE header and most claims begin.
	tokenLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}`)
	// base64Run finds words that could be a signature.
	base64Run = regexp.MustCompile(`[A-Za-z0-9_-]{40,}`)
)

func (g *gateway) checkLog() {
	for _, leak := range leaks(g.log(), g.secrets, g.tokens.signatures()) {
		g.t.Errorf("the log holds %s", leak)
	}
}

// leaks returns what a text must not hold, each with its surroundings.
func leaks(text string, secrets []string, signatures map[string]bool) []string {
	var found []string
	for _, at := range tokenLike.FindAllStringIndex(text, -1) {
		if beginsJSON(text[at[0]:at[1]]) {
			found = append(found, "a token: "+around(text, at[0]))
			break
		}
	}
	for _, run := range base64Run.FindAllStringIndex(text, -1) {
		if signatures[text[run[0]:run[1]]] {
			found = append(found, "a token's signature: "+around(text, run[0]))
			break
		}
	}
	for _, secret := range secrets {
		if at := strings.Index(text, secret); at >= 0 {
			found = append(found, "a secret: "+around(text, at))
		}
	}
	return found
}

// beginsJSON reports whether base64url text is text inside: what is sealed and random looks like the
// beginning of a token once in 262144 places.
func beginsJSON(encoded string) bool {
	encoded = encoded[:min(len(encoded), 32)]
	plain, err := base64.RawURLEncoding.DecodeString(encoded[:len(encoded)/4*4])
	return err == nil && !bytes.ContainsFunc(plain, func(c rune) bool { return c < ' ' || c > '~' })
}

func around(text string, at int) string {
	return text[max(0, at-300):min(len(text), at+60)]
}

// log returns everything logged so far.
func (g *gateway) log() string {
	text, err := os.ReadFile(g.logFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		g.t.Errorf("reading the log: %v", err)
	}
	return string(text)
}

// port returns the port of a site by its name, the same for the whole test.
func (g *gateway) port(site string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ports[site] == 0 {
		g.ports[site] = freePort(g.t)
	}
	return g.ports[site]
}

func (g *gateway) url(site string) string  { return g.scheme() + "://" + g.host(site) }
func (g *gateway) addr(site string) string { return "127.0.0.1:" + strconv.Itoa(g.port(site)) }
func (g *gateway) host(site string) string { return "localhost:" + strconv.Itoa(g.port(site)) }

func (g *gateway) scheme() string {
	if g.roots != nil {
		return "https"
	}
	return "http"
}

// origins lists every site of the test, as return targets.
func (g *gateway) origins() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, port := range g.ports {
		all = append(all, g.scheme()+"://localhost:"+strconv.Itoa(port))
	}
	return strings.Join(all, " ")
}

// freePort takes a port below the range from which the system picks for outgoing connections, so
// that nobody else gets it between here and the server's start.
func freePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := 18000 + rand.IntN(10000) // others are for integration/clients, which runs beside this
		if handedOut.taken(port) {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}

// handedOut remembers ports given to this process's tests.
var handedOut portSet

type portSet struct {
	mu   sync.Mutex
	seen map[int]bool
}

// taken reports whether port was given before, and notes it as given.
func (p *portSet) taken(port int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil {
		p.seen = map[int]bool{}
	}
	was := p.seen[port]
	p.seen[port] = true
	return was
}

// eventually polls until check returns "" and fails with its last word after the limit.
func eventually(t *testing.T, limit time.Duration, check func() string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		word := check()
		if word == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("after %v: %s", limit, word)
			return
		}
		runtime.Gosched()
		time.Sleep(20 * time.Millisecond)
	}
}

// requireProgram finds an installed program, or skips; where everything is promised to be installed
// it fails instead.
func requireProgram(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				return path
			}
		}
	}
	word := strings.Join(names, " or ") + " is not installed"
	if os.Getenv("CI_REQUIRE_ALL") == "1" {
		t.Fatal(word)
	}
	t.Skip(word)
	return ""
}

// needTime skips a test that begins when the time of the whole package is nearly over: with every other
// program installed, the tests take longer than the ten minutes that `go test` gives a package.
func needTime(t *testing.T) {
	t.Helper()
	deadline, limited := t.Deadline()
	if !limited || time.Until(deadline) > 2*time.Minute {
		return
	}
	const word = "less than two minutes are left of -timeout: run it with `go test -timeout 30m`"
	if os.Getenv("CI_REQUIRE_ALL") == "1" {
		t.Fatal(word)
	}
	t.Skip(word)
}

// TestHarness holds the harness itself to its word, with a plain proxy and no gateway at all.
func TestHarness(t *testing.T) {
	g := newGateway(t)
	g.load("", `
{{url "plain"}} {
	log
	reverse_proxy {{.Proxy}}
}
{{url "php"}} {
	log
	php_fastcgi {{.PHP}} {
		root "{{.Dir}}"
	}
}
`)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Run("proxy", func(t *testing.T) { g.checkPlainProxy(t, p) })
			t.Run("php", func(t *testing.T) { g.checkPlainPHP(t, p) })
		})
	}
	if log := g.log(); !strings.Contains(log, `"level":"debug"`) || !strings.Contains(log, "http.log.access") {
		t.Error("the log has no debug lines or no access lines")
	}
}

func (g *gateway) checkPlainProxy(t *testing.T, p protocol) {
	got := p.send(t, g.addr("plain"), call{
		method: "POST", target: "/a%2Fb?x=1", host: g.host("plain"),
		lines: []string{"X-Kept: one", "X-Kept: two", "Authorization: Bearer abc"}, body: "hello",
		trailers: []string{"X-Late: yes"}, announced: "X-Late",
	})
	if got.status != http.StatusOK {
		t.Fatalf("status %d: %s %v", got.status, got.body, got.broken)
	}
	seen := g.proxy.take()
	if len(seen) != 1 {
		t.Fatalf("the application saw %d requests", len(seen))
	}
	if seen[0].target != "/a%2Fb?x=1" || seen[0].method != "POST" || seen[0].body != "hello" {
		t.Errorf("the application saw %q", seen[0].raw)
	}
	if kept := seen[0].values("x-kept"); len(kept) != 2 {
		t.Errorf("x-kept: %q", kept)
	}
	if late := strings.Join(seen[0].trailers, "\n"); !strings.Contains(late, "X-Late: yes") {
		t.Errorf("trailers: %q", late)
	}
}

func (g *gateway) checkPlainPHP(t *testing.T, p protocol) {
	got := p.send(t, g.addr("php"), call{
		method: "POST", target: "/any/path", host: g.host("php"), lines: []string{"X-Kept: one"}, body: "hello",
	})
	if got.status != http.StatusOK || got.body != "ok" {
		t.Fatalf("status %d: %s %v", got.status, got.body, got.broken)
	}
	seen := g.php.take()
	if len(seen) != 1 {
		t.Fatalf("the application saw %d requests", len(seen))
	}
	if seen[0].params["HTTP_X_KEPT"] != "one" || seen[0].target != "/any/path" || seen[0].body != "hello" {
		t.Errorf("the application saw %q", seen[0].params)
	}
}

// TestCanariesAreFound makes sure that a clean log means something.
func TestCanariesAreFound(t *testing.T) {
	signature := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xa7}, 64))
	for _, text := range []string{
		`{"msg":"x","token":"eyJhbGciOiJIUzI1NiJ9.e30.AAAA"}`,
		`{"msg":"x","sig":"` + signature + `"}`,
		`{"msg":"password ` + alicePassword + ` is wrong"}`,
	} {
		if len(leaks(text, []string{alicePassword}, map[string]bool{signature: true})) == 0 {
			t.Errorf("not found in %s", text)
		}
	}
	sealed := `{"uri":"/x?state=AeyJ` + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xa7}, 24)) + `"}`
	if found := leaks(sealed, nil, nil); len(found) != 0 {
		t.Errorf("%q", found)
	}
}

func stopServer() error { return caddy.Stop() }

func describe(u use) string { return fmt.Sprintf("%d goroutines and %d files", u.goroutines, u.files) }
