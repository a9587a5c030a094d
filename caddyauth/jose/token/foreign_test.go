package token

import (
	"reflect"
	"testing"
)

// checkNoClaimsOfOurs makes sure that a token of another issuer says nothing in words whose meaning
// is ours.
func checkNoClaimsOfOurs(t *testing.T, tok *Token) {
	t.Helper()
	for _, path := range []string{"project", "sid", "epoch", "project.name", "sid.x"} {
		if value, ok := tok.Claim(path); ok {
			t.Errorf("claim %s is %v", path, value)
		}
		if text, ok := tok.Text(path); ok {
			t.Errorf("claim %s is the text %q", path, text)
		}
	}
	if tok.Project != "" || tok.Session != "" || tok.Epoch != 0 {
		t.Errorf("project %q, session %q, epoch %d", tok.Project, tok.Session, tok.Epoch)
	}
}

// TestForeignTokensHaveNoClaimsOfOurs: whatever is announced, and whatever form the claims have.
// Those that every issuer may write stay.
func TestForeignTokensHaveNoClaimsOfOurs(t *testing.T) {
	key := newMaterial(t, "k", "ES256").key
	for _, c := range []struct {
		name, claims string
		keep         []string
	}{
		{"texts", `"project":"acme","sid":"s1","epoch":"7"`, nil},
		{"texts, announced", `"project":"acme","sid":"s1","epoch":"7"`, []string{"project", "sid", "epoch", "role"}},
		{"objects", `"project":{"name":"acme"},"sid":{"x":1},"epoch":{"y":2}`, nil},
		{"objects, announced", `"project":{"name":"acme"},"sid":{"x":1},"epoch":7`, []string{"project.name", "sid.x"}},
		{"null", `"project":null,"sid":null,"epoch":null`, []string{"project"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVerifier(t, Issuer{Name: "https://idp.example.com", Keys: holding(key)})
			v.Keep(c.keep...)
			raw := sign(t, key, headerOf(key),
				`{"iss":"https://idp.example.com","sub":"carol","aud":"api","exp":1790000900,`+
					`"client_id":"app","jti":"j","scope":"a b","acr":"high","role":"admin",`+c.claims+`}`)
			for range 2 { // the second time from what is remembered
				tok, err := v.Verify(t.Context(), raw)
				if err != nil {
					t.Fatal(err)
				}
				checkNoClaimsOfOurs(t, tok)
				theirs := []struct {
					name string
					want any
				}{{"client_id", "app"}, {"jti", "j"}, {"scope", "a b"}, {"acr", "high"}, {"role", "admin"}}
				for _, c := range theirs {
					t.Run(c.name, func(t *testing.T) {
						if got, _ := tok.Claim(c.name); !reflect.DeepEqual(got, c.want) {
							t.Errorf("claim %s is %v, want %v", c.name, got, c.want)
						}
					})
				}
			}
		})
	}
}
