package clients

import "testing"

// TestOAuth4WebAPI runs oauth4webapi from npm.
func TestOAuth4WebAPI(t *testing.T) {
	start(t).run(t, "oauth4webapi.mjs", []want{
		{"discovery", `true`},
		{
			"denied",
			`{"code":"OAUTH_AUTHORIZATION_RESPONSE_ERROR","error":"access_denied","pages":"Sign in, Allow access?"}`,
		},
		{"allowed", `{"sub":"alice","pages":"Allow access?"}`},
		{"code", `{"sub":"alice","aud":"wiki","acr":"pwd"}`},
		{"signature", `"alice"`},
		{"userinfo", `{"sub":"alice","name":"Alice Liddell","email":"alice@example.com"}`},
		{"access token", `{"sub":"alice","client_id":"wiki","scope":"openid profile email offline_access"}`},
		{"introspect", `{"active":true,"sub":"alice"}`},
		{"introspect, signed", `{"active":true,"sub":"alice"}`},
		{"revoke", `"invalid_grant"`},
		{"form_post", `"alice"`},
		{"post", `"alice"`},
		{"pushed", `"alice"`},
		{"client credentials", `"write: 200 hello reports"`},
		{"private_key_jwt", `"write: 200 hello billing"`},
		{"DPoP", `"dpop: 200 hello alice"`},
		{"FAPI 2.0", `"dpop: alice"`},
	})
}
