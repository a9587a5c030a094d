package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// T is what is needed of *testing.T, *testing.B and *testing.F.
type T interface {
	Helper()
	Cleanup(func())
	Skip(args ...any)
	Fatal(args ...any)
}

// user is the superuser of every server.
const user = "auth"

// patience bounds starting and stopping.
const patience = 30 * time.Second

// Postgres is a running server. It belongs to the whole test binary: a test which stops it does not
// run beside others.
type Postgres struct {
	dir      string // holds the data, the socket and the log
	postgres string // the program
	port     int
	password string
	as       account

	process *os.Process
	ended   chan struct{} // closed when process has ended
}

// shared is the server of this test binary, or the error of its start.
var shared struct {
	sync.Mutex
	server *Postgres
	err    error
}

// Main runs the tests of a package, then stops the server which they started, if they did, and
// returns the exit code.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		if err := shared.server.remove(); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			return max(code, 1)
		}
	}
	return code
}

// Server returns the server of this test binary, running; the first call starts it. Without an
// installed server the test is skipped, or fails when CI_REQUIRE_ALL is 1.
func Server(t T) *Postgres {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = create()
	}
	if errors.Is(shared.err, errNotInstalled) && os.Getenv("CI_REQUIRE_ALL") != "1" {
		t.Skip(shared.err)
	}
	if shared.err != nil {
		t.Fatal("pgtest: ", shared.err)
	}
	return shared.server
}

var errNotInstalled = errors.New("PostgreSQL is not installed: no initdb and postgres in PATH, /usr/local/bin or " +
	"/usr/lib/postgresql/*/bin")

// programs finds initdb and postgres beside each other, the newest first.
func programs() (initdb, postgres string, err error) {
	folders := filepath.SplitList(os.Getenv("PATH"))
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Reverse(versions)
	for _, folder := range append(append(folders, "/usr/local/bin"), versions...) {
		initdb, postgres = filepath.Join(folder, "initdb"), filepath.Join(folder, "postgres")
		if _, err := exec.LookPath(initdb); err != nil {
			continue
		}
		if _, err := exec.LookPath(postgres); err == nil {
			return initdb, postgres, nil
		}
	}
	return "", "", errNotInstalled
}

// create makes a data directory and starts a server on it.
func create() (*Postgres, error) {
	initdb, postgres, err := programs()
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest") // short: the path of a socket has at most 107 bytes
	if err != nil {
		return nil, err
	}
	p := &Postgres{dir: dir, postgres: postgres, password: rand.Text(), as: as}
	if err := errors.Join(as.own(dir), p.initialise(initdb)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := p.start(); err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

// initialise makes the data directory; the password is asked for on the socket too, as on a server
// in use.
func (p *Postgres) initialise(initdb string) error {
	secret := filepath.Join(p.dir, "password")
	if err := errors.Join(os.WriteFile(secret, []byte(p.password+"\n"), 0o600), p.as.own(secret)); err != nil {
		return err
	}
	// The directory itself is made without flushing; the server then runs with fsync.
	cmd := p.command(initdb, "--pgdata", p.data(), "--username", user, "--pwfile", secret, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return os.Remove(secret)
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	p.as.run(cmd)
	return cmd
}

// start starts the server. It tries again with another port if the port was taken meanwhile, and
// after a pause while processes of a killed server still end.
func (p *Postgres) start() (err error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if p.port == 0 {
			if p.port, err = freePort(); err != nil {
				return err
			}
		}
		if err = p.startOnce(); err == nil {
			return nil
		}
		switch text := err.Error(); {
		case strings.Contains(text, "shared memory"):
		case strings.Contains(text, "Address already in use"):
			p.port = 0
		default:
			return err
		}
	}
	return err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (p *Postgres) startOnce() error {
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := p.command(p.postgres, "-D", p.data(), "-k", p.dir, "-h", "127.0.0.1", "-p", strconv.Itoa(p.port),
		"-c", "fsync=on", "-c", "max_connections=200", "-c", "shared_buffers=32MB")
	cmd.Stdout, cmd.Stderr = log, log
	started, ended := make(chan error, 1), make(chan struct{})
	go launch(cmd, started, ended)
	if err := <-started; err != nil {
		return err
	}
	p.process, p.ended = cmd.Process, ended
	return p.ready()
}

// ready waits until the server answers.
func (p *Postgres) ready() error {
	deadline := time.After(patience)
	for {
		if err := p.exec("SELECT 1"); err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("postgres ended at its start:\n%s", p.Log())
		case <-deadline:
			return fmt.Errorf("postgres is not ready after %v:\n%s", patience, p.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Log returns what the server has logged since it was started.
func (p *Postgres) Log() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return string(text)
}

// Start starts the server again, on the same port.
func (p *Postgres) Start(t T) {
	t.Helper()
	if p.running() {
		return
	}
	if err := p.start(); err != nil {
		t.Fatal("pgtest: ", err)
	}
}

// Stop shuts the server down; connections are told (`pg_ctl stop -m fast`). After the test it runs
// again.
func (p *Postgres) Stop(t T) { p.end(t, syscall.SIGINT) }

// Kill ends the server without a shutdown, as a loss of power would. After the test it runs again.
func (p *Postgres) Kill(t T) { p.end(t, syscall.SIGKILL) }

func (p *Postgres) end(t T, signal syscall.Signal) {
	t.Helper()
	t.Cleanup(func() { p.Start(t) })
	if err := p.signal(signal); err != nil {
		t.Fatal("pgtest: ", err)
	}
}

func (p *Postgres) running() bool {
	if p.process == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal ends the server by its own process id and waits for it.
func (p *Postgres) signal(signal syscall.Signal) error {
	if !p.running() {
		return nil
	}
	if err := p.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("postgres has not ended %v after %v", patience, signal)
	}
}

// remove stops the server and deletes its files.
func (p *Postgres) remove() error {
	err := p.signal(syscall.SIGINT)
	if err != nil {
		err = errors.Join(err, p.signal(syscall.SIGQUIT))
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

// URL makes an empty database for the test and returns its URL, with a loopback address; options
// such as "pool_max_conns=4" are added. The database goes away with the test, and with it the
// connections to it.
func (p *Postgres) URL(t T, options ...string) string {
	t.Helper()
	u := p.place(p.database(t))
	u.RawQuery = strings.Join(append([]string{"sslmode=disable"}, options...), "&")
	return u.String()
}

// SocketURL is URL by way of the socket.
func (p *Postgres) SocketURL(t T, options ...string) string {
	t.Helper()
	u := p.place(p.database(t))
	u.Host = ""
	u.RawQuery = strings.Join(append([]string{"host=" + url.QueryEscape(p.dir), "port=" + strconv.Itoa(p.port)},
		options...), "&")
	return u.String()
}

func (p *Postgres) place(database string) *url.URL {
	return &url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(user, p.password),
		Host:   fmt.Sprintf("127.0.0.1:%d", p.port),
		Path:   "/" + database,
	}
}

func (p *Postgres) database(t T) string {
	t.Helper()
	name := "t" + strings.ToLower(rand.Text())
	if err := p.exec("CREATE DATABASE " + name); err != nil {
		t.Fatal("pgtest: ", err)
	}
	t.Cleanup(func() {
		if err := p.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Fatal("pgtest: ", err)
		}
	})
	return name
}

// exec runs a statement as the superuser, in the database that is always there.
func (p *Postgres) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	u := p.place("postgres")
	u.RawQuery = "sslmode=disable"
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
