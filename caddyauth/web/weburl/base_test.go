package weburl

import (
	"net/url"
	"testing"
)

func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestCanonicalOrigins(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"https://app.example.com", "https://app.example.com"},
		{"HTTPS://App.Example.COM/", "https://app.example.com"},
		{"https://app.example.com:443", "https://app.example.com"},
		{"http://localhost:80", "http://localhost"},
		{"http://localhost:8080", "http://localhost:8080"},
		{"https://app:80", "https://app:80"},
		{"http://[::1]:8080", "http://[::1]:8080"},
		{"http://127.0.0.1:9000", "http://127.0.0.1:9000"},
		{"https://xn--bcher-kva.example", "https://xn--bcher-kva.example"},
	} {
		if got, err := CanonicalOrigin(c.in); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", c.in, got, err)
		}
	}
	for _, in := range []string{
		"", "app.example.com", "//app.example.com", "ftp://x", "https://", "https:///", "https://x/y", "https://x?y",
		"https://x?", "https://x#", "https://x#y", "https://u@x", "https://x:", "https://x:0", "https://x:070",
		"https://x:99999", "https://b\u00fccher.example", "https://x y", "https://*.example.com", "https://a,b",
		"https://x\\y", "null", "https://.x", "https://a..b", "https://%61", "https://[::1%25eth0]",
	} {
		if got, err := CanonicalOrigin(in); err == nil {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func TestBases(t *testing.T) {
	for _, c := range []struct {
		base string
		good bool
	}{
		{"https://h", true},
		{"https://h/auth", true},
		{"http://h:8080/a/b", true},
		{"https://h/", false},
		{"https://h/auth/", false},
		{"https://h?x", false},
		{"https://h#x", false},
		{"https://u@h", false},
		{"ftp://h", false},
		{"/auth", false},
	} {
		t.Run(c.base, func(t *testing.T) {
			if err := ValidateBase(parse(t, c.base)); (err == nil) != c.good {
				t.Error(err)
			}
		})
	}
	if ValidateBase(nil) == nil {
		t.Error("no base is taken")
	}
}

func TestIsSecure(t *testing.T) {
	for _, c := range []struct {
		url  string
		want bool
	}{
		{"https://h", true},
		{"http://127.0.0.1:80/x", true},
		{"http://app.localhost", true},
		{"http://h", false},
		{"ws://localhost", false},
		{"//localhost", false},
	} {
		t.Run(c.url, func(t *testing.T) {
			if got := IsSecure(parse(t, c.url)); got != c.want {
				t.Error(got)
			}
		})
	}
}
