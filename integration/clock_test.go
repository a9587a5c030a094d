package integration

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// clockProgram is the server with a clock that can be set, and nothing else changed: the package
// time of the standard library reads two numbers from a file, seconds for the clock and nanoseconds
// for the monotonic one, and adds them to what the system says.
var clockProgram = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "clock")
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	text, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		return "", err
	}
	const reads = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	changed := strings.Replace(string(text), reads, reads+"\tsec, mono = sec+clockAhead(0), mono+clockAhead(1)\n", 1)
	if changed == string(text) {
		return "", errors.New("time.Now of this Go release is written differently: the test's clock cannot be " +
			"put into it")
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(source, "time.go"):        filepath.Join(dir, "time.go"),
		filepath.Join(source, "clock_ahead.go"): filepath.Join(dir, "clock_ahead.go"),
	}})
	err = errors.Join(err, os.MkdirAll(dir, 0o700),
		os.WriteFile(filepath.Join(dir, "time.go"), []byte(changed), 0o600),
		os.WriteFile(filepath.Join(dir, "clock_ahead.go"), []byte(clockSource), 0o600),
		os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	if err != nil {
		return "", err
	}
	return buildServer(dir, "-overlay", filepath.Join(dir, "overlay.json"))
})

const clockSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var clockPage = mapClock()

func clockAhead(i int) int64 {
	if clockPage == nil {
		return 0
	}
	return atomic.LoadInt64(&clockPage[i])
}

func mapClock() *[2]int64 {
	name, ok := syscall.Getenv("CADDYAUTH_TEST_CLOCK")
	if !ok {
		return nil
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	page, err := syscall.Mmap(fd, 0, 16, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return (*[2]int64)(unsafe.Pointer(&page[0]))
}
`

// clock is the clock of a process.
type clock struct {
	t      *testing.T
	file   string
	passed time.Duration // with wait
}

// wait has time pass, also for timers.
func (c *clock) wait(d time.Duration) {
	c.t.Helper()
	c.passed += d
	c.set(0, c.passed)
}

// set puts the clock ahead of the right time, at which passed has passed without a timer having
// noticed.
func (c *clock) set(ahead, passed time.Duration) {
	c.t.Helper()
	var page [16]byte
	binary.NativeEndian.PutUint64(page[:8], uint64((ahead+passed)/time.Second))
	binary.NativeEndian.PutUint64(page[8:], uint64(passed))
	f, err := os.OpenFile(c.file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(page[:])
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

const clockAuth = `
	auth {
		issuer {{url "server"}}
		store "sqlite:{{.Dir}}/auth.db"
		secret {env.TEST_SECRET}
		user alice {
			password_hash {{hash "alice"}}
		}
	}
`

// TestTheClockJumpsAndComesBack: what was revoked stays revoked, and who signed in meanwhile may
// sign in afterwards.
func TestTheClockJumpsAndComesBack(t *testing.T) {
	requireClock(t)
	for _, ahead := range []time.Duration{time.Hour, 10 * 24 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) { jumpAndComeBack(t, ahead) })
	}
}

// requireClock skips a test that needs a clock that can be set, unless it is asked for.
func requireClock(t *testing.T) {
	t.Helper()
	if os.Getenv("CI_REQUIRE_ALL") != "1" && os.Getenv("CADDYAUTH_CLOCK") != "1" {
		t.Skip("it compiles the standard library and everything else with a clock that can be set, which takes " +
			"minutes once: set CADDYAUTH_CLOCK=1")
	}
}

func jumpAndComeBack(t *testing.T, ahead time.Duration) {
	g := newGateway(t)
	g.program = clockProgram
	g.extra["Level"] = "INFO"
	g.secret("the sealing secret", goodSecret)
	c := &clock{t: t, file: filepath.Join(g.dir, "clock")}
	c.set(0, 0)
	server := g.startProcess(t, "server", clockAuth, nodeSite, "TEST_SECRET=seal:"+goodSecret,
		"CADDYAUTH_TEST_CLOCK="+c.file)
	server.awaitReady(t)
	signedIn := func(address string) cookies {
		t.Helper()
		got, a := g.signInAt(t, "server", address)
		if a.status != http.StatusOK || got.access == "" {
			t.Fatalf("signing in: status %d, %s", a.status, a.body)
		}
		return got
	}
	admitted := func(who cookies) bool {
		a := sendHTTP1(t, g.addr("server"), call{host: g.host("server"), lines: cookies{access: who.access}.lines()})
		return a.status == http.StatusOK
	}

	before, meanwhile, stays := signedIn("10.9.0.1"), signedIn("10.9.0.2"), signedIn("10.9.0.3")
	g.signOutAt(t, "server", before)

	c.set(ahead, 2*time.Minute)
	if admitted(stays) {
		t.Fatal("the server's clock does not follow the test's")
	}
	if a := g.signOutAt(t, "server", meanwhile); a.status != http.StatusNoContent {
		t.Fatalf("signing out while the clock is ahead: status %d, %s", a.status, a.body)
	}
	for range 3 { // the wrong password and the right one, both of them now and then
		g.wrongPasswordAt(t, "server", "10.9.0.4")
	}
	late := signedIn("10.9.0.4")
	time.Sleep(1500 * time.Millisecond) // the server looks for what is over when it polls, at least every half second

	server.kill(t) // what the next process reads is what was not deleted
	server.start(t)
	server.awaitReady(t)
	time.Sleep(1500 * time.Millisecond)

	c.set(0, 4*time.Minute)
	for _, c := range []struct {
		name string
		who  cookies
	}{{"before", before}, {"while", meanwhile}} {
		if admitted(c.who) {
			t.Errorf("a session that was ended %s the clock was ahead is admitted when it is back", c.name)
		}
	}
	if !admitted(stays) {
		t.Error("a session that was not ended is refused when the clock is back")
	}
	if admitted(late) {
		t.Error("a token from the future is admitted")
	}
	g.wrongPasswordAt(t, "server", "10.9.0.4")
	signedIn("10.9.0.4")
}

// wrongPasswordAt tries to sign in, and may be told that the password is wrong but not to wait.
func (g *gateway) wrongPasswordAt(t *testing.T, site, address string) {
	t.Helper()
	a := g.loginAt(t, site, address, "not hers at all")
	if a.status != http.StatusUnauthorized {
		t.Errorf("a wrong password: status %d, %s", a.status, a.body)
	}
}
