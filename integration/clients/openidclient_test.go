package clients

import "testing"

// TestOpenIDClient runs openid-client from npm.
func TestOpenIDClient(t *testing.T) {
	m := start(t)
	m.run(t, "openid-client.mjs", []want{
		{"discovery", `{"issuer":"` + m.at("auth") + `","code_challenge_methods_supported":["S256"]}`},
		{"denied", `{"name":"AuthorizationResponseError","error":"access_denied","pages":"Sign in, Allow access?"}`},
		{"allowed", `{"sub":"alice","pages":"Allow access?"}`},
		{
			"code",
			`{"token_type":"bearer","scope":"openid profile email offline_access",` +
				`"sub":"alice","aud":"wiki","acr":"pwd"}`,
		},
		{"userinfo", `{"sub":"alice","name":"Alice Liddell","email":"alice@example.com"}`},
		{"api", `"200 hello alice"`},
		{"max_age", `"number"`},
		{"introspect", `{"active":true,"sub":"alice","client_id":"wiki"}`},
		{"refresh", `{"token_type":"bearer","sub":"alice"}`},
		{"revoke", `{"active":false}`},
		{"form_post", `"alice"`},
		{"pushed", `"alice"`},
		{"basic", `"alice"`},
		{"nobody is signed in", `"login_required"`},
		{"client credentials", `"read: 200 hello reports"`},
		{"private_key_jwt", `"read: 200 hello billing"`},
		{"public client", `"alice"`},
		{"DPoP", `"dpop: 200 hello alice"`},
		{"FAPI 2.0", `"dpop alice"`},
		{"device, with a link", `"alice"`},
		{"device, with a typed code", `"alice"`},
		{"sign out", `"the state: login_required"`},
		{"pages", `["Allow access?","Connect a device","One moment","Sign in","Sign out?"]`},
	})
}
