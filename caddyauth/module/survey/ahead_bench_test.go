package survey

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
)

// fakeGuard is a gate, or a filter, that has only a place.
type fakeGuard struct {
	gate  *gate.Gate
	place Place
}

func newFakeGuard(g *gate.Gate) *fakeGuard {
	f := &fakeGuard{gate: g}
	f.place.Guard = f
	return f
}

func (f *fakeGuard) Gate() *gate.Gate     { return f.gate }
func (f *fakeGuard) ReportsOnly() bool    { return false }
func (*fakeGuard) Label() string          { return "" }
func (*fakeGuard) LoginPage() string      { return "" }
func (*fakeGuard) LoginIsGiven() bool     { return false }
func (f *fakeGuard) Describe() string     { return "fake" }
func (f *fakeGuard) Place() *Place        { return &f.place }
func (f *fakeGuard) SetLabel(string)      {}
func (f *fakeGuard) Filter(*http.Request) {}
func (f *fakeGuard) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// manyGates is a site with gates by path, each with its filter beside it, and rewrites behind them.
func manyGates(gates, rewrites int) (*Survey, []*fakeGuard) {
	var routes caddyhttp.RouteList
	var filters []*fakeGuard
	for i := range gates {
		at := caddyhttp.MatcherSets{{&caddyhttp.MatchPath{fmt.Sprintf("/g%d*", i)}}}
		filter := newFakeGuard(nil)
		filters = append(filters, filter)
		routes = append(routes,
			caddyhttp.Route{MatcherSets: at, Handlers: []caddyhttp.MiddlewareHandler{newFakeGuard(new(gate.Gate))}},
			caddyhttp.Route{Handlers: []caddyhttp.MiddlewareHandler{filter}})
	}
	for i := range rewrites {
		routes = append(routes, caddyhttp.Route{
			MatcherSets: caddyhttp.MatcherSets{{&caddyhttp.MatchPath{fmt.Sprintf("/old%d/*", i), "/all/*"}}},
			Handlers: []caddyhttp.MiddlewareHandler{
				&rewrite.Rewrite{URI: fmt.Sprintf("/all/new%d{http.request.uri.path}", i)},
			},
		})
	}
	server := &caddyhttp.Server{Routes: routes}
	app := &caddyhttp.App{Servers: map[string]*caddyhttp.Server{"site": server}}
	return &Survey{HTTP: func() *caddyhttp.App { return app }}, filters
}

func plainRequest(target string) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	repl := caddy.NewReplacer()
	original := *r
	ctx := context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original)
	ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, repl)
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{})
	r = r.WithContext(ctx)
	for _, name := range []string{"Accept", "User-Agent", "Accept-Encoding", "Accept-Language", "Cookie", "Referer"} {
		r.Header.Set(name, "x")
	}
	return r
}

// askAll has each filter look ahead. It returns how many gates were asked.
func askAll(filters []*fakeGuard, r *http.Request) (asked int) {
	vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	for _, f := range filters {
		for f.place.Missed(r, vars) != nil {
			asked++
		}
	}
	return asked
}

// BenchmarkLookAhead measures what all filters of a site cost one request that meets no gate.
func BenchmarkLookAhead(b *testing.B) {
	for _, c := range []struct {
		gates, rewrites int
		target          string
	}{
		{1, 0, "/x"}, {1, 1, "/x"}, {40, 80, "/x"}, {40, 80, "/all/x"}, {120, 240, "/x"}, {120, 240, "/all/x"},
	} {
		b.Run(fmt.Sprintf("%d/%d%s", c.gates, c.rewrites, c.target), func(b *testing.B) {
			s, filters := manyGates(c.gates, c.rewrites)
			s.Find()
			b.ReportAllocs()
			for b.Loop() {
				askAll(filters, plainRequest(c.target))
			}
		})
	}
}

// BenchmarkFind measures the survey of such a site.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1, 40, 120} {
		b.Run(fmt.Sprintf("%d/%d", n, 2*n), func(b *testing.B) {
			for b.Loop() {
				s, _ := manyGates(n, 2*n)
				s.Find()
			}
		})
	}
}
