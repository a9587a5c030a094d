package integration

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// TestAReloadThatAnotherAppRefusesChangesNothing: the configuration is good, but the web server
// cannot start with it. Caddy starts its apps in any order, so it is tried until it is all but
// certain that the gateway's was the first.
func TestAReloadThatAnotherAppRefusesChangesNothing(t *testing.T) {
	g := newGateway(t)
	g.load(takeoverAuth("user carol {\n\t\tpassword_hash "+cheapHash(bobPassword)+"\n\t\tdisabled\n\t}"), apiSite)
	before := g.heldOf(t, "default", "bob", bobPassword)
	taken, err := net.Listen("tcp", g.addr("busy"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	// bob is declared no more, carol may sign in, and somebody new stands in the file.
	other := strings.Replace(takeoverAuth("user carol {\n\t\tpassword_hash "+cheapHash(bobPassword)+"\n\t}\n"+
		"\tuser mallory {\n\t\tpassword_hash "+cheapHash(malloryPassword)+"\n\t}"), "user bob {", "user robert {", 1)
	for range 10 {
		if err := g.tryLoad(other, apiSite+"\n{{url \"busy\"}} {\n\trespond ok\n}\n"); err == nil ||
			!strings.Contains(err.Error(), "address already in use") {
			t.Fatalf("the load should fail at the port: %v", err)
		}
	}
	if a := g.get(t, "api", "/", before.program.Access); a.status != http.StatusOK {
		t.Errorf("bob's access token: status %d, reason %q", a.status, a.reason(t))
	}
	if a := g.visit(t, "api", cookies{refresh: before.browser.refresh}); a.status != http.StatusOK {
		t.Errorf("bob's session: status %d", a.status)
	}
	for _, c := range []struct {
		name, password string
		status         int
	}{
		{"bob", bobPassword, http.StatusOK},
		{"carol", bobPassword, http.StatusUnauthorized},
		{"mallory", malloryPassword, http.StatusUnauthorized},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := g.tryLogin(t, c.name, c.password); a.status != c.status {
				t.Errorf("status %d, want %d: %s", a.status, c.status, a.body)
			}
		})
	}
}

// TestALoadThatFailsAtItsVeryEndChangesNothing: Caddy sets up what comes after its apps, such as a
// configuration that is to be loaded from elsewhere, when all of them have started, and refuses the
// load when that fails.
func TestALoadThatFailsAtItsVeryEndChangesNothing(t *testing.T) {
	g := newGateway(t)
	g.load(takeoverAuth(""), apiSite)
	before := g.heldOf(t, "default", "bob", bobPassword)
	g.failAtTheEnd(strings.Replace(takeoverAuth("user mallory {\n\t\tpassword_hash "+cheapHash(malloryPassword)+
		"\n\t}"),
		"user bob {", "user robert {", 1), apiSite)
	if a := g.get(t, "api", "/", before.program.Access); a.status != http.StatusOK {
		t.Errorf("bob's access token: status %d, reason %q", a.status, a.reason(t))
	}
	if a := g.tryLogin(t, "mallory", malloryPassword); a.status != http.StatusUnauthorized {
		t.Errorf("mallory: status %d", a.status)
	}
	g.load(takeoverAuth(""), apiSite)
	if a := g.tryLogin(t, "bob", bobPassword); a.status != http.StatusOK {
		t.Errorf("bob after the next reload: status %d", a.status)
	}
}

// failAtTheEnd loads a configuration whose apps all start, and which is refused then.
func (g *gateway) failAtTheEnd(globals, sites string) {
	g.t.Helper()
	adapted, err := adapt(g.caddyfile(globals, sites))
	if err != nil {
		g.t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(adapted, &config); err != nil {
		g.t.Fatal(err)
	}
	admin, _ := config["admin"].(map[string]any)
	if admin == nil {
		admin = map[string]any{}
		config["admin"] = admin
	}
	admin["config"] = map[string]any{
		"load": map[string]any{"module": "http", "url": "http://" + g.addr("nobody") + "/", "timeout": "1s"},
	}
	broken, err := json.Marshal(config)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := caddy.Load(broken, true); err == nil || !strings.Contains(err.Error(), "refused") {
		g.t.Fatalf("the load should fail at the end: %v", err)
	}
}

// TestALoadThatFailsAfterAConfigurationWithoutTheGateway: the configuration that goes on has no
// gateway, and so nothing of the gateway in it could say that it goes on. The store is not to be
// changed all the same, and a good load is in charge at once.
func TestALoadThatFailsAfterAConfigurationWithoutTheGateway(t *testing.T) {
	g := newGateway(t)
	g.load(takeoverAuth(""), apiSite)
	before := g.heldOf(t, "default", "bob", bobPassword)
	const plain = "{{url \"api\"}} {\n\trespond plain\n}\n"
	g.load("", plain)
	g.failAtTheEnd(strings.Replace(takeoverAuth(""), "user bob {", "user robert {", 1), apiSite)
	if a := g.get(t, "api", "/", ""); a.body != "plain" {
		t.Errorf("what runs answers %d %q", a.status, a.body)
	}
	g.load(takeoverAuth(""), apiSite)
	if a := g.get(t, "api", "/", before.program.Access); a.status != http.StatusOK {
		t.Errorf("bob's access token: status %d, reason %q", a.status, a.reason(t))
	}
	if a := g.visit(t, "api", cookies{refresh: before.browser.refresh}); a.status != http.StatusOK {
		t.Errorf("bob's session: status %d", a.status)
	}

	// A configuration that is replaced as soon as it is in charge has taken what it declares into
	// the store.
	g.load("", plain)
	g.load(strings.Replace(takeoverAuth(""), "user bob {", "user robert {", 1), apiSite)
	g.load("", plain)
	g.load(takeoverAuth(""), apiSite)
	if a := g.get(t, "api", "/", before.program.Access); a.status != http.StatusUnauthorized {
		t.Errorf("bob's access token, after a configuration without bob: status %d", a.status)
	}
}

func init() { caddy.RegisterModule(new(namesake)) }

// namesake is an app that emits events of the names that Caddy's own have.
type namesake struct{ ctx caddy.Context }

// CaddyModule implements caddy.Module.
func (*namesake) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "namesake", New: func() caddy.Module { return new(namesake) }}
}

// Provision implements caddy.Provisioner.
func (n *namesake) Provision(ctx caddy.Context) error {
	n.ctx = ctx
	return nil
}

// Start implements caddy.App.
func (n *namesake) Start() error {
	events, err := n.ctx.App("events")
	if err != nil {
		return err
	}
	for _, name := range []string{"started", "stopping", "started"} {
		events.(*caddyevents.App).Emit(n.ctx, name, nil)
	}
	return nil
}

// Stop implements caddy.App.
func (*namesake) Stop() error { return nil }

// TestEventsOfOthersPutNobodyInCharge: another app may emit events that are called like Caddy's
// own. Caddy starts apps in any order, so it is tried until it is all but certain that the other
// one was the first.
func TestEventsOfOthersPutNobodyInCharge(t *testing.T) {
	g := newGateway(t)
	adapted, err := adapt(g.caddyfile(takeoverAuth(""), apiSite))
	if err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(string(adapted), `"apps":{`, `"apps":{"namesake":{},`, 1)
	for range 8 {
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Load([]byte(config), true); err != nil {
			t.Fatal(err)
		}
		if a := g.tryLogin(t, "bob", bobPassword); a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
}
