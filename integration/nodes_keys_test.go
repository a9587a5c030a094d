package integration

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// nodeKey is a signing key as `caddy auth keys list` reads it.
type nodeKey struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Since string `json:"since"`
}

// TestNodesChangeKeysOnce: an operator's orders about keys, given to all nodes at the same moment,
// are carried out once.
func TestNodesChangeKeysOnce(t *testing.T) {
	n := startNodes(t)
	var took []time.Duration
	for round := range 5 {
		n.rotateEverywhere(t)
		took = append(took, n.revokeAt(t, n.names[round%3:][:1], true)...)
		took = append(took, n.revokeAt(t, n.names, false)...)
		n.rotateEverywhere(t)
		took = append(took, n.revokeAt(t, n.names, true)...)
	}
	report(t, "a key revoked, its tokens refused at all nodes", took)
}

// order gives an order to a node's admin endpoint.
func (n *nodes) order(t *testing.T, name, method, target string) answer {
	admin := n.addr(name + "-admin")
	return sendHTTP1(t, admin, call{method: method, target: "/auth/api/" + target, host: admin})
}

// keysIn reads a list of keys.
func keysIn(t *testing.T, a answer) []nodeKey {
	t.Helper()
	var list struct {
		Items []nodeKey `json:"items"`
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != http.StatusOK {
		t.Errorf("status %d: %s %v %v", a.status, a.body, a.broken, err)
	}
	return list.Items
}

// sameKeys is what all nodes list, and publish within a second; the first is the active one.
func (n *nodes) sameKeys(t *testing.T) []nodeKey {
	t.Helper()
	eventually(t, time.Second, func() string { // before they are asked for a list, at which they look at the database
		var sets []string
		for _, name := range n.names {
			sets = append(sets, n.get(t, name, "/jwks.json", "").body)
		}
		if len(slices.Compact(sets)) != 1 {
			return "the nodes publish " + strings.Join(sets, ", ")
		}
		return ""
	})
	keys := keysIn(t, n.order(t, "a", http.MethodGet, "keys"))
	for _, other := range n.others("a") {
		if got := keysIn(t, n.order(t, other, http.MethodGet, "keys")); !slices.Equal(got, keys) {
			t.Errorf("%s lists %v, a %v", other, got, keys)
		}
	}
	slices.SortFunc(keys, func(a, b nodeKey) int { return strings.Compare(a.State, b.State) })
	if len(keys) == 0 || keys[0].State != "active" || len(keys) > 1 && keys[1].State == "active" {
		t.Fatalf("keys %v", keys)
	}
	return keys
}

// rotateEverywhere orders a rotation several times from each node at once.
func (n *nodes) rotateEverywhere(t *testing.T) {
	t.Helper()
	before := n.sameKeys(t)
	answers := make([]answer, 12)
	n.atOnce(len(answers), func(i int) { answers[i] = n.order(t, n.names[i%3], http.MethodPost, "keys/rotate") })
	after := n.sameKeys(t)
	if len(before) != 1 || len(after) != 2 || after[0] != before[0] || after[1].State != "announced" {
		t.Fatalf("keys %v, after rotating %v", before, after)
	}
	for _, a := range answers {
		for _, key := range keysIn(t, a) {
			if !slices.Contains(after, key) {
				t.Errorf("rotating told of %v, there are %v", key, after)
			}
		}
	}
}

// atOnce does something in parallel.
func (n *nodes) atOnce(times int, do func(int)) {
	begin := make(chan struct{})
	var wait sync.WaitGroup
	for i := range times {
		wait.Go(func() {
			<-begin
			do(i)
		})
	}
	close(begin)
	wait.Wait()
}

// revokeAt revokes the active key at some nodes at once. One key takes its place on all nodes, the
// announced one if there is one, and no session is lost. It returns how long the nodes took.
func (n *nodes) revokeAt(t *testing.T, names []string, announced bool) []time.Duration {
	t.Helper()
	before := n.sameKeys(t)
	if announced != (len(before) == 2) {
		t.Fatalf("keys %v", before)
	}
	held := make([]cookies, len(n.names))
	for i, name := range n.names {
		held[i] = n.signedIn(t, name, "10.8.0.1")
		n.goodEverywhere(t, held[i], before[0].ID)
	}
	asked := time.Now()
	n.atOnce(len(names), func(i int) {
		a := n.order(t, names[i], http.MethodDelete, "keys/"+before[0].ID)
		if a.status != http.StatusNoContent && (len(names) == 1 || a.status != http.StatusNotFound) {
			t.Errorf("revoking at %s: status %d: %s %v", names[i], a.status, a.body, a.broken)
		}
	})
	took := n.untilUnknown(t, held, asked)
	for i, name := range n.names {
		held[i] = n.renewedAt(t, name, held[i].refresh)
	}
	after := n.sameKeys(t)
	if len(after) != 1 || after[0].ID == before[0].ID || announced && after[0].ID != before[1].ID {
		t.Fatalf("keys %v, after revoking %v", before, after)
	}
	for _, c := range held {
		n.goodEverywhere(t, c, after[0].ID)
	}
	return took
}

// goodEverywhere makes sure that an access token is signed with a key and good at all nodes.
func (n *nodes) goodEverywhere(t *testing.T, c cookies, kid string) {
	t.Helper()
	if got := signedWith(t, c.access); got != kid {
		t.Errorf("signed with %s, not with %s", got, kid)
	}
	for _, name := range n.names {
		if a := n.at(t, name, cookies{access: c.access}); a.status != http.StatusOK {
			t.Errorf("at %s: status %d, reason %q %v", name, a.status, a.reason(t), a.broken)
		}
	}
}

// untilUnknown measures how long after a moment every node refuses every access token because of
// its key.
func (n *nodes) untilUnknown(t *testing.T, held []cookies, since time.Time) []time.Duration {
	t.Helper()
	took := make([]time.Duration, len(n.names)*len(held))
	n.atOnce(len(took), func(i int) {
		name, c := n.names[i%len(n.names)], held[i/len(n.names)]
		var a answer
		for a.status != http.StatusUnauthorized && time.Since(since) < 5*time.Second {
			a = n.at(t, name, cookies{access: c.access})
			took[i] = time.Since(since)
			time.Sleep(time.Millisecond)
		}
		if a.reason(t) != "unknown_key" || took[i] > time.Second {
			t.Errorf("at %s after %v: status %d, reason %q %v", name, took[i], a.status, a.reason(t), a.broken)
		}
	})
	return took
}

// signedWith is the key id in a token's header.
func signedWith(t *testing.T, token string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var header struct {
		ID string `json:"kid"`
	}
	if err := json.Unmarshal(text, &header); err != nil {
		t.Fatal(err)
	}
	return header.ID
}
