package integration

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// hostsProcessAuth is a server whose sign-in page is on a host of its own.
const hostsProcessAuth = `
	auth {
		issuer {{.Scheme}}://login.two.localhost:{{port "hosts"}}
		user alice {
			password_hash {{hash "alice"}}
		}
		user bob {
			password_hash {{hash "bob"}}
		}
	}
`

// hostsProcessSite goes on after the server's site at the address of the process. One application is on
// another port than the sign-in page, and has no TLS when the others have.
const hostsProcessSite = `
	auth_server
}
(application) {
	log
	jwt_auth web {
		forward sub X-User-Id
	}
	reverse_proxy {{.App}}
}
{{.Scheme}}://login.two.localhost:{{port "hosts"}} {
	log
	{{.TLS}}
	auth_server
}
{{.Scheme}}://a.one.localhost:{{port "hosts"}}, {{.Scheme}}://b.one.localhost:{{port "hosts"}} {
	{{.TLS}}
	import application
}
{{.Scheme}}://two.localhost:{{port "hosts"}}, {{.Scheme}}://app.two.localhost:{{port "hosts"}} {
	{{.TLS}}
	import application
}
http://plain.localhost:{{port "plain"}} {
	import application
`

// processHosts are the applications of hostsProcessSite at which people can sign in.
var processHosts = []string{"a.one.localhost", "b.one.localhost", "two.localhost", "app.two.localhost"}

// hostsProcess is a server in a process of its own with applications on several hosts.
type hostsProcess struct {
	*gateway
	*process
	app    *openApplication
	scheme string
	home   string // of the browsers
}

// newHostsProcess starts it. With https the hosts have certificates of Caddy's internal CA, whose root the
// browsers trust as a person has them do: by their own store of certificates.
func newHostsProcess(t *testing.T, scheme string) *hostsProcess {
	t.Helper()
	p := &hostsProcess{gateway: newGateway(t), app: newOpenApplication(t), scheme: scheme, home: t.TempDir()}
	p.extra["App"], p.extra["Level"], p.extra["Scheme"] = p.app.Listener.Addr().String(), "DEBUG", scheme
	p.extra["TLS"] = ""
	if scheme == "https" {
		p.extra["TLS"], p.extra["AutoHTTPS"] = "tls internal", "disable_redirects\n\tskip_install_trust"
	}
	p.process = p.startProcess(t, "server", hostsProcessAuth, hostsProcessSite)
	p.awaitReady(t)
	if scheme == "https" {
		p.trust(t)
	}
	return p
}

// trust has the browsers of this home trust the root certificate of the server's internal CA.
func (p *hostsProcess) trust(t *testing.T) {
	t.Helper()
	certutil := requireProgram(t, "certutil")
	store := filepath.Join(p.home, ".pki", "nssdb")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(p.dir, p.name, "storage", "pki", "authorities", "local", "root.crt")
	for _, args := range [][]string{
		{"-N", "--empty-password"}, {"-A", "-n", "Caddy", "-t", "C,,", "-i", root},
	} {
		out, err := exec.Command(certutil, append(args, "-d", "sql:"+store)...).CombinedOutput()
		if err != nil {
			t.Fatalf("certutil %v: %v\n%s", args, err, out)
		}
	}
}

// address is one of an application, or of the sign-in page.
func (p *hostsProcess) address(host, uri string) string {
	return fmt.Sprintf("%s://%s:%d%s", p.scheme, host, p.port("hosts"), uri)
}

// browser starts the browser of one person.
func (p *hostsProcess) browser(t *testing.T, program string) browser {
	t.Helper()
	return startBrowser(t, program, chromedp.Env("HOME="+p.home))
}

// lastSignOut is when the last request to sign out at an application came to the server, as its access
// log has it.
func (p *hostsProcess) lastSignOut(t *testing.T) (began time.Time) {
	t.Helper()
	eventually(t, 10*time.Second, func() string {
		log, err := os.ReadFile(p.process.logFile())
		if err != nil {
			return err.Error()
		}
		for line := range strings.Lines(string(log)) {
			var entry struct {
				Msg          string
				TS, Duration float64
				Request      struct{ Method, URI string }
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "handled request" &&
				entry.Request.Method == http.MethodPost && entry.Request.URI == "/.auth/logout" {
				began = time.UnixMicro(int64((entry.TS - entry.Duration) * 1e6))
			}
		}
		if began.IsZero() {
			return "the access log has no sign-out"
		}
		return ""
	})
	return began
}

// hostsPage is an application's page: it says who is there, and holds a WebSocket and an event stream open.
const hostsPage = `<!doctype html>
<title>Application</title>
<p id="user">%s</p>
<p id="uri">%s</p>
<p id="socket">connecting</p>
<p id="events">connecting</p>
<script>
	const show = (id, state) => { document.getElementById(id).textContent = state; };
	const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws");
	socket.onopen = () => show("socket", "open");
	socket.onclose = () => show("socket", "closed");
	const events = new EventSource("/events");
	events.onopen = () => show("events", "open");
	events.onerror = () => { events.close(); show("events", "closed"); };
</script>
<script src="/.auth/session.js" defer></script>
`

// openApplication is an application with hostsPage, which knows what of it is open.
type openApplication struct {
	*httptest.Server

	mu   sync.Mutex
	open []*openStream
}

// openStream is an answer of an application that goes on.
type openStream struct {
	what  string // host and path
	user  string
	ended chan time.Time // holds one when it has ended
}

func newOpenApplication(t *testing.T) *openApplication {
	t.Helper()
	a := new(openApplication)
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", a.socket)
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("data: hello\n\n"))
		_ = http.NewResponseController(w).Flush()
		defer a.opens(r)()
		<-r.Context().Done()
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, hostsPage, html.EscapeString(r.Header.Get("X-User-Id")), html.EscapeString(r.RequestURI))
	})
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.CloseClientConnections)
	return a
}

func (a *openApplication) socket(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	_, _ = conn.Write(hello)
	defer a.opens(r)()
	buffer := make([]byte, 512)
	for {
		if n, err := conn.Read(buffer); err != nil || n == 0 {
			return
		}
	}
}

// opens notes a stream, and returns what notes its end.
func (a *openApplication) opens(r *http.Request) (ends func()) {
	s := &openStream{r.Host + r.URL.Path, r.Header.Get("X-User-Id"), make(chan time.Time, 1)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open = append(a.open, s)
	return func() { s.ended <- time.Now() }
}

// openOf are a person's streams that have not ended.
func (a *openApplication) openOf(user string) (open []*openStream) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.open {
		if s.user == user && len(s.ended) == 0 {
			open = append(open, s)
		}
	}
	return open
}
