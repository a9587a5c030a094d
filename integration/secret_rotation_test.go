package integration

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sealingServer is a process whose secret is in a file.
type sealingServer struct {
	*process
	file string
}

// rewrites puts other entries into the file of the secret.
func (s sealingServer) rewrites(t *testing.T, entries ...string) {
	t.Helper()
	writeFile(t, s.file, strings.Join(entries, ",")+"\n")
}

// restarts ends the process and starts it again.
func (s sealingServer) restarts(t *testing.T) {
	t.Helper()
	s.kill(t)
	s.start(t)
	s.awaitReady(t)
}

// mustNotRestart ends the process, which then must not start for a reason, and starts it with other
// entries.
func (s sealingServer) mustNotRestart(t *testing.T, word string, entries ...string) {
	t.Helper()
	s.kill(t)
	s.start(t)
	<-s.ended
	if out, err := os.ReadFile(s.logFile()); err != nil || !strings.Contains(string(last(out)), word) {
		t.Errorf("it ended without saying %q: %s, %v", word, last(out), err)
	}
	s.rewrites(t, entries...)
	s.restarts(t)
}

// opaqueToken signs alice in with the API.
func (s sealingServer) opaqueToken(t *testing.T) string {
	t.Helper()
	got := sendHTTP1(t, s.g.addr(s.name), call{
		method: http.MethodPost,
		target: "/api/default/auth/login",
		host:   s.g.host(s.name),
		lines:  []string{"Content-Type: application/json"},
		body:   encode(t, map[string]string{"username": "alice", "password": alicePassword}),
	})
	var body struct {
		Token string `json:"access_token"`
	}
	err := json.Unmarshal([]byte(got.body), &body)
	if err != nil || got.status != http.StatusOK || !strings.HasPrefix(body.Token, "at_") {
		t.Fatalf("signing in: status %d: %s", got.status, got.body)
	}
	s.g.secret("an opaque token", body.Token)
	return body.Token
}

// passes demands what becomes of tokens at the gate.
func (s sealingServer) passes(t *testing.T, when string, tokens map[string]int) {
	t.Helper()
	for raw, status := range tokens {
		if got := s.visits(t, raw); got != status {
			t.Errorf("%s: status %d, want %d, for %.9s", when, got, status, raw)
		}
	}
}

// TestTheSealingSecretIsRotated from its first entry to none but the new one: what was made with an
// entry is good for as long as it stands, whatever the order, and no longer.
func TestTheSealingSecretIsRotated(t *testing.T) {
	g := newGateway(t)
	entry := func(kid string) string {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(kid+".", 12)))
		g.secret("the secret "+kid, text)
		return kid + ":" + text
	}
	old, next, other := entry("old"), entry("new"), entry("other")
	s := sealingServer{file: filepath.Join(g.dir, "sealing.secret")}
	s.rewrites(t, old)
	auth := "auth {\n\tissuer {{url \"node\"}}\n\tsecret {file." + s.file + "}\n\taccess_token_format opaque\n" +
		"\tuser alice {\n\t\tpassword_hash {{hash \"alice\"}}\n\t}\n}"
	g.extra["Level"] = "INFO"
	s.process = g.startProcess(t, "node", auth, recipeSite)
	s.awaitReady(t)
	first := s.opaqueToken(t)

	s.rewrites(t, next, old)
	s.reload(t, nil, "--force")
	second := s.opaqueToken(t)
	both := map[string]int{first: http.StatusOK, second: http.StatusOK}
	s.passes(t, "the new one in front", both)
	s.rewrites(t, old, next)
	s.reload(t, nil, "--force")
	s.passes(t, "in another order", both)

	// The key in the store is sealed with the old one.
	s.rewrites(t, next)
	s.mustNotRestart(t, `secret \"old\" is not in the ring`, next, old)
	s.passes(t, "both again", both)
	for id := range s.keyStates(t) {
		s.prints(t, id, "keys", "revoke", id, "--yes")
	}
	s.rewrites(t, next)
	s.restarts(t)
	s.passes(t, "the new one alone", map[string]int{first: http.StatusUnauthorized, second: http.StatusOK})
	s.prints(t, "meta", "store", "export", filepath.Join(g.dir, "auth.export"))

	for _, c := range []struct{ name, entry, word string }{
		{"one that never was", other, "not the secret the store was created with"},
		{"the old one, which lacks the key", old, `secret \"new\" is not in the ring`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.rewrites(t, c.entry)
			s.mustNotRestart(t, c.word, next)
			s.passes(t, "the new one alone", map[string]int{second: http.StatusOK})
		})
	}
}
