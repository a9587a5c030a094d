package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// deviceCodes is the answer of /device_authorization.
type deviceCodes struct {
	Device   string `json:"device_code"`
	User     string `json:"user_code"`
	URI      string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
	Expires  int    `json:"expires_in"`
	Interval int    `json:"interval"`
	Error    string `json:"error"`
	status   int
}

// device asks for codes, as a client.
func (x *authorizing) device(t *testing.T, client, changes string) deviceCodes {
	t.Helper()
	form, err := url.ParseQuery(changes)
	if err != nil {
		t.Fatal(err)
	}
	form.Set("client_id", client)
	a := x.ask(t, "auth", call{
		method: "POST",
		target: "/device_authorization",
		lines:  []string{"Content-Type: application/x-www-form-urlencoded"},
		body:   form.Encode(),
	})
	var got deviceCodes
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", a.header)
	}
	got.status = a.status
	if got.Device != "" {
		x.secret("a device code", got.Device)
	}
	return got
}

// poll asks for the tokens.
func (x *authorizing) poll(t *testing.T, client, code string) tokenAnswer {
	t.Helper()
	return x.token(t, client, "", "", url.Values{"grant_type": {clients.GrantDevice}, "device_code": {code}})
}

// TestDeviceFlow: a television shows a code, a person types it in elsewhere and allows it, and the
// television gets tokens that end with the person's session.
func TestDeviceFlow(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		tv := x.device(t, "tv", "scope=openid+read+unknown")
		if tv.status != 200 || tv.URI != x.url("auth")+"/device" || tv.Interval != 5 || tv.Expires != 300 ||
			tv.Complete != tv.URI+"?user_code="+tv.User {
			t.Fatalf("%+v", tv)
		}
		if got := x.poll(t, "tv", tv.Device); got.status != 400 || got.Error != "authorization_pending" {
			t.Errorf("before anybody decides: %+v", got)
		}
		if got := x.poll(t, "tv", tv.Device); got.Error != "slow_down" {
			t.Errorf("at once again: %+v", got)
		}
		if got := x.poll(t, "spa", tv.Device); got.Error != "unauthorized_client" {
			t.Errorf("by a client without the grant: %+v", got)
		}

		// The person signs in on the way to the page, types the code in another spelling, and is asked.
		v := x.visitor(t)
		asks := v.signIn(v.get("/device"), "alice", alicePassword)
		if asks.status != 200 || !strings.Contains(asks.body, `id="user_code"`) {
			t.Fatalf("%d %s", asks.status, asks.body)
		}
		typed := strings.ToLower(strings.ReplaceAll(tv.User, "-", " "))
		confirm := v.get("/device?" + url.Values{"user_code": {typed}}.Encode())
		for _, want := range []string{"The Television", tv.User, "127.0.0.1", `id="allow"`, `id="deny"`, "alice",
			"<li>Know who you are</li>", "<li>read</li>"} {
			if !strings.Contains(confirm.body, want) {
				t.Errorf("the page does not say %q: %s", want, confirm.body)
			}
		}
		// What one person was asked is not decided by another one at the same browser.
		other := x.visitor(t)
		other.signIn(other.get("/device"), "bob", bobPassword)
		seen := url.Values{"user_code": {tv.User}, "decision": {"allow"}, "subject": {field(confirm.body, "subject")}}
		if got := other.post("/device", seen); !strings.Contains(got.body, `id="allow"`) ||
			!strings.Contains(got.body, `<strong id="subject">bob</strong>`) {
			t.Errorf("another person: %d %s", got.status, got.body)
		}
		decision := deviceForm(tv.User, "alice", "allow")
		cross := v.do("POST", "/device", "application/x-www-form-urlencoded", decision.Encode(),
			"Sec-Fetch-Site: cross-site")
		if cross.status != http.StatusForbidden {
			t.Errorf("from another site: %d", cross.status)
		}
		if got := v.post("/device", decision); got.status != 200 || !strings.Contains(got.body, "is connected") {
			t.Fatalf("%d %s", got.status, got.body)
		}
		if got := v.post("/device", decision); got.status != 400 {
			t.Errorf("decided twice: %d", got.status)
		}

		time.Sleep(10 * time.Second) // the interval, which grew
		tokens := x.poll(t, "tv", tv.Device)
		if tokens.status != 200 || tokens.Refresh == "" || tokens.Scope != "openid read" {
			t.Fatalf("%+v", tokens)
		}
		if a := x.get(t, "api", "/", tokens.Access); a.status != 200 {
			t.Errorf("the gate answers %d to the access token", a.status)
		}
		next := x.token(t, "tv", "", "", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}})
		if next.status != 200 {
			t.Errorf("refreshing: %+v", next)
		}

		// It ends with the person's session.
		if got := v.post("/logout", url.Values{}); got.status != http.StatusSeeOther {
			t.Fatalf("signing out: %d %s", got.status, got.body)
		}
		late := x.token(t, "tv", "", "", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next.Refresh}})
		if late.status != 400 || late.Error != "invalid_grant" {
			t.Errorf("after the sign-out: %+v", late)
		}
		if a := x.get(t, "api", "/", next.Access); a.status != 401 {
			t.Errorf("after the sign-out the gate answers %d", a.status)
		}
	})
}

// deviceForm is what the page sends that asks a person about a device.
func deviceForm(code, subject, decision string) url.Values {
	return url.Values{"user_code": {code}, "subject": {subject}, "decision": {decision}}
}

// TestDeviceForms: what is not the whole form of the page that asks, each field once, decides nothing.
func TestDeviceForms(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	tv := x.device(t, "tv", "")
	v := x.visitor(t)
	v.signIn(v.get("/device?user_code="+tv.User), "alice", alicePassword)
	whole := deviceForm(tv.User, "alice", "allow")
	for _, row := range []struct {
		name, body string
	}{
		{"nobody was asked", changed(whole, "subject=")},
		{"no subject", strings.ReplaceAll(whole.Encode(), "subject=", "person=")},
		{"two subjects", whole.Encode() + "&subject=bob"},
		{"no decision", changed(whole, "decision=")},
		{"two decisions", whole.Encode() + "&decision=deny"},
		{"another decision", changed(whole, "decision=Allow")},
		{"two codes", whole.Encode() + "&user_code=" + tv.User},
		{"an unknown field twice", whole.Encode() + "&x=1&x=2"},
		{"no form", "%zz"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := v.in(t).do("POST", "/device", "application/x-www-form-urlencoded", row.body)
			if got.status != 400 || !strings.Contains(got.body, "The form was incomplete.") {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	t.Run("two codes in the link", func(t *testing.T) {
		got := v.in(t).get("/device?user_code=" + tv.User + "&user_code=" + tv.User)
		if got.status != 400 || !strings.Contains(got.body, "That is not a code.") {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	if got := x.poll(t, "tv", tv.Device); got.Error != "authorization_pending" {
		t.Errorf("somebody has decided: %+v", got)
	}
	if got := v.post("/device", whole); got.status != 200 || !strings.Contains(got.body, "is connected") {
		t.Errorf("the whole form: %d %s", got.status, got.body)
	}
}

// TestDevicePagesRefuse what is no code of theirs, and too many of them.
func TestDevicePagesRefuse(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	v.signIn(v.get("/device?user_code=BCDF-GHJK"), "alice", alicePassword)
	rows := []struct {
		name, query string
		status      int
		says        string
	}{
		{"no code", "user_code=hello", 400, "That is not a code."},
		{"an unknown code", "user_code=BCDF-GHJK", 400, "No device waits for this code."},
		{"markup", "user_code=%3Cscript%3Ealert(1)", 400, "That is not a code."},
		{"a very long one", "user_code=" + strings.Repeat("B", 5000), 400, "That is not a code."},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := v.get("/device?" + row.query)
			if got.status != row.status || !strings.Contains(got.body, row.says) ||
				strings.Contains(got.body, "<script>alert") {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	refused := 0
	for range 12 {
		if got := v.get("/device?user_code=BCDF-GHJK"); strings.Contains(got.body, "Too many codes") {
			refused++
		}
	}
	if refused == 0 {
		t.Error("codes can be guessed without end")
	}
	tv := x.device(t, "tv", "")
	got := v.get("/device?user_code=" + tv.User)
	if got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	if !strings.Contains(got.body, "Too many codes") {
		t.Errorf("the brake lets a good code pass, by which guesses could be told: %s", got.body)
	}

	denials := []struct {
		name, client, changes, want string
		status                      int
	}{
		{"a client without the grant", "rp", "client_secret=" + rpSecret, "unauthorized_client", 400},
		{"no client", "nobody", "", "invalid_client", 401},
		{"none of the scopes", "tv", "scope=admin", "invalid_scope", 400},
		{"an unknown resource", "tv", "resource=https%3A%2F%2Fother.example", "invalid_target", 400},
	}
	for _, row := range denials {
		t.Run(row.name, func(t *testing.T) {
			if got := x.device(t, row.client, row.changes); got.status != row.status || got.Error != row.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestDeniedDevice is told so.
func TestDeniedDevice(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	tv := x.device(t, "tv", "scope=profile&resource=https://films.example")
	v := x.visitor(t)
	confirm := v.signIn(v.get("/device?user_code="+tv.User), "alice", alicePassword)
	if confirm.status != 200 || !strings.Contains(confirm.body, `id="deny"`) ||
		!strings.Contains(confirm.body, "<li>user name</li>") ||
		!strings.Contains(confirm.body, "<li>https://films.example</li>") {
		t.Fatalf("the link leads to %d %s", confirm.status, confirm.body)
	}
	got := v.post("/device", deviceForm(tv.User, "alice", "deny"))
	if got.status != 200 || !strings.Contains(got.body, "was refused") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := x.poll(t, "tv", tv.Device); got.status != 400 || got.Error != "access_denied" {
		t.Errorf("%+v", got)
	}
}
