package clients

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// person is alice with a browser: it keeps cookies, follows redirects, and fills in the forms of the
// gateway.
type person struct {
	m        *machine
	browser  http.Client
	until    string // where the browser stops
	decision string // when the gateway asks for consent
	pages    []string
}

func (m *machine) person() *person {
	p := &person{m: m, decision: "allow"}
	p.browser.Jar, _ = cookiejar.New(nil)
	p.browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if p.until != "" && strings.HasPrefix(r.URL.String(), p.until) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return p
}

// visit goes to an address and on, until it is sent to one that begins with until, and returns the
// query of that one.
func (p *person) visit(t *testing.T, address, until string) url.Values {
	t.Helper()
	p.until = until
	defer func() { p.until = "" }()
	_, header := p.read(t, address)
	to, err := url.Parse(header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), until) {
		t.Fatalf("sent to %q, not to %s", to, until)
	}
	return to.Query()
}

var (
	// field finds the hidden fields of a page's form.
	field   = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	heading = regexp.MustCompile(`<h1>(.*?)</h1>`)
)

// read goes to an address and on, to a page that is none of the gateway's or has no form.
func (p *person) read(t *testing.T, address string) (string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html") // mod_auth_openidc sends nobody else to sign in
	for range 6 {
		resp, err := p.browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		at := *resp.Request.URL
		if resp.Header.Get("Location") != "" || !strings.HasPrefix(at.String(), p.m.at("auth")+"/") ||
			!strings.Contains(string(text), "<form") {
			return string(text), resp.Header
		}
		at.RawQuery = ""
		r, err = http.NewRequestWithContext(t.Context(), http.MethodPost, at.String(), p.form(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
	}
	t.Fatalf("no end of forms: %q", p.pages)
	return "", nil
}

// saw compares the headings of the pages that alice filled in.
func (p *person) saw(t *testing.T, pages ...string) {
	t.Helper()
	if !slices.Equal(p.pages, pages) {
		t.Errorf("alice saw the pages %q, want %q", p.pages, pages)
	}
}

// form fills in the form of a page.
func (p *person) form(text string) io.Reader {
	if found := heading.FindStringSubmatch(text); found != nil {
		p.pages = append(p.pages, found[1])
	}
	form := url.Values{}
	for _, hidden := range field.FindAllStringSubmatch(text, -1) {
		form.Set(hidden[1], html.UnescapeString(hidden[2]))
	}
	if strings.Contains(text, `name="password"`) {
		form.Set("username", aliceName)
		form.Set("password", alicePassword)
	}
	if strings.Contains(text, `name="decision"`) {
		form.Set("decision", p.decision)
	}
	return strings.NewReader(form.Encode())
}
