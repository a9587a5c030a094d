package gate

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// BenchmarkAdmit measures one gate with four forwarded claims on a browser's request: `floor` sets
// four constant headers and does nothing else.
func BenchmarkAdmit(b *testing.B) {
	w := newTokenFixture(b)
	cache, err := token.NewCache(w.Verifier, 20_000)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cache.Close)
	g := w.gate(b, func(g *Gate) { g.Verify = cache.Verify })
	at := now.Add(time.Second)
	template := httptest.NewRequest("GET", "https://app.example.com/x", nil)
	for _, c := range []struct{ name, value string }{
		{"Accept", "*/*"}, {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"}, {"Accept-Encoding", "gzip"},
		{"Accept-Language", "en"}, {"X-Request-Id", "1"}, {"Cookie", "theme=dark; lang=en"},
		{"Referer", "https://app.example.com/"},
	} {
		template.Header.Set(c.name, c.value)
	}
	run := func(name string, n int, serve func(r *http.Request) bool) {
		lines := make([][]string, n)
		for i := range lines {
			lines[i] = []string{"Bearer " + w.mint(b, func(c *token.Claims) { c.ID = strconv.Itoa(i) })}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := *template
			r.Header = template.Header.Clone()
			i := 0
			for b.Loop() {
				r.Header["Authorization"] = lines[i%n]
				i++
				if !serve(&r) {
					b.Fatal("refused")
				}
				delete(r.Header, "X-User-Id")
				delete(r.Header, "X-User-Role")
				delete(r.Header, "X-User-Email")
				delete(r.Header, "X-User-Groups")
			}
		})
	}
	run("floor", 1, func(r *http.Request) bool {
		delete(r.Header, "Authorization")
		for _, name := range g.names {
			r.Header[name] = []string{"constant"}
		}
		return true
	})
	admit := func(r *http.Request) bool {
		admission, err := g.Admit(r, nil, at)
		return err == nil && admission.Token != nil && r.Header["X-User-Role"][0] == "admin"
	}
	run("hot", 1, admit)
	run("10000", 10_000, admit)
}

// BenchmarkConcealAuthorization looks through a bearer header word by word.
func BenchmarkConcealAuthorization(b *testing.B) {
	r := request(bearer(newTokenFixture(b).mint(b, nil)))
	b.ReportAllocs()
	for b.Loop() {
		if ConcealAuthorization(r, func(word string) bool { return strings.HasPrefix(word, "caat_") }) != nil {
			b.Fatal("removed")
		}
	}
}
