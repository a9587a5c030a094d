package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// htmlUnitModules go through the pages in the very browser of the certification, which runs scripts.
var htmlUnitModules = []module{
	{"server", "signs in and allows; a code in the address", func(c *certified) {
		got := c.walks("open", c.posting(""))
		c.arrives(got, "/login /consent /cb", "GET", "code")
		if !strings.Contains(got.text, " origin="+c.url("auth")+" ") { // as the other tests send it
			c.t.Errorf("%+v", got)
		}
	}},
	{"server with form_post", "the page submits itself", func(c *certified) {
		c.mode = "form_post"
		// The page of the form stands at /consent, and at /authorize when nobody is asked.
		c.arrives(c.walks("open", c.posting("")), "/login /cb", "POST", "code")
		c.arrives(c.walks("go", c.posting("prompt=none")), "/cb", "POST", "code")
	}},
	{"prompt-none-not-logged-in", "login_required, in both response modes", func(c *certified) {
		c.arrives(c.walks("open", c.posting("prompt=none")), "/cb", "GET", "login_required")
		c.mode = "form_post"
		c.arrives(c.walks("open", c.posting("prompt=none")), "/cb", "POST", "login_required")
	}},
	{"prompt-login", "the login page again", func(c *certified) {
		c.arrives(c.walks("open", c.posting("")), "/login /cb", "GET", "code")
		c.arrives(c.walks("go", c.posting("")), "/cb", "GET", "code")
		c.arrives(c.walks("go", c.posting("prompt=login")), "/login /cb", "GET", "code")
	}},
	{"ensure-registered-redirect-uri", "a page", func(c *certified) {
		address := c.url("auth") + c.address("client_id=posted&redirect_uri="+url.QueryEscape(c.app()+"/other"))
		c.reads(c.walks("open", address), "/authorize", "The way back is not known")
	}},
	{"rp-initiated-logout-no-id-token-hint", "the person confirms, and goes on to the client at once",
		func(c *certified) {
			c.arrives(c.walks("open", c.posting("")), "/login /cb", "GET", "code")
			out := c.url("auth") + logoutAddress("client_id", "posted", "post_logout_redirect_uri", c.app()+"/bye",
				"state", everyCharacter)
			seen := c.walks("go", out)
			if c.reads(seen, "/logout /bye", "GET /bye"); seen.form.Get("state") != everyCharacter {
				c.t.Errorf("%+v", seen)
			}
			c.arrives(c.walks("go", c.posting("prompt=none")), "/cb", "GET", "login_required")
		}},
	{"rp-initiated-logout-no-params", "the person confirms, and a page says that they are signed out",
		func(c *certified) {
			c.arrives(c.walks("open", c.posting("")), "/login /cb", "GET", "code")
			c.reads(c.walks("go", c.url("auth")+"/logout?state=x"), "/logout /logout", "You are signed out.")
			c.arrives(c.walks("go", c.posting("prompt=none")), "/cb", "GET", "login_required")
		}},
}

// unitWalk is where the browser went.
type unitWalk struct {
	pages, text, problems string
	form                  url.Values // that the application was sent
}

// walks has the browser open an address and go through the pages.
func (c *certified) walks(how, address string) (w unitWalk) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.unit, how, address); err != nil {
		c.t.Fatal(err)
	}
	line, err := c.unit.ReadString('\n')
	parts := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	if err != nil || len(parts) != 3 {
		c.t.Fatalf("%q, %v", line, err)
	}
	w.pages, w.text, w.problems = strings.TrimSpace(parts[0]), parts[1], parts[2]
	if _, form, ok := strings.Cut(w.text, " form="); ok {
		if w.form, err = url.ParseQuery(form); err != nil {
			c.t.Fatal(err)
		}
	}
	return w
}

// reads holds the way to pages, and what stands on the last one to a text.
func (c *certified) reads(got unitWalk, pages, text string) {
	c.t.Helper()
	if got.pages != pages || !strings.Contains(got.text, text) || got.problems != "" {
		c.t.Errorf("%+v, want %s", got, pages)
	}
}

// arrives holds the way to pages, the last of which is the application's: it was sent a code or an
// error, and with it what this browser says of every request.
func (c *certified) arrives(got unitWalk, pages, method, want string) {
	c.t.Helper()
	c.reads(got, pages, method+" /cb site=same-origin ")
	if got.form.Get("state") != "the state" || got.form.Get("iss") != c.url("auth") ||
		(want == "code") != (got.form.Get("code") != "") || want != "code" && got.form.Get("error") != want {
		c.t.Errorf("%+v, want %s", got, want)
	}
}

// unitBrowser is the browser of the certification in a process of its own.
type unitBrowser struct {
	io.Writer
	*bufio.Reader
}

// startHTMLUnit starts the browser with what .ci/run has got of it from Maven Central.
func startHTMLUnit(t *testing.T) *unitBrowser {
	t.Helper()
	java := requireProgram(t, "java")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	classes, err := os.ReadFile(filepath.Join(cache, "caddyauth", "htmlunit", "classpath"))
	if err != nil {
		if os.Getenv("CI_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip("HtmlUnit is not installed: .ci/run gets it")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, java, "-Xmx256m", "-cp", string(classes),
		filepath.Join("htmlunit", "Walk.java"), "alice", alicePassword)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("%v: %.3000s", err, complaint.String())
		}
	})
	return &unitBrowser{input, bufio.NewReader(output)}
}

// told shows the browser's request, and keeps the code out of the answer.
func (x *authorizing) told(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	if r.Method == http.MethodPost && r.URL.RawQuery != "" {
		http.Error(w, "there is a query: "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	if r.Form.Has("code") {
		x.secret("a code", r.Form.Get("code"))
		r.Form.Set("code", "present")
	}
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s site=%s origin=%s form=%s", r.Method, r.URL.Path, r.Header.Get("Sec-Fetch-Site"),
		r.Header.Get("Origin"), r.Form.Encode())
}

// TestCertificationHTMLUnit goes through the pages as the certification does.
func TestCertificationHTMLUnit(t *testing.T) {
	unit := startHTMLUnit(t)
	var x *authorizing
	app := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { x.told(w, r) }))
	t.Cleanup(app.Close)
	x = newCertified(t, "client posted {\n\t\tredirect_uri "+app.URL+"/cb\n\t\tpost_logout_redirect_uri "+app.URL+
		"/bye\n\t\tsecret "+rpSecret+"\n\t\tscope openid\n\t\tpkce optional\n\t}")
	x.extra["App"] = app.URL
	for _, m := range htmlUnitModules {
		t.Run(m.name, func(t *testing.T) {
			c := x.certified(t, "")
			c.unit = unit
			m.test(c)
		})
	}
}
