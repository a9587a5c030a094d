package request

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestClientURL: what a proxy says of scheme and host counts if it is trusted.
func TestClientURL(t *testing.T) {
	for _, c := range []struct {
		name    string
		headers []string // name, value
		tls     bool
		trusted bool
		want    string
	}{
		{"http", nil, false, false, "http://app.example:8080/a%2Fb"},
		{"https", nil, true, false, "https://app.example:8080/a%2Fb"},
		{"forged", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example"}, false, false,
			"http://app.example:8080/a%2Fb"},
		{"behind a trusted proxy", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example"}, false,
			true,
			"https://app.example/a%2Fb"},
		{"a proxy that says nothing", nil, false, true, "http://app.example:8080/a%2Fb"},
		{"another scheme", []string{"X-Forwarded-Proto", "ftp"}, true, true, "https://app.example:8080/a%2Fb"},
		{"said twice", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Proto", "https"}, false, true,
			"http://app.example:8080/a%2Fb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/rewritten", nil)
			r.Host = "app.example:8080"
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Add(c.headers[i], c.headers[i+1])
			}
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			sent, err := url.ParseRequestURI("/a%2Fb?token=x")
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, http.Request{URL: sent})
			ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{caddyhttp.TrustedProxyVarKey: c.trusted})
			if got := ClientURL(r.WithContext(ctx)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
