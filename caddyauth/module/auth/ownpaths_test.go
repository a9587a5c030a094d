package auth

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/integration/documents"
)

// TestOwnPrefixesCoverEndpoints holds the list of the server's prefixes against the table of endpoints in the README.
func TestOwnPrefixesCoverEndpoints(t *testing.T) {
	_, section, _ := strings.Cut(documents.Read(t, "README.md"), "\n## Endpoints\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var paths []string
	for line := range strings.Lines(section) {
		if cell, isRow := strings.CutPrefix(line, "| `"); isRow {
			cell, _, _ = strings.Cut(cell, " | ")
			paths = append(paths, regexp.MustCompile(`/[\w./-]+`).FindAllString(strings.ReplaceAll(cell, "{projectId}", "default"), -1)...)
		}
	}
	if len(paths) < 15 {
		t.Fatalf("only %d endpoints were found: %q", len(paths), paths)
	}
	s := &AuthServer{}
	for _, path := range paths {
		if _, ours := s.ownRoute(path); !ours {
			t.Errorf("%s is not below any of %q", path, ownPrefixes)
		}
	}
}

// TestPassingOnAllocatesNothing: every request of an application on the same site is looked at.
func TestPassingOnAllocatesNothing(t *testing.T) {
	for _, mount := range []string{"", "/auth"} {
		s := &AuthServer{mount: mount}
		if n := testing.AllocsPerRun(100, func() { s.ownRoute("/assets/js/app.6f2c.js") }); n != 0 {
			t.Errorf("mount %q: %v allocations", mount, n)
		}
	}
}
