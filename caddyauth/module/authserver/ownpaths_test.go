package authserver

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/integration/documents"
)

// TestOwnPrefixesCoverEndpoints compares the list of the server's prefixes with
// docs/reference/endpoints.md: every documented path is below a prefix, and every prefix has a
// documented path.
func TestOwnPrefixesCoverEndpoints(t *testing.T) {
	var paths []string
	for line := range strings.Lines(documents.Read(t, "docs/reference/endpoints.md")) {
		if cell, isRow := strings.CutPrefix(line, "| `"); isRow {
			cell, _, _ = strings.Cut(cell, " | ")
			paths = append(paths,
				regexp.MustCompile(`/[\w./-]+`).
					FindAllString(strings.ReplaceAll(cell, "{projectId}", "default"), -1)...)
		}
	}
	if len(paths) < 15 {
		t.Fatalf("only %d endpoints were found: %q", len(paths), paths)
	}
	s := serverOf(t)
	for _, path := range paths {
		if _, ours := s.ownRoute(path); !ours {
			t.Errorf("%s is not below any of %q", path, s.prefixes)
		}
	}
	for _, prefix := range s.prefixes {
		if !slices.ContainsFunc(paths, func(path string) bool { return isBelow(path, prefix) }) {
			t.Errorf("docs/reference/endpoints.md has no path below %s", prefix)
		}
	}
}

// serverOf is an auth_server at the root of a host.
func serverOf(t *testing.T) *AuthServer {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		AppsRaw: caddy.ModuleMap{
			"auth": json.RawMessage(`{"issuer":"https://auth.example.com","registration":{"open":true}}`),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := new(AuthServer)
	if err := s.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.app.Cleanup() })
	return s
}

// TestPassingOnAllocatesNothing: every request of an application on the same site is looked at.
func TestPassingOnAllocatesNothing(t *testing.T) {
	for _, mount := range []string{"", "/auth"} {
		s := &AuthServer{mount: mount, prefixes: serverOf(t).prefixes}
		if n := testing.AllocsPerRun(100, func() { s.ownRoute("/assets/js/app.6f2c.js") }); n != 0 {
			t.Errorf("mount %q: %v allocations", mount, n)
		}
	}
}
