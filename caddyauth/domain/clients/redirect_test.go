package clients

import (
	"net/url"
	"strings"
	"testing"
)

func TestRedirectURIs(t *testing.T) {
	for _, tc := range []struct {
		registered, presented string
		want                  bool
	}{
		{"https://a.example/cb", "https://a.example/cb", true},
		{"https://a.example/cb", "https://a.example/cb/", false},
		{"https://a.example/cb", "https://a.example/cb?x=1", false},
		{"https://a.example/cb", "https://a.example/cb#", false},
		{"https://a.example/cb", "https://a.example/CB", false},
		{"https://a.example/cb", "https://A.example/cb", false},
		{"https://a.example/cb", "https://a.example:443/cb", false},
		{"https://a.example/cb", "https://a.example:8443/cb", false},
		{"https://a.example/cb", "https://a.example/x/../cb", false},
		{"https://a.example/cb", "https://a.example/%63b", false},
		{"https://a.example/cb", "http://a.example/cb", false},
		{"https://a.example/cb", "https://a.example.evil.example/cb", false},
		{"https://a.example/cb", "https://a.example@evil.example/cb", false},
		{"https://a.example/cb", "", false},
		{"", "", false},
		{"com.example.app:/cb", "com.example.app:/cb", true},
		{"com.example.app:/cb", "com.example.app:/cb2", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", true},
		{"http://127.0.0.1:8080/cb", "http://127.0.0.1:51004/cb", true},
		{"http://127.0.0.1:8080/cb", "http://127.0.0.1/cb", true},
		{"http://[::1]/cb", "http://[::1]:51004/cb", true},
		{"http://localhost/cb", "http://localhost:51004/cb", true},
		{"http://localhost", "http://localhost:3000", true},
		{"http://localhost?a=b", "http://localhost:3000?a=b", true},
		{"http://127.0.0.1/cb", "http://localhost/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.2/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:51004/cb/", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:51004/cb?x", false},
		{"http://127.0.0.1/cb", "https://127.0.0.1:51004/cb", false},
		{"https://127.0.0.1/cb", "https://127.0.0.1:51004/cb", false},
		{"http://127.0.0.1/cb", "HTTP://127.0.0.1:51004/cb", false},
		{"http://localhost/cb", "http://LOCALHOST:51004/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:0/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:080/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:70000/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1@evil.example/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", false},
		{"http://127.0.0.1/cb", "http://user@127.0.0.1/cb", false},
		{"http://localhost/cb", "http://localhost.evil.example:80/cb", false},
		{"http://localhost", "http://localhost:80.evil.example", false},
		{"http://localhost.evil.example/", "http://localhost:80.evil.example/", false}, // cannot be registered
		{"http://localhost", "http://localhost\\@evil.example", false},
	} {
		t.Run(tc.registered+" "+tc.presented, func(t *testing.T) {
			c := Client{Settings: Settings{RedirectURIs: []string{"https://other.example/", tc.registered}}}
			if got := c.RedirectURI(tc.presented); got != tc.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestPostLogoutRedirectURIsAreExact(t *testing.T) {
	c := Client{Settings: Settings{PostLogoutRedirectURIs: []string{"https://a.example/", "http://localhost/bye"}}}
	for _, tc := range []struct {
		presented string
		want      bool
	}{
		{"https://a.example/", true},
		{"http://localhost/bye", true},
		{"http://localhost:3000/bye", false},
		{"https://a.example", false},
		{"https://a.example/?x", false},
		{"", false},
	} {
		t.Run(tc.presented, func(t *testing.T) {
			if c.PostLogoutRedirectURI(tc.presented) != tc.want {
				t.Error(!tc.want)
			}
		})
	}
}

func TestRedirectURIsThatCanBeRegistered(t *testing.T) {
	for _, uri := range []string{
		"https://a.example", "https://a.example/cb?x=1&y", "https://a.example:8443/", "https://192.0.2.1/cb",
		"http://localhost/cb", "http://127.0.0.1:8080/cb", "http://[::1]/", "http://[::1]:80/",
		"com.example.app:/cb", "com.example.app://cb", "com.example.my-app:cb", "https://xn--bcher-kva.example/",
	} {
		t.Run(uri, func(t *testing.T) {
			if err := ValidateRedirectURI(uri); err != nil {
				t.Error(err)
			}
		})
	}
	for _, uri := range []string{
		"", "/cb", "//a.example/cb", "a.example/cb", "javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x",
		"file:///etc/passwd", "vbscript:x", "blob:https://a/x", "about:blank", "view-source:https://a", "myapp:/cb",
		"http://a.example/cb", "http://127.0.0.2/", "http://localhost.a.example/", "http://[::2]/", "http:///cb",
		"https:///cb", "https:a.example", "https://", "https://a.example/#x", "https://a.example/#",
		"https://u@a.example/",
		"https://u:p@a.example/", "https://*.example/", "https://a b/", "https://a.example/\n", "https://a.example\\b/",
		"https://b\u00fccher.example/", "HTTPS://a.example/", "Com.Example:/", "https://a.example:0/", "https://a..b/",
		"https://a.example:99999/", "https://%61.example/", ".a:/", "a.:/", "https://" + strings.Repeat("a", 2048),
		"http://localhost@a.example/", "http://127.0.0.1:80@a.example/", "ftp://a.example/", "com.example.app:/#x",
	} {
		t.Run(uri, func(t *testing.T) {
			if ValidateRedirectURI(uri) == nil {
				t.Error("it was taken")
			}
		})
	}
}

// FuzzRedirectURI holds the comparison against what a browser would do: whatever is taken besides
// the registered bytes goes to the same loopback host with the same path and query.
func FuzzRedirectURI(f *testing.F) {
	f.Add("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb")
	f.Add("http://[::1]:1/cb?a=b", "http://[::1]/cb?a=b")
	f.Add("http://localhost", "http://localhost:80@evil.example")
	f.Add("https://a.example/cb", "https://a.example:1/cb")
	f.Add("com.example.app:/cb", "com.example.app:/cb")
	f.Fuzz(func(t *testing.T, registered, presented string) {
		if ValidateRedirectURI(registered) != nil {
			return
		}
		c := Client{Settings: Settings{RedirectURIs: []string{registered}}}
		if !c.RedirectURI(registered) {
			t.Errorf("%q is not itself", registered)
		}
		if !c.RedirectURI(presented) || presented == registered {
			return
		}
		before, errBefore := url.Parse(registered)
		after, errAfter := url.Parse(presented)
		if errBefore != nil || errAfter != nil {
			t.Fatal(errBefore, errAfter)
		}
		if after.Scheme != "http" || after.User != nil || after.Fragment != "" ||
			before.Hostname() != after.Hostname() ||
			before.RequestURI() != after.RequestURI() ||
			ValidateRedirectURI(presented) != nil {
			t.Errorf("%q was taken for %q", presented, registered)
		}
		switch after.Hostname() {
		case "localhost", "127.0.0.1", "::1":
		default:
			t.Errorf("%q is not on a loopback host", presented)
		}
	})
}
