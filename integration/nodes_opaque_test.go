package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// opaqueTokens: processes that started at once on an empty database make opaque tokens with the same
// key. With a client all of its tokens end, at once where it was removed and where they have not been
// seen before, and within a second elsewhere.
func (n *nodes) opaqueTokens(t *testing.T) {
	secret := shownSecret(t, n.manages(t, "a", http.MethodPost, "/auth/api/clients",
		`{"id":"sealed","grant_types":["client_credentials"],"access_token_format":"opaque"}`))
	n.secret("a client secret", secret)
	passes := func(name, raw string) answer {
		return sendHTTP1(t, n.addr(name), call{host: n.host(name), lines: []string{"Authorization: Bearer " + raw}})
	}
	var seen, unseen []string
	for _, from := range n.names {
		for _, keep := range []*[]string{&seen, &unseen} {
			*keep = append(*keep, n.opaqueOf(t, from, "sealed", secret))
		}
		for _, name := range n.names {
			if a := passes(name, seen[len(seen)-1]); a.status != http.StatusOK {
				t.Errorf("made at %s, at %s: status %d, reason %q", from, name, a.status, a.reason(t))
			}
		}
	}

	n.manages(t, "a", http.MethodDelete, "/auth/api/clients/sealed", "")
	for _, name := range n.names {
		for _, raw := range unseen {
			if a := passes(name, raw); a.status != http.StatusUnauthorized || a.reason(t) != "revoked" {
				t.Errorf("first seen at %s after the client was removed: status %d, %s", name, a.status, a.body)
			}
		}
	}
	for _, raw := range seen {
		if a := passes("a", raw); a.status != http.StatusUnauthorized {
			t.Errorf("where the client was removed: status %d", a.status)
		}
		eventually(t, time.Second, func() string {
			for _, name := range n.others("a") {
				if a := passes(name, raw); a.status != http.StatusUnauthorized {
					return name + " admits a token of a client that was removed"
				}
			}
			return ""
		})
	}
}

// opaqueOf has a client get an access token at a node.
func (n *nodes) opaqueOf(t *testing.T, name, id, secret string) string {
	t.Helper()
	a := sendHTTP1(t, n.addr(name), call{
		method: http.MethodPost,
		target: "/token",
		host:   n.host(name),
		lines:  []string{"Content-Type: application/x-www-form-urlencoded"},
		body: url.Values{
			"grant_type":    {"client_credentials"},
			"client_id":     {id},
			"client_secret": {secret},
		}.Encode(),
	})
	var body struct {
		Token string `json:"access_token"`
	}
	err := json.Unmarshal([]byte(a.body), &body)
	if err != nil || a.status != http.StatusOK || !strings.HasPrefix(body.Token, "at_") {
		t.Fatalf("at %s: status %d: %s", name, a.status, a.body)
	}
	n.secret("an opaque token", body.Token)
	return body.Token
}
