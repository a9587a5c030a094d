package integration

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyauth/gateway/integration/documents"
)

// examples are the folders of examples/, with the command that starts each and what it then
// answers.
var examples = []struct {
	name     string
	command  []string // CADDY is the built server
	programs []string // what the command wants to be installed
	signIn   string   // the port at which alice signs in
	visits   []visit
}{
	{
		name:    "legacy-app",
		command: []string{"CADDY", "run", "--config", "examples/legacy-app/Caddyfile"},
		signIn:  "8080/auth",
		visits: []visit{
			{
				port:    "8080",
				path:    "/page",
				browser: "alice",
				want:    "the legacy application: GET /page\nX-User-Id: alice\nX-User-Role: admin\n",
			},
			{port: "8080", path: "/admin", browser: "bob", status: http.StatusForbidden},
			{port: "8080", path: "/page", status: http.StatusSeeOther},
		},
	},
	{
		name:    "api-only",
		command: []string{"CADDY", "run", "--config", "examples/api-only/Caddyfile"},
		signIn:  "8081",
		visits: []visit{
			{port: "8080", path: "/things", program: "bob", want: "the API: GET /things\nX-User-Id: bob\n"},
			{
				port:    "8080",
				path:    "/things",
				method:  http.MethodPost,
				program: "alice",
				want:    "the API: POST /things\nX-User-Id: alice\n",
			},
			{port: "8080", path: "/things", method: http.MethodPost, program: "bob", status: http.StatusForbidden},
			{port: "8080", path: "/health", want: "ok"},
			{port: "8080", path: "/things", status: http.StatusUnauthorized},
		},
	},
	{
		name:    "several-apps",
		command: []string{"CADDY", "run", "--config", "examples/several-apps/Caddyfile"},
		signIn:  "8080",
		visits: []visit{
			{host: "wiki.example", port: "8080", path: "/", browser: "bob", want: "wiki: GET /\nX-User-Id: bob\n"},
			{
				host:    "admin.example",
				port:    "8080",
				path:    "/",
				browser: "alice",
				want:    "administration: GET /\nX-User-Id: alice\n",
			},
			{host: "admin.example", port: "8080", path: "/", browser: "bob", status: http.StatusForbidden},
			{
				host:    "shop",
				port:    "8080",
				path:    "/.auth/login?next=/",
				browser: "bob",
				want:    "shop: GET /\nX-User-Id: bob\n",
			},
			{host: "shop", port: "8080", path: "/", want: "shop: GET /\nX-User-Id: \n"},
			{host: "auth", port: "8080", path: "/", browser: "alice", want: ">Administration<"},
			{host: "auth", port: "8080", path: "/", browser: "bob", want: ">Wiki<"},
		},
	},
	{
		name:     "several-nodes",
		command:  []string{"examples/several-nodes/run.sh"},
		programs: []string{"bash", "su", "initdb"},
		signIn:   "8081",
		visits: []visit{
			{port: "8080", path: "/", program: "alice", want: "node 1: GET /\nX-User-Id: alice\n"},
			{port: "8090", path: "/", program: "alice", want: "node 2: GET /\nX-User-Id: alice\n"},
			{port: "8090", path: "/", status: http.StatusSeeOther},
		},
	},
	{
		name:     "foreign-issuer",
		command:  []string{"examples/foreign-issuer/run.sh"},
		programs: []string{"bash"},
		signIn:   "8081",
		visits: []visit{
			{port: "8080", path: "/", program: "alice", want: "X-User-Id: alice\nX-User-Role: admin\n"},
			{port: "8080", path: "/", program: "carol", at: "8091", want: "X-User-Id: carol\nX-User-Role: auditor\n"},
			{port: "8080", path: "/", status: http.StatusUnauthorized},
		},
	},
}

// visit is one request to an example. The status that is expected is 200 unless it is given.
type visit struct {
	host               string // below localhost, where the server is on auth.localhost
	port, path, method string
	browser, program   string // who asks: with the cookies of a signed-in browser, or with a bearer token
	at                 string // where they sign in, when it is not where everybody does
	status             int
	want               string // a part of the body
}

// examplePorts finds the ports that the examples use. Caddy's own admin endpoint is among them.
var examplePorts = regexp.MustCompile(`\b(80[89]\d|900\d|20(?:19|20))\b`)

// TestExamples starts every example by the command that examples/README.md and its own README.md
// give, with free ports in place of its own.
func TestExamples(t *testing.T) {
	listed := documents.Read(t, "examples/README.md")
	for _, example := range examples {
		t.Run(example.name, func(t *testing.T) {
			shown := strings.Replace(strings.Join(example.command, " "), "CADDY", "go run ./cmd/caddy", 1)
			if !strings.Contains(listed, "`"+shown+"`") {
				t.Errorf("examples/README.md does not give the command `%s`", shown)
			}
			if own := documents.Read(t, "examples/"+example.name+"/README.md"); !strings.Contains(own,
				"\n```sh\n"+shown+"\n```\n") {
				t.Errorf("its README.md does not give the command `%s`", shown)
			}
			for _, program := range example.programs {
				if program != "initdb" || len(globbed(t, "/usr/lib/postgresql/*/bin/initdb")) == 0 {
					requireProgram(t, program)
				}
			}
			running := copyExample(t, example.name)
			running.start(t, example.command)
			for _, v := range example.visits {
				running.check(t, v, example.signIn)
			}
		})
	}
}

// TestEveryExampleIsStarted fails when a folder of examples/ has no row above.
func TestEveryExampleIsStarted(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"README.md": true}
	for _, example := range examples {
		known[example.name] = true
	}
	for _, entry := range entries {
		if !known[entry.Name()] {
			t.Errorf("examples/%s is not started by a test", entry.Name())
		}
	}
}

func globbed(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// exampleCopy is a copy of one example with other ports.
type exampleCopy struct {
	dir    string
	ports  map[string]string // what stands in the example, and what stands in the copy
	output bytes.Buffer
}

func copyExample(t *testing.T, name string) *exampleCopy {
	t.Helper()
	e := &exampleCopy{dir: t.TempDir(), ports: map[string]string{"2019": strconvPort(t)}}
	folder := filepath.Join("..", "examples", name)
	if err := os.MkdirAll(filepath.Join(e.dir, "examples", name), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range globbed(t, filepath.Join(folder, "*")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = examplePorts.ReplaceAllFunc(text, func(port []byte) []byte {
			if e.ports[string(port)] == "" {
				e.ports[string(port)] = strconvPort(t)
			}
			return []byte(e.ports[string(port)])
		})
		if err := os.WriteFile(filepath.Join(e.dir, "examples", name, filepath.Base(path)), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// start runs the command until the test ends, and waits until every server of the example can issue
// tokens.
func (e *exampleCopy) start(t *testing.T, command []string) {
	t.Helper()
	caddy, err := program()
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{}, command...)
	if args[0] == "CADDY" {
		args[0] = caddy
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = e.dir, &e.output, &e.output
	cmd.Env = append(os.Environ(), "CADDY="+caddy, "CADDY_ADMIN=localhost:"+e.ports["2019"], "XDG_DATA_HOME="+e.dir,
		"XDG_CONFIG_HOME="+e.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("the example ended by itself: %v\n%s", err, last(e.output.Bytes()))
			return
		}
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			t.Error("the example does not stop")
		}
		if t.Failed() {
			t.Logf("%s", last(e.output.Bytes()))
		}
	})
	for port := range e.ports {
		if strings.HasPrefix(port, "808") || strings.HasPrefix(port, "809") {
			eventually(t, time.Minute, func() string { return e.answers(port) })
		}
	}
}

// answers says what is missing until the port answers and, where it is a server's, says that it can
// issue tokens.
func (e *exampleCopy) answers(port string) string {
	resp, err := http.Get("http://localhost:" + e.ports[port] + "/healthz")
	if err != nil {
		return err.Error()
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusServiceUnavailable {
		return "port " + port + " is not ready"
	}
	return ""
}

func strconvPort(t *testing.T) string { return strconv.Itoa(freePort(t)) }

// check makes one request and compares what came of it.
func (e *exampleCopy) check(t *testing.T, v visit, signIn string) {
	t.Helper()
	if v.at != "" {
		signIn = v.at
	}
	if v.host != "" {
		e.checkHost(t, v, signIn)
		return
	}
	request, err := http.NewRequestWithContext(t.Context(), v.method, "http://localhost:"+e.ports[v.port]+v.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	switch {
	case v.program != "":
		request.Header.Set("Authorization", "Bearer "+e.signIn(t, signIn, v.program))
	case v.browser != "":
		for _, cookie := range e.signInBrowser(t, signIn, v.browser) {
			request.AddCookie(cookie)
		}
	}
	body, resp := roundTrip(t, request)
	v.expect(t, resp.StatusCode, body)
}

func (v visit) expect(t *testing.T, status int, body string) {
	t.Helper()
	if v.status == 0 {
		v.status = http.StatusOK
	}
	if status != v.status || !strings.Contains(body, v.want) {
		t.Errorf("%s %s as %q: status %d, want %d with %q:\n%s", v.method, v.host+v.path, v.program+v.browser,
			status, v.status, v.want, body)
	}
}

// checkHost visits a host as a browser whose person has signed in at the server's.
func (e *exampleCopy) checkHost(t *testing.T, v visit, signIn string) {
	t.Helper()
	b := newSurfer(t)
	if v.browser != "" {
		login := b.open("http://auth.localhost:" + e.ports[signIn] + "/login")
		b.signIn(login, v.browser, peopleOfExamples[v.browser])
	}
	page, _ := b.follow(b.open("http://" + v.host + ".localhost:" + e.ports[v.port] + v.path))
	v.expect(t, page.status, page.body)
}

// roundTrip makes one request and follows no redirect.
func roundTrip(t *testing.T, request *http.Request) (string, *http.Response) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), resp
}

// base returns the URL of the sign-in, which may be below a path: `8080/auth`.
func (e *exampleCopy) base(signIn string) string {
	port, path, _ := strings.Cut(signIn, "/")
	return strings.TrimSuffix("http://localhost:"+e.ports[port]+"/"+path, "/")
}

// peopleOfExamples are the people in the examples, with their passwords.
var peopleOfExamples = map[string]string{"alice": "wonderland", "bob": "builder", "carol": "wonderland"}

// signIn gets an access token as the README does.
func (e *exampleCopy) signIn(t *testing.T, at, name string) string {
	t.Helper()
	body := `{"username":"` + name + `","password":"` + peopleOfExamples[name] + `"}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.base(at)+"/api/default/auth/login",
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	text, resp := roundTrip(t, request)
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(text), &tokens); err != nil || tokens.AccessToken == "" {
		t.Fatalf("%s signs in: status %d: %s", name, resp.StatusCode, text)
	}
	return tokens.AccessToken
}

// signInBrowser posts the form of the sign-in page and returns the session's cookies.
func (e *exampleCopy) signInBrowser(t *testing.T, at, name string) []*http.Cookie {
	t.Helper()
	form := url.Values{"username": {name}, "password": {peopleOfExamples[name]}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.base(at)+"/login",
		strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	text, resp := roundTrip(t, request)
	if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) == 0 {
		t.Fatalf("%s signs in: status %d: %s", name, resp.StatusCode, text)
	}
	return resp.Cookies()
}
