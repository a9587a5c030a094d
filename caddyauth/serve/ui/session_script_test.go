package ui

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func fetched(serve http.HandlerFunc, method string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/session.js", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	serve(w, r)
	return w
}

func builds() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{"session.js": SessionScript, "session.mjs": SessionModule}
}

func TestTheSessionScriptIsCachedByItsContent(t *testing.T) {
	tags := map[string]bool{}
	for name, serve := range builds() {
		w := fetched(serve, "GET")
		for _, c := range []struct{ header, want string }{
			{"Content-Type", "text/javascript; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"},
			{"Cache-Control", "public, max-age=3600"},
		} {
			t.Run(c.header, func(t *testing.T) {
				if got := w.Header().Get(c.header); got != c.want {
					t.Errorf("%s: %s is %q, want %q", name, c.header, got, c.want)
				}
			})
		}
		tag := w.Header().Get("ETag")
		if !regexp.MustCompile(`^"[0-9a-f]{32}"$`).MatchString(tag) || tags[tag] {
			t.Errorf("%s: ETag %s", name, tag)
		}
		tags[tag] = true
		if again := fetched(serve, "GET", "If-None-Match", tag); again.Code != http.StatusNotModified ||
			again.Body.Len() > 0 {
			t.Errorf("%s: %d for one who has it", name, again.Code)
		}
		if other := fetched(serve, "GET", "If-None-Match", `"other"`); other.Code != http.StatusOK ||
			other.Body.String() != w.Body.String() {
			t.Errorf("%s: %d for one who has another", name, other.Code)
		}
		if head := fetched(serve, "HEAD"); head.Code != http.StatusOK || head.Body.Len() > 0 ||
			head.Header().Get("ETag") != tag {
			t.Errorf("%s: HEAD %d", name, head.Code)
		}
	}
}

func TestTheSessionScriptAsksNothingOfAPolicy(t *testing.T) {
	for name, serve := range builds() {
		text := fetched(serve, "GET").Body.String()
		if found := regexp.MustCompile(`\beval\b|\bFunction\(|innerHTML|outerHTML|document\.write|` +
			`\bstyle\b|createElement|\bimport\s|\bimport\(|require\(|setTimeout\("|document\.cookie`).
			FindString(text); found != "" {
			t.Errorf("%s: %q", name, found)
		}
		if strings.Contains(text, "import.meta") != (name == "session.mjs") {
			t.Errorf("%s: import.meta", name)
		}
		if len(text) > 16<<10 {
			t.Errorf("%s: %d bytes", name, len(text))
		}
	}
}

// TestTheSessionScriptInABrowserOfItsOwn runs what is served in the simulated browsers of testdata.
func TestTheSessionScriptInABrowserOfItsOwn(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI_REQUIRE_ALL") == "1" {
			t.Fatal("node is not installed, and CI_REQUIRE_ALL=1")
		}
		t.Skip("node is not installed: the behaviour of session.js is not tested")
	}
	dir := t.TempDir()
	for name, serve := range builds() {
		if err := os.WriteFile(filepath.Join(dir, name), fetched(serve, "GET").Body.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), node, "--experimental-vm-modules", "--no-warnings", "--test-reporter=tap",
		"testdata/session.test.mjs")
	cmd.Env = append(os.Environ(), "SESSION_SCRIPTS="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^# pass [1-9]`).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", bytes.Join(regexp.MustCompile(`(?m)^# (tests|pass|fail|skipped) .*`).FindAll(out, -1), []byte(" ")))
}
