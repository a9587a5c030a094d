package jwtauth

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
)

// Decision is what one gate decided about a request.
type Decision struct {
	Gate      *JWTAuth
	Err       error // nil if the request passes
	Admission *gate.Admission
}

type collectorKey struct{}

// collecting says that some request of this process has a collector, which those of a server never
// have: looking for one costs more than a gate's other work around its decision.
var collecting atomic.Bool

// CollectDecisions has f told of each decision about requests with the context that it returns.
// Gates renew no session for these.
func CollectDecisions(ctx context.Context, f func(Decision)) context.Context {
	collecting.Store(true)
	return context.WithValue(ctx, collectorKey{}, f)
}

// collector returns who is told of decisions about a request; nil when nobody is.
func collector(r *http.Request) func(Decision) {
	if !collecting.Load() {
		return nil
	}
	f, _ := r.Context().Value(collectorKey{}).(func(Decision))
	return f
}

// decided tells the collector of a request.
func decided(r *http.Request, d Decision) {
	if f := collector(r); f != nil {
		f(d)
	}
}
