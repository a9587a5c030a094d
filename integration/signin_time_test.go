package integration

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// TestRefusalsTakeTheSameTime is the coarse, real side of what the room for identities counts
// exactly: whatever kind of hash a user has, and whether there is one, the refusal takes as long.
func TestRefusalsTakeTheSameTime(t *testing.T) {
	g, tokens := apiGateway(t)
	hash, err := bcrypt.GenerateFromPassword([]byte(alicePassword), 11)
	if err != nil {
		t.Fatal(err)
	}
	costly := strings.Replace(apiAuth, `{{hash "alice"}}`, string(hash), 1)
	g.load(costly, apiSite)
	g.secret("mallory's password", malloryPassword)
	for _, user := range []map[string]any{
		{"name": "mallory", "password": malloryPassword},
		{"name": "locked", "password": malloryPassword, "disabled": true},
		{"name": "blank"},
	} {
		if a := g.manage(t, "POST", "/api/users", tokens["create"], encode(t, user)); a.status != http.StatusCreated {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	names := []string{"alice", "mallory", "locked", "blank", "nobody"}
	took := map[string]time.Duration{}
	for range 4 { // in turn, and the least of each counts: the machine may be busy, but it is never too fast
		for _, name := range names {
			began := time.Now()
			if a := g.tryLogin(t, name, "not-the-password"); a.status != http.StatusUnauthorized {
				t.Fatalf("%s: status %d: %s", name, a.status, a.body)
			}
			if once := time.Since(began); took[name] == 0 || once < took[name] {
				took[name] = once
			}
		}
	}
	for _, name := range names { // kinds differ by a factor of 4 and more
		if ratio := float64(took[name]) / float64(took["nobody"]); ratio < 0.5 || ratio > 2 {
			t.Errorf("%s is refused in %v, nobody in %v", name, took[name], took["nobody"])
		}
	}
	t.Log(took)
}

// TestHashesAreRenewedAtSignIn: a user of another kind of hash than new ones have gets a new hash
// with the next right password.
func TestHashesAreRenewedAtSignIn(t *testing.T) {
	g, tokens := apiGateway(t)
	withCarl := takeoverAuth("user carl {\n\t\tpassword_hash " + cheapHash(malloryPassword) + "\n\t}")
	g.secret("carl's password", malloryPassword)
	g.load(withCarl, apiSite)
	g.load(apiAuth, apiSite) // carl stays in the store with his bcrypt hash
	id := g.idOf(t, "carl", tokens["admin"])
	if a := g.manage(t, "PATCH", "/api/users/"+id, tokens["admin"], `{"disabled":false}`); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	before := g.storedUser(t, id, tokens["admin"])
	first := g.heldOf(t, "default", "carl", malloryPassword)
	if after := g.storedUser(t, id, tokens["admin"]); after != before {
		t.Errorf("the renewal shows: %s, before %s", after, before)
	}
	if a := g.visit(t, "api", first.browser); a.status != http.StatusOK {
		t.Errorf("the session in which the hash was renewed: status %d", a.status)
	}
	g.login(t, "carl", malloryPassword)
	if err := stopServer(); err != nil {
		t.Fatal(err)
	}
	store, err := sqlstore.New("sqlite:" + filepath.Join(g.dir, "auth.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, kind string }{{"carl", "$argon2id$"}, {"alice", "$2a$04$"}} {
		t.Run(c.name, func(t *testing.T) {
			u, err := store.FindUser(t.Context(), "default", c.name)
			if err != nil || !strings.HasPrefix(u.PasswordHash, c.kind) {
				t.Errorf("%s has a hash that does not begin with %s: %v", c.name, c.kind, err)
			}
		})
	}
}

// storedUser is a user as the API has them, without the times.
func (g *gateway) storedUser(t *testing.T, id, bearer string) string {
	t.Helper()
	var user map[string]any
	if err := json.Unmarshal([]byte(g.manage(t, "GET", "/api/users/"+id, bearer, "").body), &user); err != nil {
		t.Fatal(err)
	}
	return encode(t, user)
}
