package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestLogsHoldNoAnswers: with the filter of docs/operations.md no line has what stands in the addresses of
// a sign-in: neither those of hosts of applications, nor those of the server, nor what they hold of each
// other.
func TestLogsHoldNoAnswers(t *testing.T) {
	g := newGateway(t)
	g.loadTLS(hostsAuth, hostsSites, "format json", documentedFilter(t))
	v := signedInAtServer(t, g, "alice", alicePassword)
	b := v.begin(g, "a.one.localhost", "/wanted")
	query := func(address string) url.Values {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query()
	}
	hidden := map[string]string{
		"the code": query(b.callback).Get("code"), "the state": query(b.callback).Get("state"),
		"a code that is refused": "ac_refusedcanary",
	}
	v.open(with(t, b.callback, "code", hidden["a code that is refused"]))
	v.open(b.callback)
	for name, value := range hidden {
		if value == "" {
			t.Fatalf("%s is empty", name)
		}
	}
	ask := func(path string, pairs ...string) {
		values := withPairs(url.Values{}, pairs...)
		for name, value := range values {
			if strings.Contains(value[0], "canary") {
				hidden[path+" "+name] = value[0]
			}
		}
		address := g.at("auth.localhost", path+"?"+values.Encode())
		v.open(address)
		v.send(http.MethodGet, g.at("a.one.localhost", "/"), "", http.Header{"Referer": {address}})
	}
	ask("/authorize", "client_id", "caddyauth-web", "state", "statecanary", "login_hint", "hintcanary",
		"id_token_hint", "tokencanary", "request_uri", "pushedcanary")
	ask("/logout", "id_token_hint", "endcanary", "logout_hint", "whocanary", "state", "laststatecanary")
	ask("/device", "user_code", "typedcanary")
	ask("/token", "code", "spentcanary")
	nested := g.at("auth.localhost", "/authorize?state=nestedcanary&login_hint=innercanary")
	hidden["a nested state"], hidden["a nested hint"] = "nestedcanary", "innercanary"
	v.open(g.at("auth.localhost", "/login?next="+url.QueryEscape(nested)))

	log := g.log()
	for _, path := range []string{"/.auth/callback", "/authorize", "/logout", "/device", "/token", "/login"} {
		if !strings.Contains(log, path) {
			t.Errorf("the log has no request for %s", path)
		}
	}
	for name, value := range hidden {
		if at := strings.Index(log, value); at >= 0 {
			t.Errorf("%s is in the log: %s", name, around(log, at))
		}
	}
}
