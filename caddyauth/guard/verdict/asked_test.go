package verdict

import (
	"strings"
	"testing"
)

// TestHosts: what is asked about has one host, in a form that matchers for hosts, gates and
// applications read alike.
func TestHosts(t *testing.T) {
	for _, c := range []struct {
		host string
		ok   bool
	}{
		{"app", true},
		{"app.example", true},
		{"App_1.example", true},
		{"app.example:8443", true},
		{"app.example:", true},
		{"192.0.2.1:80", true},
		{"[::1]", true},
		{"[::1]:8443", true},
		{"", false},
		{":443", false},
		{".", false},
		{"app.example.", false},
		{"app.example..", false},
		{"app.example.:443", false},
		{"app.example::443", false},
		{"app.example:443:", false},
		{"app.example:80:443", false},
		{"app.example:https", false},
		{"app.example:-1", false},
		{"::1", false},
		{"[]", false},
		{"[::1.]", false},
		{"[::1]x", false},
		{"[::1]:80:80", false},
		{"[::1", false},
		{"::1]", false},
		{"x[::1]", false},
		{"[fe80::1%25eth0]", false},
		{"app.example,other.example", false},
		{"app.example, other.example", false},
		{"app.example other.example", false},
		{" app.example", false},
		{"alice@app.example", false},
		{"alice:x@app.example", false},
		{"@app.example", false},
		{"app.example/", false},
		{"//app.example", false},
		{`app.example\x`, false},
		{"app.example?x", false},
		{"app.example#x", false},
		{"%61pp.example", false},
		{"app.example%2eother", false},
		{"app。example", false},
		{"app.example\x00", false},
		{"app.example\r\n", false},
	} {
		t.Run(c.host, func(t *testing.T) {
			err := Asked{Method: "GET", Scheme: "https", Host: c.host, URI: "/"}.validate()
			if (err == nil) != c.ok {
				t.Fatalf("error %v", err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "the host ") {
				t.Errorf("error %q does not name the host", err)
			}
		})
	}
}
