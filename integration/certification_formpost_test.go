package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// formPostModules are those of the plan form post in a browser that draws pages, runs scripts and heeds
// policies: the page submits itself, and the application's address has no query.
var formPostModules = []module{
	{"server", "after the sign-in and the page that asks, a code by POST", func(c *certified) {
		c.opens(c.posting(""), passwordField)
		c.real.sendsLogin("alice", alicePassword)
		c.real.do("allow", chromedp.WaitVisible(allowButton), chromedp.Click(allowButton))
		c.isPosted("code")
	}},
	{"response-type-missing", "invalid_request by POST", func(c *certified) {
		c.opens(c.posting("response_type="), plainPage)
		c.isPosted("invalid_request")
	}},
	{"prompt-none-not-logged-in", "login_required by POST", func(c *certified) {
		c.opens(c.posting("prompt=none"), plainPage)
		c.isPosted("login_required")
	}},
	{"unsigned-request-object-supported-correctly-or-rejected-as-unsupported", "request_not_supported by POST",
		func(c *certified) {
			object := unsignedObject(`{"response_mode":"form_post"}`) // and nowhere else
			c.opens(c.posting("response_mode=&request="+object), plainPage)
			c.isPosted("request_not_supported")
		}},
	{"ensure-post-request-succeeds", "a form of the application leads to a code by POST", func(c *certified) {
		_, query, _ := strings.Cut(c.posting(""), "?")
		c.opens(c.app()+"/form?"+query, submitButton)
		c.real.do("post the request", chromedp.Click(submitButton))
		c.real.sendsLogin("alice", alicePassword)
		c.isPosted("code") // what was allowed before is remembered
	}},
}

// app is where the application of the plan is.
func (c *certified) app() string {
	address, _ := c.extra["App"].(string)
	return address
}

// posting is the address of a request whose answer is posted to the application.
func (c *certified) posting(changes string) string {
	c.t.Helper()
	return c.url("auth") + c.address("client_id=posted&redirect_uri="+url.QueryEscape(c.app()+"/cb")+"&"+changes)
}

func (c *certified) opens(address string, wait chromedp.CSS) {
	c.t.Helper()
	c.real.do("open", chromedp.Navigate(address), chromedp.WaitVisible(wait))
}

// isPosted waits until the application shows what it was sent: a code or an error, by POST, and nothing
// in its address.
func (c *certified) isPosted(want string) {
	c.t.Helper()
	c.real.do("arrive", chromedp.WaitVisible(plainPage))
	text := ask(*c.real, "reading the page", chromedp.Text(plainPage))
	query, form, _ := strings.Cut(text, "\n")
	got, err := url.ParseQuery(form)
	if err != nil || query != "POST /cb application/x-www-form-urlencoded" || got.Get("state") != "the state" ||
		got.Get("iss") != c.url("auth") || (want == "code") != (got.Get("code") != "") ||
		want != "code" && got.Get("error") != want {
		c.t.Errorf("the application was sent %q", text)
	}
	if got.Get("code") != "" {
		c.secret("a code", got.Get("code"))
	}
}

// postedTo is an application over https, which shows what it is sent, and has a form that posts its
// query to the server.
func (x *authorizing) postedTo(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/form" {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<form method="post" action="%s/authorize">`, x.url("auth"))
		for name, values := range r.URL.Query() {
			fmt.Fprintf(w, `<input type="hidden" name="%s" value="%s">`, name, values[0])
		}
		fmt.Fprint(w, `<button type="submit">Sign in</button></form>`)
		return
	}
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s %s\n%s", r.Method, r.URL, r.Header.Get("Content-Type"), body)
}

// TestCertificationFormPost is the plan form post where the page must submit itself.
func TestCertificationFormPost(t *testing.T) {
	program := requireBrowser(t)
	var x *authorizing
	app := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { x.postedTo(w, r) }))
	t.Cleanup(app.Close)
	x = newCertified(t, "client posted {\n\t\tredirect_uri "+app.URL+"/cb\n\t\tsecret "+rpSecret+
		"\n\t\tscope openid\n\t\tpkce optional\n\t}")
	x.extra["App"] = app.URL
	for _, m := range formPostModules {
		t.Run(m.name, func(t *testing.T) {
			c := x.certified(t, "form_post")
			b := startBrowser(t, program, chromedp.Flag("ignore-certificate-errors", true)) // no cookies
			c.real = &b
			m.test(c)
		})
	}
}
