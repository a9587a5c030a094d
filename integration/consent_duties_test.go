package integration

import (
	"html"
	"net/url"
	"strings"
	"testing"
)

// TestConsentPage: what a person allows is remembered, and only what is new is asked for again.
func TestConsentPage(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		decided := func(p page, decision string) page {
			t.Helper()
			if p.status != 303 || p.location.Path != "/consent" {
				t.Fatalf("not asked: %d to %v: %s", p.status, p.location, p.body)
			}
			form := v.get(p.location.String())
			if form.status != 200 || !strings.Contains(form.body, `<strong id="client">asking</strong>`) {
				t.Fatalf("the page: %d %s", form.status, form.body)
			}
			p = v.post("/consent", url.Values{
				"request":  {html.UnescapeString(field(form.body, "request"))},
				"proof":    {field(form.body, "proof")},
				"decision": {decision},
			})
			if p.status == 303 && p.location.Path == "/authorize" {
				p = v.get(p.location.String())
			}
			return p
		}
		asking := request(t, "client_id=asking")
		denied := decided(v.signIn(v.get(asking), "alice", alicePassword), "deny")
		if q := denied.location.Query(); q.Get("error") != "access_denied" || q.Get("state") != "the state" ||
			q.Get("tenant") != "1" {
			t.Errorf("denied: %d to %v", denied.status, denied.location)
		}
		code := v.code(decided(v.get(asking), "allow"))
		if got := x.token(t, "asking", rpSecret, "", codeForm(code)); got.status != 200 || got.Scope != "openid read" {
			t.Errorf("%+v", got)
		}
		v.code(v.get(asking))
		v.code(v.get(request(t, "client_id=asking&prompt=none&scope=read")))
		more := v.get(request(t, "client_id=asking&scope=openid+read+profile"))
		if form := v.get(more.location.String()); strings.Contains(form.body, "<li>read</li>") ||
			!strings.Contains(form.body, "Read your profile") {
			t.Errorf("what is new: %s", form.body)
		}
		v.code(decided(more, "allow"))
		v.code(decided(v.get(request(t, "client_id=asking&prompt=consent")), "allow"))
	})
}

// TestIDTokenHint: who is signed in must be whom the client expects. The hint stands in a pushed
// request, since an access log would write it.
func TestIDTokenHint(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	alice := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
	other := x.visitor(t)
	bob := x.exchange(t, other.code(other.signIn(other.get(request(t, "")), "bob", bobPassword)), "")
	for _, c := range []struct {
		name, hint string
		visitor    *visitor
		want       string // an error, or "" for a code
	}{
		{"the same person", alice.ID, v, ""},
		{"another person", bob.ID, v, "login_required"},
		{"nobody is signed in", alice.ID, x.visitor(t), "login_required"},
		{"an access token", alice.Access, v, "invalid_request"},
		{"another signature", alice.ID[:len(alice.ID)-8] + "AAAAAAAA", v, "invalid_request"},
		{"nonsense", "x", v, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := c.visitor.in(t)
			uri := x.push(t, "rp", "prompt=none&id_token_hint="+c.hint)
			p := v.get("/authorize?client_id=rp&request_uri=" + url.QueryEscape(uri))
			if p.status != 303 || p.location.Query().Get("error") != c.want {
				t.Fatalf("%d to %v: %s", p.status, p.location, p.body)
			}
			if c.want == "" {
				v.code(p)
			}
		})
	}
}
