package clients

import "testing"

// TestExpressOpenIDConnect runs an Express application with express-openid-connect from npm.
func TestExpressOpenIDConnect(t *testing.T) {
	m := start(t)
	m.run(t, "express-openid-connect.mjs", []want{
		{"sign in", `{"sub":"alice","aud":"wiki","name":"Alice Liddell","email":"alice@example.com"}`},
		{"sign out", `2`},
	}, m.settings(t, "Express", "js"))
}

// TestPassport runs an Express application with passport-openidconnect from npm, which knows no PKCE.
func TestPassport(t *testing.T) {
	m := start(t)
	m.run(t, "passport-openidconnect.mjs", []want{
		{"sign in", `{"issuer":true,"id":"alice","name":"Alice Liddell","email":"alice@example.com"}`},
	}, m.settings(t, "Applications without PKCE", "js"))
}
