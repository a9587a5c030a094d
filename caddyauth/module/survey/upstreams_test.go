package survey

import "testing"

// TestCanonicalAddress: what reaches the same application has one spelling.
func TestCanonicalAddress(t *testing.T) {
	for _, c := range []struct{ dial, want string }{
		{"127.0.0.1:9000", "loopback:9000"},
		{"127.0.0.2:9000", "loopback:9000"},
		{"localhost:9000", "loopback:9000"},
		{"LOCALHOST:09000", "loopback:9000"},
		{"app.localhost.:9000", "loopback:9000"},
		{"[::1]:9000", "loopback:9000"},
		{"[::ffff:127.0.0.1]:9000", "loopback:9000"},
		{"0.0.0.0:9000", "loopback:9000"},
		{"[::]:9000", "loopback:9000"},
		{":9000", "loopback:9000"},
		{"tcp/localhost:9000", "loopback:9000"},
		{"tcp4/127.0.0.1:9000", "loopback:9000"},
		{"Legacy.Internal.:80", "legacy.internal:80"},
		{"legacy.internal", "legacy.internal:80"},
		{"192.0.2.1:80", "192.0.2.1:80"},
		{"[2001:db8:0::1]:80", "2001:db8::1:80"},
		{"unix//run/app.sock", "unix//run/app.sock"},
		{"unix//run/./x/../app.sock", "unix//run/app.sock"},
		{"not.localhost.example:80", "not.localhost.example:80"},
		{"{http.request.host}:80", "{http.request.host}:80"},
	} {
		t.Run(c.dial, func(t *testing.T) {
			if got := canonicalAddress(c.dial); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
