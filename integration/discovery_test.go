package integration

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// metadata reads the document at a path of the site auth.
func (g *gateway) metadata(t *testing.T, target string) map[string]any {
	t.Helper()
	a := g.get(t, "auth", target, "", "Origin: https://client.example", "MCP-Protocol-Version: 2025-06-18")
	var document map[string]any
	if err := json.Unmarshal([]byte(a.body), &document); err != nil || a.status != http.StatusOK ||
		a.header.Get("Content-Type") != "application/json" || a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("%s: status %d, %v, %v: %s", target, a.status, err, a.header, a.body)
	}
	return document
}

// TestDiscovery reads the metadata at every form of its address: the issuer is the configured one
// byte by byte, and every address in it is an endpoint that answers.
func TestDiscovery(t *testing.T) {
	for _, site := range []struct{ name, mount, sites string }{
		{"at the root", "", sharedRoot}, {"below a path", "/auth", sharedPath},
	} {
		t.Run(site.name, func(t *testing.T) {
			g := newGateway(t)
			g.load(
				strings.ReplaceAll(standardAuth, `{{url "auth"}}`+"\n", `{{url "auth"}}`+site.mount+"\n"),
				site.sites,
			)
			targets := []string{
				site.mount + "/.well-known/openid-configuration",
				site.mount + "/.well-known/oauth-authorization-server",
				"/.well-known/openid-configuration" + site.mount,
				"/.well-known/oauth-authorization-server" + site.mount,
			}
			for _, target := range targets {
				d := g.metadata(t, target)
				if d["issuer"] != g.url("auth")+site.mount {
					t.Errorf("%s: issuer %v", target, d["issuer"])
				}
				g.checkAddresses(t, d)
			}
			if seen := g.proxy.take(); len(seen) != 0 {
				t.Errorf("the application saw %q", seen[0].raw)
			}
		})
	}
}

// checkAddresses asks each endpoint of the metadata with a method that it does not have: 404 means
// that there is none.
func (g *gateway) checkAddresses(t *testing.T, document map[string]any) {
	t.Helper()
	for name, value := range document {
		if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
			continue
		}
		target, ours := strings.CutPrefix(value.(string), g.url("auth"))
		a := g.ask(t, "auth", call{method: http.MethodPut, target: target})
		if !ours || a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s %v: status %d", name, value, a.status)
		}
	}
}

// TestDiscoveryNeedsAnAddress: for an issuer that is no URL no client could look, so nothing says
// that it is there.
func TestDiscoveryNeedsAnAddress(t *testing.T) {
	g := newGateway(t)
	g.load(strings.Replace(standardAuth, `issuer {{url "auth"}}`, "issuer gateway", 1), sharedRoot)
	for _, name := range []string{"openid-configuration", "oauth-authorization-server"} {
		if a := g.get(t, "auth", "/.well-known/"+name, ""); a.status != http.StatusNotFound {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
	}
}

// TestJWKSHoldsPublicKeysAlone: every key of the set has an id of its own and nothing private.
func TestJWKSHoldsPublicKeysAlone(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite)
	a := g.get(t, "auth", "/jwks.json", "")
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal([]byte(a.body), &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("%v: %s", err, a.body)
	}
	ids := map[any]bool{}
	for _, key := range set.Keys {
		if key["kid"] == "" || ids[key["kid"]] || key["alg"] == nil || key["use"] != "sig" {
			t.Errorf("key %v", key)
		}
		ids[key["kid"]] = true
		for name := range key {
			if slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}, name) {
				t.Errorf("key %v has the private member %s", key["kid"], name)
			}
		}
	}
}
