package integration

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// ownService is a site that programs of people's own ask.
const ownService = `
http://:{{port "verdict"}} {
	auth_verdict traefik
	jwt_auth web api {
		forward sub X-Remote-User
	}
}
`

// TestVerdictForAServiceOfYourOwn: what docs/other-proxies.md shows for programs that ask works as it is.
func TestVerdictForAServiceOfYourOwn(t *testing.T) {
	g := newGateway(t)
	g.extra["Upstream"], g.extra["Application"] = g.proxy.addr(), "app.localhost"
	g.load(verdictAuth+verdictServers("verdict"), authSite+ownService)
	alice := people(g.tokens)["alice"]
	run := func(t *testing.T, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(requireProgram(t, name), args...)
		cmd.Env = append(os.Environ(), "TOKEN="+alice)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, stderr.String())
		}
		return string(out)
	}
	t.Run("curl", func(t *testing.T) {
		requireProgram(t, "curl")
		output := strings.Split(run(t, "bash", "-c", g.documented(t, "A service of your own", "sh", 1)), "\r\n")
		if !slices.Contains(output, "HTTP/1.1 200 OK") || !slices.Contains(output, "X-Remote-User: alice") {
			t.Errorf("it says %q", output)
		}
	})
	t.Run("python", func(t *testing.T) {
		program := g.documented(t, "A service of your own", "python", 1) + `
import os
for headers in (
    [("Authorization", "Bearer " + os.environ["TOKEN"]), ("X-Remote-User", "bob")],
    [("X-Remote-User", "bob"), ("X-Forwarded-Uri", "/x")],
    [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
):
    who, rest = verdict("GET", "https", "app.localhost", "/alice/?x=1", headers, "203.0.113.9")
    print(who, rest if who else rest.status)
`
		if output, want := run(t, "python3", "-c", program), "alice []\nNone 401\nNone 303\n"; output != want {
			t.Errorf("it says %q, want %q", output, want)
		}
	})
}
