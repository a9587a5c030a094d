package integration

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// registered is a client that has registered itself with a secret.
func (x *authorizing) registered(t *testing.T) map[string]any {
	t.Helper()
	status, made := x.register(t, `{"redirect_uris":["`+rpCallback+`"]}`)
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, made)
	}
	return made
}

// TestRegistrationAnswers: status, word and headers of what /register refuses (RFC 7591, section 3.2.2), and
// of what a client may not say of itself afterwards (RFC 7592). What is refused changes nothing.
func TestRegistrationAnswers(t *testing.T) {
	x := newRegistering(t, "sqlite", "", "")
	first, second := x.registered(t), x.registered(t)
	id, secret := first["client_id"].(string), first["client_secret"].(string)
	own := "Authorization: Bearer " + first["registration_access_token"].(string)
	other := "Authorization: Bearer " + second["registration_access_token"].(string)
	if first["client_secret_expires_at"] != 0.0 || first["client_id_issued_at"] == nil ||
		first["registration_client_uri"] != x.url("auth")+"/register/"+id {
		t.Errorf("%v", first)
	}
	same := `"client_id":"` + id + `","redirect_uris":["` + rpCallback + `"]`
	asks := func(method, target, body string, lines ...string) answer {
		lines = append([]string{"Content-Type: application/json"}, lines...)
		return x.ask(t, "auth", call{method: method, target: target, lines: lines, body: body})
	}
	for _, c := range []struct {
		name, method, target, line, body string
		status                           int
		word                             string
	}{
		{"no JSON", "POST", "/register", "", "x", 400, "invalid_client_metadata"},
		{"a form", "POST", "/register", formType, "x=y", 415, "invalid_client_metadata"},
		{"an address of other letters", "POST", "/register", "", `{"redirect_uris":["http://\u00fc.example/\"\\"]}`,
			400, "invalid_redirect_uri"},
		{"a grant type with other letters", "POST", "/register", "", `{"redirect_uris":["` + rpCallback +
			`"],"token_endpoint_auth_method":"\u00e4\""}`, 400, "invalid_client_metadata"},
		{"a scheme of other letters", "POST", "/register", "", `{"redirect_uris":["` + rpCallback +
			`"],"post_logout_redirect_uris":["\u00e4:\""]}`, 400, "invalid_client_metadata"},
		{"no token", "GET", "/register/" + id, "", "", 401, "invalid_token"},
		{"another client's token", "GET", "/register/" + id, other, "", 401, "invalid_token"},
		{"another client's token, to delete", "DELETE", "/register/" + id, other, "", 401, "invalid_token"},
		{"another client's token, to change", "PUT", "/register/" + id, other, "{" + same + "}", 401, "invalid_token"},
		{"a client that is not there", "GET", "/register/nobody", own, "", 401, "invalid_token"},
		{"a client that is declared", "GET", "/register/rp", own, "", 401, "invalid_token"},
		{"no client_id", "PUT", "/register/" + id, own, `{"redirect_uris":["` + rpCallback + `"]}`, 400,
			"invalid_client_metadata"},
		{"another client_id", "PUT", "/register/" + id, own, `{"client_id":"rp","redirect_uris":["https://a.example"]}`,
			400, "invalid_client_metadata"},
		{"a secret of its own", "PUT", "/register/" + id, own, `{"client_secret":"x",` + same + "}", 400,
			"invalid_client_metadata"},
		{"what only the server sets", "PUT", "/register/" + id, own, `{"registration_access_token":"x",` + same + "}",
			400, "invalid_client_metadata"},
		{"an address over http", "PUT", "/register/" + id, own, `{"client_id":"` + id +
			`","redirect_uris":["http://a.example/"]}`, 400, "invalid_redirect_uri"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := []string{"Content-Type: application/json"}
			if c.line == formType {
				lines = nil
			}
			if c.line != "" {
				lines = append(lines, c.line)
			}
			a := x.ask(t, "auth", call{method: c.method, target: c.target, lines: lines, body: c.body})
			var told map[string]string
			err := json.Unmarshal([]byte(a.body), &told)
			if err != nil || a.status != c.status || told["error"] != c.word || len(told) != 2 ||
				a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v %v: %s", a.status, err, a.header, a.body)
			}
			isDescription(t, told["error_description"])
			want := map[bool]string{true: `Bearer realm="register", error="invalid_token"`}[c.status == 401]
			if got := a.header.Get("WWW-Authenticate"); got != want {
				t.Errorf("the challenge is %q", got)
			}
		})
	}

	// It is as it was, until its own client says anew what it is; then by that alone.
	before := asks("GET", "/register/"+id, "", own)
	if before.status != 200 || !strings.Contains(before.body, rpCallback) {
		t.Errorf("%d %s", before.status, before.body)
	}
	anew := `{"client_id":"` + id + `","client_name":"New","redirect_uris":["https://new.example/"]}`
	a := asks("PUT", "/register/"+id, anew, own)
	if a.status != 200 || strings.Contains(a.body, rpCallback) || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v: %s", a.status, a.header, a.body)
	}
	authenticates := wrongRequest{lines: []string{formType, basic(id, secret)}, body: refreshForm("x").Encode()}
	authenticates.status, authenticates.word = 400, "invalid_grant"
	x.sendWrong(t, "/token", authenticates)
	if p := x.visitor(t).get(request(t, "client_id="+id)); p.status != 400 || p.leads() {
		t.Errorf("its address from before: %d to %v", p.status, p.location)
	}
	if a := asks("DELETE", "/register/"+id, "", own); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.body)
	}
	authenticates.status, authenticates.word = 401, "invalid_client"
	x.sendWrong(t, "/token", authenticates)
}

// TestTooManyRegistrations from one address wait, and the server stores nothing more for them.
func TestTooManyRegistrations(t *testing.T) {
	was := comingByThemselves
	t.Cleanup(func() { comingByThemselves = was })
	comingByThemselves = strings.Replace(was, "address_rate 1000 1m", "address_rate 2 1m", 1)
	x := newRegistering(t, "sqlite", "", "")
	for range 2 {
		x.registered(t)
	}
	a := x.ask(t, "auth", call{method: "POST", target: "/register", lines: []string{"Content-Type: application/json"},
		body: `{"redirect_uris":["` + rpCallback + `"]}`})
	if a.status != http.StatusTooManyRequests || errorWord(a) != "too_many_requests" ||
		a.header.Get("Retry-After") == "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v: %s", a.status, a.header, a.body)
	}
}
