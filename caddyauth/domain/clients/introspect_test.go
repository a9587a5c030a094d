package clients

import "testing"

// TestMayIntrospect: whom the server tells of access tokens.
func TestMayIntrospect(t *testing.T) {
	api := Settings{Introspection: []string{"api", "https://api.example"}}
	for _, c := range []struct {
		name     string
		client   Client
		issuedTo string
		audience []string
		want     bool
	}{
		{"its own", Client{ID: "c"}, "c", []string{"api"}, true},
		{"another's", Client{ID: "c"}, "d", []string{"api"}, false},
		{"another's, without an audience", Client{ID: "c"}, "d", nil, false},
		{"for the client", Client{ID: "c"}, "d", []string{"api", "c"}, true},
		{"one that it serves", Client{ID: "c", Settings: api}, "d", []string{"x", "api"}, true},
		{"one that it does not serve", Client{ID: "c", Settings: api}, "d", []string{"API", "api2"}, false},
		{"a resource", Client{ID: "c", Settings: api}, "d", []string{"https://api.example"}, true},
		{"a resource with a slash", Client{ID: "c", Settings: api}, "d", []string{"https://api.example/"}, true},
		{"below a resource", Client{ID: "c", Settings: api}, "d", []string{"https://api.example/x"}, false},
		{"what it has tokens for is not what it serves",
			Client{ID: "c", Audience: []string{"api"}, Settings: Settings{Resources: []string{"https://r.example"}}},
			"d", []string{"api", "https://r.example"}, false},
		{"came by itself, its own", Client{ID: "c", Settings: Settings{Source: Registered}}, "c", nil, true},
		{"came by itself, named", Client{ID: "c", Settings: Settings{Source: Registered}}, "d", []string{"c"}, false},
		{"came by itself, serves", Client{ID: "c", Settings: Settings{Source: MetadataDocument,
			Introspection: []string{"api"}}}, "d", []string{"api"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.client.MayIntrospect(c.issuedTo, c.audience); got != c.want {
				t.Errorf("told: %v, want %v", got, c.want)
			}
		})
	}
}
