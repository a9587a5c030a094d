package integration

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestIdleClientsDoNotKeepOthersOutForLong: 256 open files, and 400 clients that connect and say
// nothing. The server warns at its start, and with short time limits for clients, as the warning
// and the documentation have it, others are answered again.
func TestIdleClientsDoNotKeepOthersOutForLong(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no limit of open files")
	}
	g := newGateway(t)
	server := g.startLimited(t, "timeouts {\nread_header 2s\nidle 2s\n}")
	log, err := os.ReadFile(server.logFile())
	if err != nil || !strings.Contains(string(log), "this process may have 256 files open") {
		t.Errorf("no warning (%v): %s", err, last(log))
	}
	g.silentClients(t, 400)
	begun := time.Now()
	eventually(t, 10*time.Second, func() string {
		if _, a := g.signInAt(t, "public", "10.9.0.1"); a.status != http.StatusOK {
			return fmt.Sprintf("signing in: status %d, %s %v", a.status, a.body, a.broken)
		}
		return ""
	})
	t.Logf("a sign-in was answered after %v", time.Since(begun))
	if _, a := g.signInAt(t, "public", "10.9.0.2"); a.status != http.StatusOK {
		t.Errorf("signing in later: status %d, %s", a.status, a.body)
	}
}

// TestClientsAreAnsweredBesideIdleOnes: with auth_connections and Caddy's own time limits, 400
// silent clients keep nobody waiting, also over reloads, and their places are given back when they
// go.
func TestClientsAreAnsweredBesideIdleOnes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no limit of open files")
	}
	g := newGateway(t)
	server := g.startLimited(t, "listener_wrappers {\nauth_connections\ntls\n}")
	for round := range 3 {
		away := g.silentClients(t, 400)
		begun := time.Now()
		eventually(t, clientPatience, func() string {
			a := sendHTTP1(t, g.addr("public"), signInCall(g))
			switch {
			case a.status == http.StatusOK:
				return ""
			case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "1":
				return ""
			}
			return fmt.Sprintf("signing in: status %d, %s %v", a.status, a.body, a.broken)
		})
		took := time.Since(begun)
		t.Logf("round %d: a sign-in was answered after %v", round, took)
		if took > time.Second {
			t.Errorf("round %d: a sign-in was answered only after %v", round, took)
		}
		server.reload(t, server.env, "--force")
		away()
		eventually(t, clientPatience, func() string {
			if _, a := g.signInAt(t, "public", "10.9.0.1"); a.status != http.StatusOK {
				return fmt.Sprintf("signing in after the silent clients went: status %d, %s %v", a.status, a.body,
					a.broken)
			}
			return ""
		})
	}
	metrics := sendHTTP1(t, g.addr("public-admin"), call{target: "/metrics", host: g.addr("public-admin")})
	found := regexp.MustCompile(`(?m)^caddy_auth_connections_refused_total ([0-9.e+]+)$`).
		FindStringSubmatch(metrics.body)
	if n := number(t, found); n < 3*(400-96) {
		t.Errorf("%v refused connections are counted, want at least %d", n, 3*(400-96))
	}
}

func number(t *testing.T, found []string) float64 {
	t.Helper()
	if found == nil {
		t.Fatal("the metric is missing")
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// signInCall is signInAt's request, without a judgement of what comes back.
func signInCall(g *gateway) call {
	return call{
		method: http.MethodPost,
		target: "/login",
		host:   g.host("public"),
		lines:  []string{"Content-Type: application/json"},
		body:   `{"username":"alice","password":"` + alicePassword + `"}`,
	}
}

// startLimited starts a server that may have 256 files open, with options for the listener of its
// site.
func (g *gateway) startLimited(t *testing.T, options string) *process {
	t.Helper()
	g.extra["Level"], g.extra["More"] = "WARN", ""
	g.secret("the sealing secret", goodSecret)
	built, err := g.program()
	if err != nil {
		t.Fatal(err)
	}
	limited := filepath.Join(g.dir, "limited")
	if err := os.WriteFile(limited, []byte("#!/bin/sh\nulimit -n 256 && exec '"+built+
		"' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	g.program = func() (string, error) { return limited, nil }
	auth := "servers {{addr \"public\"}} {\n" + options + "\n}\n" + nodeAuth
	server := g.startProcess(t, "public", auth, nodeSite, "TEST_STORE="+g.dir+"/auth.db",
		"TEST_SECRET=seal:"+goodSecret)
	server.awaitReady(t)
	return server
}

// silentClients connects clients that say nothing until they are sent away, at the test's end at
// the latest.
func (g *gateway) silentClients(t *testing.T, n int) (away func()) {
	t.Helper()
	var idle []net.Conn
	away = func() {
		for _, conn := range idle {
			_ = conn.Close()
		}
	}
	t.Cleanup(away)
	for range n {
		conn, err := net.Dial("tcp", g.addr("public"))
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	return away
}
