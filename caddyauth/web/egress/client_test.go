package egress

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestURLs(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"https://idp.example/keys", ""},
		{"https://10.0.0.1/keys", ""},
		{"HTTPS://idp.example", ""},
		{"http://localhost:8080", ""},
		{"http://[::1]/", ""},
		{"http://idp.example/keys", "is not https"},
		{"http://10.0.0.1/", "is not https"},
		{"http://127.1/", "is not https"},
		{"ftp://localhost/", "is not https"},
		{"file:///etc/passwd", "has no host"},
		{"https:/keys", "has no host"},
		{"https://user:CANARY@idp.example/", "a user name in the URL"},
		{"%", "not a URL"},
	} {
		t.Run(c.url, func(t *testing.T) {
			_, err := ParseURL(c.url)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" &&
				(err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "CANARY")):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// The name of another host is harmless in text; where it leads shows when it is dialled.
func TestOtherHostsAreCheckedWhenDialled(t *testing.T) {
	reached := false
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer srv.Close()
	for _, c := range []struct{ name, home string }{
		{"no home", ""},
		{"public home", "https://idp.example.com/jwks.json"},
		{"home at another port of this machine", "https://127.0.0.2:1/jwks.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := &Client{}
			if c.home != "" {
				client.Home = mustParse(t, c.home)
			}
			_, err := client.Get(t.Context(), mustParse(t, srv.URL), "*/*")
			local := client.isLocal() // it reaches the server, whose certificate is not trusted
			if err == nil || strings.Contains(err.Error(), "is not allowed here") == local || reached {
				t.Errorf("%v, reached %v", err, reached)
			}
			err = client.Check(mustParse(t, srv.URL))
			if refused := err != nil && strings.Contains(err.Error(), "leads to this machine"); refused == local {
				t.Error(err)
			}
		})
	}
}

// What the operator allows is reached, by its own certificate authority; over http only on this
// machine.
func TestAllowedNetworks(t *testing.T) {
	reached := false
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })
	encrypted, plain := httptest.NewTLSServer(handler), httptest.NewServer(handler)
	defer encrypted.Close()
	defer plain.Close()
	roots := x509.NewCertPool()
	roots.AddCert(encrypted.Certificate())
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, c := range []struct {
		name, url, want string
		client          *Client
	}{
		{"https", encrypted.URL, "", &Client{Allow: loopback, Roots: roots}},
		{"http", plain.URL, "", &Client{Allow: loopback}},
		{"another certificate authority", encrypted.URL, "certificate", &Client{Allow: loopback}},
		{"nothing allowed", encrypted.URL, "is not allowed here", &Client{Roots: roots}},
		{"http, nothing allowed", plain.URL, "is not allowed here", &Client{}},
		{"another network", encrypted.URL, "is not allowed here", &Client{
			Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, Roots: roots,
		}},
		{"http to a network beyond this machine", "http://10.255.255.1/", "is not allowed here", &Client{
			Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			reached = false
			defer c.client.Close()
			_, err := c.client.Get(t.Context(), mustParse(t, c.url), "*/*")
			if reached != (c.want == "") || (err == nil) != reached ||
				err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("reached %v, %v, want %q", reached, err, c.want)
			}
		})
	}
}

// A name that counts as loopback may resolve to anything.
func TestPlainConnectionsStayOnThisMachine(t *testing.T) {
	h := newHops(&Client{Home: mustParse(t, "http://app.localhost/introspect")})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for _, transport := range []*http.Transport{h.chosen, h.other, h.plain} {
		_, err := transport.DialContext(ctx, "tcp", "10.255.255.1:80")
		if err == nil || !strings.Contains(err.Error(), "is not allowed here") {
			t.Error(err)
		}
		if transport.Proxy != nil {
			t.Error("what is not encrypted goes through a proxy")
		}
	}
}

func TestRedirectsAreFollowedOnlyWhenAllowed(t *testing.T) {
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.Path)
		http.Redirect(w, r, r.URL.Path+"x", http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	home := mustParse(t, srv.URL+"/")

	answer, err := (&Client{Home: home}).Get(t.Context(), home, "*/*")
	if err != nil || answer.Status != http.StatusTemporaryRedirect || len(seen) != 1 {
		t.Errorf("%+v, %v, requests %q", answer, err, seen)
	}
	_, err = (&Client{Home: home, Redirects: 2}).Get(t.Context(), home, "*/*")
	if err == nil || !strings.Contains(err.Error(), "more than 2 redirects") || len(seen) != 4 {
		t.Errorf("%v, requests %q", err, seen)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
		if r.URL.Path == "/failed" {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 101))
	}))
	defer srv.Close()
	home := mustParse(t, srv.URL)
	for _, c := range []struct {
		path   string
		client *Client
		want   string
	}{
		{"/", &Client{MaxBody: 101}, ""},
		{"/", &Client{MaxBody: 100}, "larger than 100 bytes"},
		{"/failed", &Client{MaxBody: 100}, ""},
		{"/slow", &Client{Timeout: 50 * time.Millisecond}, "deadline exceeded"},
	} {
		t.Run(c.path+c.want, func(t *testing.T) {
			c.client.Home = home
			defer c.client.Close()
			_, err := c.client.Get(t.Context(), mustParse(t, srv.URL+c.path), "*/*")
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestPublicAddresses(t *testing.T) {
	for _, c := range []struct {
		want      bool
		addresses string
	}{
		{true, "1.1.1.1 2606:4700::1111 172.32.0.1 100.128.0.1 ::ffff:1.1.1.1"},
		{
			false,
			"127.0.0.1 ::1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 fe80::1 fe80::1%eth0 fc00::1 0.0.0.0 " +
				"0.1.2.3 :: 100.64.0.1",
		},
		{false, "3fff::1 4000::1 5f00::1 ::ffff:0:10.0.0.1 100::1 64:ff9b:1::a00:1 192.88.99.1"},
		{false, "192.0.0.8 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 ff02::1"},
		{false, "::ffff:10.0.0.1 ::10.0.0.1 64:ff9b::a00:1 2002:a00:1:: fec0::1"},
	} {
		for address := range strings.FieldsSeq(c.addresses) {
			if got := isPublic(netip.MustParseAddr(address)); got != c.want {
				t.Errorf("%s: %v", address, got)
			}
		}
	}
}
