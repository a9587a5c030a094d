package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// program builds the server as people run it, once for all tests.
var program = sync.OnceValues(func() (string, error) {
	return buildServer(scratch)
})

// buildServer builds the server into a folder.
func buildServer(dir string, flags ...string) (path string, err error) {
	path = filepath.Join(dir, "caddy")
	args := slices.Concat([]string{"build"}, flags, []string{"-o", path, "../cmd/caddy"})
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the server: %w\n%s", err, out)
	}
	return path, nil
}

// process is a server in a process of its own, which may be killed and started again on the same
// data. Its site, its folder and its log have its name.
type process struct {
	g       *gateway
	name    string
	config  string
	env     []string
	running *os.Process
	ended   chan struct{}
}

// processGlobals are the global options of a process. The address of a client is what the test says
// it is; the admin endpoint has the name of the process with "-admin".
const processGlobals = `{
	admin {{addr (print .Node "-admin")}}
	persist_config off
	auto_https {{.AutoHTTPS}}
	default_bind 127.0.0.1
	grace_period 1s
	storage file_system "{{.Dir}}/{{.Node}}/storage"
	log {
		output file "{{.Dir}}/{{.Node}}.log" {
			roll_disabled
		}
		level {{.Level}}
		format json
	}
	servers {
		trusted_proxies static 127.0.0.1/32
	}
`

// startProcess writes the configuration of a process and starts it. env is added to its
// environment.
func (g *gateway) startProcess(t *testing.T, name, auth, site string, env ...string) *process {
	t.Helper()
	p := g.newProcess(t, name, auth, site, env...)
	p.start(t)
	return p
}

// newProcess is startProcess without the start.
func (g *gateway) newProcess(t *testing.T, name, auth, site string, env ...string) *process {
	t.Helper()
	g.extra["Node"] = name
	text := g.expand(processGlobals+auth+"\n}\n") + g.expand("\n{{url .Node}} {\n"+site+"\n}\n")
	p := &process{g: g, name: name, config: filepath.Join(g.dir, name+".Caddyfile")}
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(g.dir, name)
	p.env = append(os.Environ(),
		append(env, "XDG_DATA_HOME="+filepath.Join(home, "data"), "XDG_CONFIG_HOME="+filepath.Join(home, "config"))...)
	p.ended = make(chan struct{})
	close(p.ended) // it does not live yet
	t.Cleanup(func() {
		p.kill(t)
		for _, file := range []string{p.logFile(), p.outFile()} {
			log, _ := os.ReadFile(file)
			for _, leak := range leaks(string(log), g.secrets, g.tokens.signatures()) {
				t.Errorf("%s of %s holds %s", filepath.Base(file), name, leak)
			}
		}
	})
	return p
}

// command runs the program with the environment of the process, on its configuration, and returns
// both outputs and the exit code.
func (p *process) command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"auth"}, append(args, "--config", p.config)...)...)
	var out, complaint strings.Builder
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, &out, &complaint
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), complaint.String(), cmd.ProcessState.ExitCode()
}

func (p *process) logFile() string { return filepath.Join(p.g.dir, p.name+".log") }
func (p *process) outFile() string { return filepath.Join(p.g.dir, p.name+".out") }

// start starts the process and returns at once; awaitReady waits.
func (p *process) start(t *testing.T) {
	t.Helper()
	path, err := p.g.program()
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(p.outFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(path, "run", "--config", p.config, "--adapter", "caddyfile")
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, out, out
	started, ended := make(chan error, 1), make(chan struct{})
	go launch(cmd, started, ended)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	p.running, p.ended = cmd.Process, ended
}

// kill ends the process without a word (kill -9) and waits until it is gone.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if !p.lives() {
		return
	}
	_ = p.running.Kill() // it may have ended meanwhile
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not end", p.name)
	}
}

func (p *process) lives() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// awaitReady waits until the process says that it can issue tokens.
func (p *process) awaitReady(t *testing.T) {
	t.Helper()
	var got answer
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) &&
		p.lives(); time.Sleep(5 * time.Millisecond) {
		if got = p.health(t); got.status == http.StatusOK {
			return
		}
	}
	out, _ := os.ReadFile(p.outFile())
	log, _ := os.ReadFile(p.logFile())
	t.Fatalf("%s is not ready (it lives: %v): status %d, %s %v\n%s\n%s", p.name, p.lives(), got.status, got.body,
		got.broken, last(out), last(log))
}

func (p *process) health(t *testing.T) answer {
	return p.g.send(t, p.name, call{target: "/healthz"})
}

func last(text []byte) []byte { return text[max(0, len(text)-3000):] }

// signInAt signs alice in at one of several servers, coming from an address of her own, and returns
// the cookies and the answer.
func (g *gateway) signInAt(t *testing.T, site, address string) (cookies, answer) {
	t.Helper()
	a := g.loginAt(t, site, address, alicePassword)
	return g.received(a), a
}

// loginAt sends alice's name with a password to one of several servers.
func (g *gateway) loginAt(t *testing.T, site, address, password string) answer {
	t.Helper()
	return sendHTTP1(t, g.addr(site), call{
		method: http.MethodPost,
		target: "/login",
		host:   g.host(site),
		lines:  []string{"Content-Type: application/json", "X-Forwarded-For: " + address},
		body:   encode(t, map[string]string{"username": "alice", "password": password}),
	})
}

// signOutAt signs out at one of several servers.
func (g *gateway) signOutAt(t *testing.T, site string, c cookies) answer {
	t.Helper()
	return sendHTTP1(t, g.addr(site),
		call{method: http.MethodPost, target: "/logout", host: g.host(site), lines: c.lines()})
}
