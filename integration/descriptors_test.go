package integration

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestIdleClientsDoNotKeepOthersOutForLong: 256 open files, and 400 clients that connect and say nothing. The server warns at its start, and
// with short time limits for clients, as the warning and the documentation have it, others are answered again.
func TestIdleClientsDoNotKeepOthersOutForLong(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no limit of open files")
	}
	g := newGateway(t)
	g.extra["Level"], g.extra["More"] = "WARN", ""
	g.secret("the sealing secret", goodSecret)
	built, err := g.program()
	if err != nil {
		t.Fatal(err)
	}
	limited := filepath.Join(g.dir, "limited")
	if err := os.WriteFile(limited, []byte("#!/bin/sh\nulimit -n 256 && exec '"+built+"' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	g.program = func() (string, error) { return limited, nil }
	auth := "servers {{addr \"public\"}} {\ntimeouts {\nread_header 2s\nidle 2s\n}\n}\n" + nodeAuth
	server := g.startProcess(t, "public", auth, nodeSite, "TEST_STORE="+g.dir+"/auth.db", "TEST_SECRET=seal:"+goodSecret)
	server.awaitReady(t)
	log, err := os.ReadFile(server.logFile())
	if err != nil || !strings.Contains(string(log), "this process may have 256 files open") {
		t.Errorf("no warning (%v): %s", err, last(log))
	}
	for range 400 {
		idle, err := net.Dial("tcp", g.addr("public"))
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close()
	}
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
