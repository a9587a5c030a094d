package weburl

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestIsLoopback(t *testing.T) {
	for _, c := range []struct {
		url  string
		want bool
	}{
		{"http://localhost", true},
		{"http://LOCALHOST:8080", true},
		{"http://LocalHost.", true},
		{"http://app.localhost", true},
		{"http://APP.Localhost.", true},
		{"http://127.0.0.1", true},
		{"http://127.0.0.1.", true},
		{"http://127.0.0.2:80", true},
		{"http://127.255.255.255", true},
		{"http://[::1]", true},
		{"http://[0:0:0:0:0:0:0:1]:80", true},
		{"http://[::ffff:127.0.0.1]", true},
		{"http://[::FFFF:7f00:1]", true},
		{"http://localhost..", false},
		{"http://.localhost", false},
		{"http://localhost.example", false},
		{"http://notlocalhost", false},
		{"http://127.0.0.1.example", false},
		{"http://128.0.0.1", false},
		{"http://127.1", false},
		{"http://2130706433", false},
		{"http://0x7f.0.0.1", false},
		{"http://127.0.0.01", false},
		{"http://0.0.0.0", false},
		{"http://[::]", false},
		{"http://[::1%25eth0]", false},
		{"http://[::ffff:10.0.0.1]", false},
		{"http://[::127.0.0.1]", false},
		{"http://localhost@example.com", false},
		{"http:", false},
	} {
		t.Run(c.url, func(t *testing.T) {
			u, err := url.Parse(c.url)
			if err != nil {
				t.Fatal(err)
			}
			if got := IsLoopback(u.Hostname()); got != c.want {
				t.Errorf("%q: %v, want %v", u.Hostname(), got, c.want)
			}
		})
	}
}

func TestDropParameters(t *testing.T) {
	for _, c := range []struct {
		query, kept string
		dropped     []string
	}{
		{"", "", nil},
		{"a=1", "a=1", nil},
		{"t=x", "", []string{"t=x"}},
		{"t", "", []string{"t"}},
		{"t=", "", []string{"t="}},
		{"a=1&t=x&b=2", "a=1&b=2", []string{"t=x"}},
		{"t=x&a=1", "a=1", []string{"t=x"}},
		{"a=1&t=x", "a=1", []string{"t=x"}},
		{"t=x&t=y", "", []string{"t=x", "t=y"}},
		{"a=1;t=x;b=2", "a=1;b=2", []string{"t=x"}},
		{"t=x;a=1&b=2", "a=1&b=2", []string{"t=x"}},
		{"a=1&t=x;b=2", "a=1;b=2", []string{"t=x"}},
		{"&&a=1&&t=x&", "&&a=1&&", []string{"t=x"}},
		{"%74=x&a=%zz", "a=%zz", []string{"%74=x"}},
		{"+t+=x", "", []string{"+t+=x"}},
		{"%20t=x", "", []string{"%20t=x"}},
		{"a+b=x&c=1", "c=1", []string{"a+b=x"}},
		{"a%20b=x", "", []string{"a%20b=x"}},
		{"T=x", "T=x", nil},
		{"tt=x&at=y", "tt=x&at=y", nil},
		{"a=t", "a=t", nil},
		{"%zz=1&t=x", "%zz=1", []string{"t=x"}},
		{"a%zz=t", "a%zz=t", nil},
		{"a=1&b=2", "a=1&b=2", nil},
		{"a=1#&t=x", "a=1#", []string{"t=x"}},
	} {
		t.Run(c.query, func(t *testing.T) {
			drop := func(name string) bool { return name == "t" || name == "a b" }
			kept, dropped := DropParameters(c.query, drop)
			if kept != c.kept || !slices.Equal(dropped, c.dropped) {
				t.Errorf("kept %q, dropped %q; want %q, %q", kept, dropped, c.kept, c.dropped)
			}
			uri, want := "https://h/p?"+c.query, "https://h/p?"+c.kept
			if c.kept == "" && c.query != "" {
				want = "https://h/p"
			}
			if got := DropParametersIn(uri, drop); got != want {
				t.Errorf("%q became %q, want %q", uri, got, want)
			}
		})
	}
}

// FuzzDropParameters: what a query has left has no parameter of that name for any reader, and loses
// none of another name.
func FuzzDropParameters(f *testing.F) {
	for _, seed := range []string{"a=1&t=x;b=2", "%74=x&%zz", "t&t;&;t=", "a=1#t=2", "%7%74=1"} {
		f.Add(seed)
	}
	drop := func(name string) bool { return name == "t" }
	f.Fuzz(func(t *testing.T, query string) {
		kept, _ := DropParameters(query, drop)
		again, dropped := DropParameters(kept, drop)
		if again != kept || len(dropped) > 0 {
			t.Errorf("%q became %q, and then %q", query, kept, again)
		}
		before, _ := url.ParseQuery(query)
		after, _ := url.ParseQuery(kept)
		for name, values := range before {
			if strings.TrimSpace(name) != "t" && !slices.Equal(values, after[name]) && !strings.Contains(query, ";") {
				t.Errorf("%q became %q: %q was %q and is %q", query, kept, name, values, after[name])
			}
		}
	})
}
