package integration

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/integration/documents"
)

// certificationAuth has what the certification of OpenID providers asks for: two clients that know
// nothing of PKCE and ask people, and a person with all standard claims, each of its JSON type.
const certificationAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS} {
		active {{.Active}}
		file rs1 "{{keyfile "rs1"}}"
		file es1 "{{keyfile "es1"}}"
	}
	secret seal:{{.Seal}}
	store "{{.Store}}"
	user alice {
		password_hash {{hash "alice"}}
		claim name "Alice Adams"
		claim given_name Alice
		claim family_name Adams
		claim middle_name Ann
		claim nickname Al
		claim profile https://example.com/alice
		claim picture https://example.com/alice.png
		claim website https://alice.example.com
		claim gender female
		claim birthdate 2000-01-01
		claim zoneinfo Europe/Berlin
		claim locale en-GB
		claim email alice@example.com
		claim email_verified true
		claim address := {{backquote}}{"locality":"Berlin","country":"DE"}{{backquote}}
		claim phone_number +4930123456
		claim phone_number_verified true
	}
	{{range .Certified}}
	client {{.}} {
		redirect_uri https://rp.example/cb?tenant=1
		post_logout_redirect_uri https://rp.example/bye
		secret {{$.RPSecret}}
		scope openid profile email address phone offline_access
		pkce optional
	}
	{{end}}
	{{.More}}
}`

// newCertified is a server as it is certified: its addresses are https.
func newCertified(t *testing.T, more string) *authorizing {
	t.Helper()
	x := prepareCertified(t, more)
	x.loadCertified()
	return x
}

// prepareCertified is newCertified without the start.
func prepareCertified(t *testing.T, more string) *authorizing {
	t.Helper()
	x := &authorizing{gateway: newGateway(t)}
	x.extra["Active"] = "es1"
	x.storeURL = "sqlite:" + filepath.Join(x.dir, "auth.db")
	x.extra["Store"], x.extra["Seal"], x.extra["RPSecret"] = x.storeURL, goodSecret, rpSecret
	x.extra["Certified"], x.extra["More"] = []string{"first", "second"}, more
	x.secret("the sealing secret", goodSecret)
	x.secret("the client's secret", rpSecret)
	x.extra["TLS"] = x.secure()
	return x
}

func (x *authorizing) loadCertified() {
	x.t.Helper()
	x.load(strings.ReplaceAll(certificationAuth, "{{backquote}}", "`"), certificationSites)
}

// certificationSites write no access log, which would have hints and proofs.
const certificationSites = `
{{url "auth"}} {
	{{.TLS}}
	auth_server
}
{{url "api"}} {
	{{.TLS}}
	jwt_auth api
	respond "hello"
}
`

// certified is the browser of one module, in a response mode.
type certified struct {
	*visitor
	mode string
	real *browser // that draws pages and runs scripts, where a module needs it

	unit     *unitBrowser // the very browser of the certification, where it is there
	decision string       // about what is asked for; empty allows it
	clock    *clock       // of the server, where it can be set
}

// module is one of the certification's tests.
type module struct {
	name   string // of the certification, without the prefix of its plan
	answer string // what the server does, as docs/certification.md has it
	test   func(c *certified)
}

// runModules sends the requests of each module from a browser of its own.
func (x *authorizing) runModules(t *testing.T, mode string, modules []module) {
	t.Helper()
	for _, m := range modules {
		t.Run(m.name, func(t *testing.T) { m.test(x.certified(t, mode)) })
	}
}

func (x *authorizing) certified(t *testing.T, mode string) *certified {
	v := x.visitor(t)
	v.Transport = &htmlUnit{RoundTripper: v.Transport}
	return &certified{visitor: v, mode: mode}
}

// htmlUnit sends what the browser of the certification sends besides: it says of every request that it
// is from the same origin, and keeps the Origin of a form for the redirects that follow it.
type htmlUnit struct {
	http.RoundTripper
	origin string // of the form that redirects follow
}

func (h *htmlUnit) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "+
		"Chrome/140.0.0.0 Safari/537.36")
	if r.Method == http.MethodPost && r.Header.Get("Origin") == "" {
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	}
	if r.Method == http.MethodPost {
		h.origin = r.Header.Get("Origin")
	} else if h.origin != "" {
		r.Header.Set("Origin", h.origin)
	}
	resp, err := h.RoundTripper.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		h.origin = ""
	}
	return resp, err
}

// ask sends an authorization request as the certification does: without PKCE.
func (c *certified) ask(changes string) page {
	c.t.Helper()
	return c.get(c.address(changes))
}

func (c *certified) address(changes string) string {
	c.t.Helper()
	q := url.Values{
		"client_id":             {"first"},
		"scope":                 {"openid"},
		"code_challenge":        {""},
		"code_challenge_method": {""},
		"response_mode":         {c.mode},
	}
	changed, err := url.ParseQuery(changes)
	if err != nil {
		c.t.Fatal(err)
	}
	maps.Copy(q, changed)
	return request(c.t, q.Encode())
}

// finish signs the person in and lets them allow what is asked for, as far as the server wants that,
// and returns what the client gets. pages are those that were shown.
func (c *certified) finish(p page) (answer url.Values, pages []string) {
	c.t.Helper()
	for range 10 {
		switch {
		case p.status == http.StatusSeeOther && p.location.Host == "rp.example":
			if c.mode == "form_post" {
				c.t.Fatalf("not by POST: %v", p.location)
			}
			return p.location.Query(), pages
		case p.status == http.StatusOK && strings.Contains(p.body, `action="`+rpCallback+`"`):
			if c.mode != "form_post" || !strings.Contains(p.body, "<script") ||
				!strings.Contains(p.body, `method="post"`) {
				c.t.Fatalf("a form in mode %q: %s", c.mode, p.body)
			}
			return formFields(p.body), pages
		case p.status == http.StatusSeeOther && p.location.Path == "/login":
			pages = append(pages, "login")
			p = c.signIn(p, "alice", alicePassword)
		case p.status == http.StatusSeeOther && p.location.Path == "/consent":
			pages = append(pages, "consent")
			form := c.get(p.location.String())
			p = c.post("/consent", url.Values{
				"request":  {html.UnescapeString(field(form.body, "request"))},
				"proof":    {field(form.body, "proof")},
				"decision": {cmp.Or(c.decision, "allow")},
			})
		case p.status == http.StatusSeeOther:
			p = c.get(p.location.String())
		default:
			c.t.Fatalf("%d to %v: %s", p.status, p.location, p.body)
		}
	}
	c.t.Fatalf("the way does not end: pages %q", pages)
	return nil, nil
}

// formFields are the hidden fields of a page.
func formFields(body string) url.Values {
	fields := url.Values{}
	for {
		_, after, found := strings.Cut(body, `type="hidden" name="`)
		if !found {
			return fields
		}
		name, rest, _ := strings.Cut(after, `"`)
		_, rest, _ = strings.Cut(rest, `value="`)
		value, rest, _ := strings.Cut(rest, `"`)
		fields.Add(name, html.UnescapeString(value))
		body = rest
	}
}

// succeeds goes through a request to its code, with the pages that are expected; the page where people
// allow what is asked for counts where the request wants it.
func (c *certified) succeeds(changes, pages string) string {
	c.t.Helper()
	answer, seen := c.finish(c.ask(changes))
	asked, err := url.ParseQuery(changes)
	if err != nil {
		c.t.Fatal(err)
	}
	state := "the state"
	if asked.Has("state") {
		state = asked.Get("state")
	}
	if asked.Get("prompt") != "consent" { // otherwise it depends on what was allowed before
		seen = slices.DeleteFunc(seen, func(page string) bool { return page == "consent" })
	}
	if got := strings.Join(seen, " "); got != pages {
		c.t.Errorf("pages %q, want %q", got, pages)
	}
	if answer.Get("code") == "" || answer.Get("state") != state || answer.Get("iss") != c.url("auth") {
		c.t.Fatalf("the answer %v", answer)
	}
	c.secret("a code", answer.Get("code"))
	return answer.Get("code")
}

// fails goes through a request to one of the errors, and nothing else. The answer has the state of the
// request and the issuer.
func (c *certified) fails(p page, errors ...string) {
	c.t.Helper()
	answer, pages := c.finish(p)
	if answer.Get("iss") != c.url("auth") || answer.Get("state") == "" || answer.Get("error_description") == "" {
		c.t.Errorf("the answer %v", answer)
	}
	for name := range answer {
		switch name {
		case "error", "error_description", "error_uri", "state", "iss", "tenant":
		default:
			c.t.Errorf("the answer has %s", name)
		}
	}
	for _, want := range errors {
		if answer.Get("error") == want && len(pages) == 0 {
			return
		}
	}
	c.t.Errorf("the answer %v after %q, want %q", answer, pages, errors)
}

// redeem presents a code at /token with the secret in the header.
func (c *certified) redeem(client, code, verifier string) (tokenAnswer, map[string]any) {
	c.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {rpCallback}}
	if verifier != "" {
		form.Set("code_verifier", verifier)
	}
	return c.tokenBasic(client, form)
}

// tokenBasic asks /token with the secret in the header.
func (c *certified) tokenBasic(client string, form url.Values) (got tokenAnswer, body map[string]any) {
	c.t.Helper()
	a := c.authorizing.ask(c.t, "auth", call{method: "POST", target: "/token", lines: []string{
		"Content-Type: application/x-www-form-urlencoded",
		"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(client+":"+url.QueryEscape(rpSecret))),
	}, body: form.Encode()})
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		c.t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		c.t.Fatal(err)
	}
	got.status = a.status
	for _, secret := range []string{got.Access, got.Refresh, got.ID} {
		if secret != "" {
			c.tokens.remember(secret)
		}
	}
	if a.header.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(a.header.Get("Content-Type"), "application/json") ||
		got.status == 200 && body["expires_in"] == nil {
		c.t.Errorf("headers %v, body %v", a.header, body)
	}
	return got, body
}

// claims goes through a request and returns the claims of the ID token and those of /userinfo.
func (c *certified) claims(changes, pages string) (id, info map[string]any) {
	c.t.Helper()
	tokens, _ := c.redeem("first", c.succeeds(changes, pages), "")
	if tokens.status != 200 {
		c.t.Fatalf("%+v", tokens)
	}
	info, a := c.userInfo(c.t, call{lines: bearerLine(tokens.Access)})
	id = c.idToken(c.t, tokens.ID, "first")
	if a.status != 200 || info["sub"] != id["sub"] {
		c.t.Fatalf("%d %v, %v", a.status, info, id)
	}
	return id, info
}

// certificationPlans are the plans whose modules are sent here.
var certificationPlans = []struct {
	name, prefix, test string
	modules            []module
}{
	{"Config", "", "TestCertificationConfig", configModules},
	{"Basic, form post", "oidcc-", "TestCertificationBasic", basicModules},
	{"Basic, form post", "oidcc-", "TestCertificationLate", lateBasicModules},
	{"Basic, logout, in words", "", "TestCertificationLate", lateHintModules},
	{"Form post, in Chromium", "oidcc-", "TestCertificationFormPost", formPostModules},
	{"Basic, form post, logout, in HtmlUnit", "oidcc-", "TestCertificationHTMLUnit", htmlUnitModules},
	{"Basic, in words", "", "TestCertificationLogins", loginModules},
	{"Dynamic", "oidcc-", "TestCertificationDynamic", dynamicModules},
	{"Dynamic", "oidcc-", "TestCertificationRotation", rotationModules},
	{"RP-initiated logout", "oidcc-", "TestCertificationLogout", logoutModules},
	{"Back-channel logout", "oidcc-", "TestCertificationLogout", backChannelModules},
	{"FAPI 2.0, in words", "", "TestCertificationFAPI2", fapi2Modules},
	{"FAPI 2.0, in words", "", "TestCertificationFAPI2", assertionModules("/par")},
	{"FAPI 2.0, in words", "", "TestCertificationFAPI2", assertionModules("/token")},
	{"FAPI 2.0, in words", "", "TestCertificationFAPI2", codeModules},
	{"FAPI 2.0, in words", "", "TestCertificationFAPI2", proofModules("/par")},
	{"FAPI 2.0, in words", "", "TestCertificationFAPI2", proofModules("/token")},
	{"FAPI 2.0, in words", "", "TestCertificationFAPI2", resourceModules()},
	{"FAPI 2.0, in words", "", "TestCertificationTLS", tlsModules},
	{"FAPI 2.0, in words", "", "TestCertificationLate", lateFAPI2Modules},
}

// TestCertificationDocument renders the table of docs/certification.md.
func TestCertificationDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("| plan | module | answer | test |\n| --- | --- | --- | --- |\n")
	for _, plan := range certificationPlans {
		for _, m := range plan.modules {
			fmt.Fprintf(&b, "| %s | `%s%s` | %s | `%s` |\n", plan.name, plan.prefix, m.name, m.answer, plan.test)
		}
	}
	documents.Compare(t, "docs/certification.md", "modules", b.String())
}
