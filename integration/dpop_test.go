package integration

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
)

// dpopSite is the site of one node, behind a balancer that clients know as the node a.
const dpopSite = `
	auth_server
	jwt_auth /nonce* api {
		dpop required
		dpop_nonce
	}
	jwt_auth api {
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}
`

// boundClient is a program with a key and a token that is bound to it.
type boundClient struct {
	*nodes
	*dpoptest.Client
	access string
}

// TestDPoP: a token that is bound to a key is worth nothing without it, and a proof is good once on
// all nodes.
func TestDPoP(t *testing.T) {
	secret := "machine-" + rand.Text() + rand.Text()
	n := startNodesWith(t, dpopSite, map[string]any{"More": `client machine {
			secret ` + secret + `
			grant_types client_credentials
			dpop_bound_access_tokens
		}`})
	n.secret("a client's secret", secret)
	b := boundClient{nodes: n, Client: dpoptest.New(t, "ES256")}
	b.getToken(t, secret)
	t.Run("requests", b.requests)
	t.Run("nonces", b.nonces)
	t.Run("one proof on all nodes", b.oneProof)
}

// getToken asks node a for a token, without a proof and with one.
func (b *boundClient) getToken(t *testing.T, secret string) {
	t.Helper()
	ask := func(lines ...string) (answer, map[string]any) {
		lines = append(lines, "Content-Type: application/x-www-form-urlencoded",
			"Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("machine:"+secret)))
		a := sendHTTP1(t, b.addr("a"), call{method: "POST", target: "/token", host: b.host("a"), lines: lines,
			body: "grant_type=client_credentials"})
		var body map[string]any
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			t.Fatalf("%d %q: %v", a.status, a.body, err)
		}
		return a, body
	}
	if a, body := ask(); a.status != 400 || body["error"] != "invalid_dpop_proof" {
		t.Errorf("without a proof: %d %v", a.status, body)
	}
	// The address that the metadata has is that of the public URL, whichever node is asked.
	proof := b.Proof(t, "POST", b.url("public")+"/token", "", time.Now(), nil)
	a, body := ask("DPoP: " + proof)
	access, _ := body["access_token"].(string)
	if a.status != 200 || body["token_type"] != "DPoP" || access == "" {
		t.Fatalf("%d %v", a.status, body)
	}
	b.access = access
	b.tokens.remember(access)
}

// proof is one for a GET of a path, as the balancer's clients know it.
func (b *boundClient) proof(t *testing.T, path string, more map[string]any) string {
	t.Helper()
	return b.Proof(t, "GET", b.url("a")+path, b.access, time.Now(), more)
}

// send asks a node for what the balancer's clients know as a path of node a.
func (b *boundClient) send(t *testing.T, node, path string, lines ...string) answer {
	t.Helper()
	return sendHTTP1(t, b.addr(node), call{target: path, host: b.host("a"), lines: lines})
}

// requests: whatever lacks its proof is refused, and the application receives nothing of it.
func (b *boundClient) requests(t *testing.T) {
	other := dpoptest.New(t, "ES256")
	by, as := "Authorization: DPoP "+b.access, "Authorization: Bearer "+b.access
	good := func(t *testing.T) string { return "DPoP: " + b.proof(t, "/x", nil) }
	changed := func(more map[string]any) func(*testing.T) string {
		return func(t *testing.T) string { return "DPoP: " + b.proof(t, "/x", more) }
	}
	for _, c := range []struct {
		name          string
		authorization string
		proof         func(*testing.T) string
		want          string // the reason; empty: the request passes
	}{
		{"with its proof", by, good, ""},
		{"the scheme in lower case", "authorization: dpop " + b.access, good, ""},
		{"as a bearer token", as, nil, "dpop_required"},
		{"as a bearer token with a proof", as, good, "dpop_required"},
		{"without a proof", by, nil, "invalid_dpop_proof"},
		{"two proofs", by, func(t *testing.T) string { return good(t) + "\r\n" + good(t) }, "invalid_dpop_proof"},
		{"another method", by, changed(map[string]any{"htm": "POST"}), "invalid_dpop_proof"},
		{"another path", by, changed(map[string]any{"htu": b.url("a") + "/y"}), "invalid_dpop_proof"},
		{"another host", by, changed(map[string]any{"htu": b.url("b") + "/x"}), "invalid_dpop_proof"},
		{"another token", by, changed(map[string]any{"ath": strings.Repeat("A", 43)}), "invalid_dpop_proof"},
		{"too old", by, changed(map[string]any{"iat": time.Now().Unix() - 90}), "invalid_dpop_proof"},
		{"10 s ahead", by, changed(map[string]any{"iat": time.Now().Unix() + 10, "nbf": time.Now().Unix() + 8}), ""},
		{"another key", by, func(t *testing.T) string {
			return "DPoP: " + other.Proof(t, "GET", b.url("a")+"/x", b.access, time.Now(), nil)
		}, "dpop_binding"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := []string{c.authorization, "X-User-Id: forged"}
			if c.proof != nil {
				lines = append(lines, c.proof(t))
			}
			b.gateway.proxy.take()
			a := b.send(t, "b", "/x", lines...)
			seen := b.gateway.proxy.take()
			if c.want != "" {
				if a.status != 401 || a.reason(t) != c.want || len(seen) > 0 ||
					!strings.HasPrefix(a.header.Get("WWW-Authenticate"), "DPoP ") {
					t.Errorf("%d %s %v; the application saw %d requests", a.status, a.reason(t), a.header, len(seen))
				}
				return
			}
			if a.status != 200 || len(seen) != 1 || !slices.Equal(seen[0].values("x-user-id"), []string{"machine"}) {
				t.Fatalf("%d %s, the application saw %d requests", a.status, a.reason(t), len(seen))
			}
			raw := strings.ToLower(seen[0].raw)
			if strings.Contains(raw, "dpop") || strings.Contains(raw, "authorization") {
				t.Errorf("the application saw %s", seen[0].raw)
			}
		})
	}
}

// nonces: the answer to a proof without one has it, and it is good on every node.
func (b *boundClient) nonces(t *testing.T) {
	by := "Authorization: DPoP " + b.access
	a := b.send(t, "a", "/nonce", by, "DPoP: "+b.proof(t, "/nonce", nil))
	nonce := a.header.Get("DPoP-Nonce")
	if a.status != 401 || a.reason(t) != "use_dpop_nonce" || nonce == "" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	a = b.send(t, "b", "/nonce", by, "DPoP: "+b.proof(t, "/nonce", map[string]any{"nonce": nonce}))
	if a.status != 200 || a.header.Get("DPoP-Nonce") == "" {
		t.Errorf("on another node: %d %s %v", a.status, a.reason(t), a.header)
	}
}

// oneProof: of many uses of one proof at once, on all nodes, one passes.
func (b *boundClient) oneProof(t *testing.T) {
	lines := []string{"Authorization: DPoP " + b.access, "DPoP: " + b.proof(t, "/once", nil)}
	b.gateway.proxy.take()
	var passed, refused atomic.Int64
	b.atOnce(200, func(i int) {
		switch a := b.send(t, b.names[i%len(b.names)], "/once", lines...); {
		case a.status == http.StatusOK:
			passed.Add(1)
		case a.status == http.StatusUnauthorized && a.reason(t) == "invalid_dpop_proof":
			refused.Add(1)
		default:
			t.Errorf("%d %s %v", a.status, a.body, a.broken)
		}
	})
	if seen := b.gateway.proxy.take(); passed.Load() != 1 || refused.Load() != 199 || len(seen) != 1 {
		t.Errorf("%d passed, %d were refused, the application saw %d", passed.Load(), refused.Load(), len(seen))
	}
}
