package integration

// The duties of the pages that people see, and of clients that come by themselves. Texts are rendered into
// docs/oauth.md.

var authorizationDuties = []oauthDuty{
	{"redirect URIs byte by byte", "a page, never a redirect", "TestRedirectURIDuties"},
	{"any port of a loopback address", "a code", "TestRedirectURIDuties/http://127.0.0.1:65535/cb"},
	{"an unknown client", "a page that says what to do", "TestAuthorizeDuties/unknown client"},
	{"client or redirect URI repeated", "a page with invalid_request", "TestAuthorizeDuties/repeated redirect URI"},
	{"another parameter repeated", "invalid_request", "TestAuthorizeDuties/repeated"},
	{"no implicit and no hybrid flow", "unsupported_response_type", "TestAuthorizeDuties/hybrid"},
	{"no response type", "invalid_request", "TestAuthorizeDuties/no response type"},
	{"a client without the grant type", "unauthorized_client", "TestAuthorizeDuties/grant type"},
	{"no request objects", "request_not_supported, as the client wants to be answered",
		"TestAuthorizeDuties/request object"},
	{"no `request_uri` but ours", "request_uri_not_supported", "TestAuthorizeDuties/request_uri"},
	{"no `registration`", "registration_not_supported", "TestAuthorizeDuties/registration"},
	{"`state` and the query of the redirect URI", "kept as they were", "TestAuthorizeDuties"},
	{"`iss` in every answer, errors too (RFC 9207)", "the issuer", "TestAuthorizeDuties"},
	{"redirects after a POST", "303", "TestAuthorizeByPost"},
	{"`response_mode` query and form_post", "others are invalid_request", "TestAuthorizeDuties/fragment mode"},
	{"no page of an error can be framed", "`frame-ancestors 'none'`", "TestAuthorizeDuties"},
	{"consent is asked for once, then for what is new", "a page", "TestConsentPage"},
	{"the person refuses", "access_denied", "TestConsentPage"},
	{"withdrawn consent", "ends codes and grants", "TestWithdrawnConsentEndsGrants"},
}

var openIDDuties = []oauthDuty{
	{"`nonce`", "echoed, and none after a refresh", "TestOpenIDConnect"},
	{"`auth_time`, `acr`, `sid`, `at_hash`", "in the ID token", "TestOpenIDConnect"},
	{"`sub` at `/userinfo`", "that of the ID token", "TestOpenIDConnect"},
	{"ID tokens as a library reads them", "issuer, audience, times, signature", "TestIDTokenAsARelyingPartyReadsIt"},
	{"RS256, whatever signs access tokens", "the default", "TestOpenIDConnect"},
	{"`prompt=none`, nobody signed in", "login_required", "TestCertificationBasic"},
	{"`prompt=none`, consent is missing", "consent_required", "TestAuthorizeDuties/consent, no page"},
	{"`prompt=none` beside another value", "invalid_request", "TestAuthorizeDuties/prompt none beside another"},
	{"`prompt=login`, `max_age`", "the login page again", "TestSignInAsTheClientWants"},
	{"`max_age` that is no number", "invalid_request", "TestAuthorizeDuties/max_age that is no number"},
	{"`id_token_hint` of another person", "login_required", "TestIDTokenHint/another person"},
	{"`id_token_hint` that is none", "invalid_request", "TestIDTokenHint/nonsense"},
	{"`login_hint`, `ui_locales`, `display`, `acr_values`", "accepted", "TestAuthorizeDuties/ui_locales"},
	{"`claims`", "told where they were asked for", "TestClaimsParameter"},
	{"`claims` that cannot be read", "invalid_request", "TestAuthorizeDuties/claims of another type"},
	{"an essential `acr` that nobody has", "unmet_authentication_requirements",
		"TestAuthorizeDuties/a class of sign-in that nobody has"},
	{"scopes profile, email, phone, address", "their claims, each of its JSON type", "TestCertificationBasic"},
	{"`/userinfo` by GET and POST, header or form", "JSON", "TestOpenIDConnect"},
	{"`/userinfo` without a token", "401, a challenge without an error", "TestUserInfoDuties/no token"},
	{"with a token that is none", "401 invalid_token", "TestUserInfoDuties/an ID token"},
	{"without the scope openid", "403 insufficient_scope", "TestUserInfoDuties/without the scope openid"},
	{"with two tokens, or one in the query", "400 invalid_request", "TestUserInfoDuties/header and form"},
}

var stepUpDuties = []oauthDuty{
	{"a sign-in that is too old or too weak", "401 insufficient_user_authentication, `acr_values`, `max_age`",
		"TestStepUp"},
	{"a person in a browser", "the login page", "TestStepUp"},
	{"what a token says of the sign-in", "in tokens and introspection", "TestIntrospectionDuties"},
}

var logoutDuties = []oauthDuty{
	{"`post_logout_redirect_uri` byte by byte", "a page, still signed in",
		"TestSignOutsThatAreNotCarriedOut/a query added"},
	{"without `id_token_hint` or `client_id`", "the person is asked, and stays here", "TestCertificationLogout"},
	{"a hint that is none", "a page, still signed in", "TestSignOutsThatAreNotCarriedOut/a foreign key"},
	{"the hint of another session", "the person is asked",
		"TestSignOutsThatAreNotCarriedOut/the ID token of another session"},
	{"a hint that has expired", "names the client, and the session if it is this one", "TestClientsSignPeopleOut"},
	{"a form of another site", "the person is asked", "TestSignOutsThatAreNotCarriedOut/a form of another site"},
	{"pages that are loaded ahead", "sign nobody out", "TestLookingAheadDoesNotSignOut"},
	{"`state`", "as it was", "TestClientSignsAPersonOut"},
	{"what was granted under the session", "ends", "TestClientSignsAPersonOut"},
	{"what was granted with `offline_access`", "goes on; its client is told, and its ID tokens have the same `sid`",
		"TestSignOutWithAnOfflineGrant"},
	{"logout tokens", "`logout+jwt`, the event, `sub` and `sid`, no `nonce`, 2 minutes", "TestClientSignsAPersonOut"},
	{"a client that fails", "is tried again, over restarts", "TestClientSignsAPersonOut"},
	{"a client that hangs", "the person does not wait", "TestDeadClientHoldsUpNobody"},
	{"of several nodes", "one tells the client", "TestOneNodeTellsAClient"},
}

var registrationDuties = []oauthDuty{
	{"off unless configured", "no endpoint, nothing in the metadata", "TestRegistrationIsOff"},
	{"https redirect URIs, http on loopback alone", "invalid_redirect_uri", "TestRegistrationDuties/plain http"},
	{"what is not offered", "invalid_client_metadata", "TestRegistrationDuties/implicit"},
	{"no grant without a person", "invalid_client_metadata", "TestRegistrationDuties/no grant offered"},
	{"what is refused", "is not stored", "TestRegistrationDuties"},
	{"too many from an address, or in all", "429, `Retry-After`", "TestTooManyRegistrations"},
	{"the same public client again", "the same client_id", "TestSameRegistrationAtOnce"},
	{"the requested scope", "is no ceiling", "TestRegisteredClient"},
	{"restarts", "the client stays", "TestRegisteredClient"},
	{"clients that nobody uses", "are forgotten after a time", "TestUnusedClientsAreForgotten"},
	{"clients that nobody has allowed anything", "are forgotten after a day",
		"TestClientsThatNobodyAllowedAnythingAreForgotten"},
	{"more clients than the server keeps", "503 too_many_clients", "TestNoMoreClientsThanTheServerKeeps"},
	{"another token than the client's", "401, `WWW-Authenticate: Bearer`",
		"TestRegistrationAnswers/another client's token"},
	{"what only the server sets", "invalid_client_metadata", "TestRegistrationAnswers/what only the server sets"},
	{"a client that says anew what it is", "200, and is that alone", "TestRegistrationAnswers"},
	{"a client that deletes itself", "204, and what it was issued ends", "TestRegisteredClient"},
}

var documentDuties = []oauthDuty{
	{"an https URL with a path", "invalid_client", "TestDocumentAddresses"},
	{"`client_id` in it is its URL", "invalid_client", "TestDocumentDuties/another client_id"},
	{"no secrets", "invalid_client", "TestDocumentDuties/client_secret_basic"},
	{"no private, loopback or link-local addresses", "not fetched", "TestDocumentsInThisNetworkAreNotFetched"},
	{"no redirects", "invalid_client", "TestDocumentDuties/redirect"},
	{"at most 64 KiB", "invalid_client", "TestDocumentDuties/above 64 KiB"},
	{"kept as HTTP says, within bounds", "from a minute to a day", "TestDocumentsAreKept"},
	{"at most 5 s", "invalid_client", "TestADocumentThatTrickles"},
	{"hosts that are slow", "hold up no other client", "TestSlowHostsHoldUpNobodyElse"},
	{"a list of domains", "others are invalid_client",
		"TestDocumentAddresses/another host than the allowed ones"},
}

var clientDuties = []oauthDuty{
	{"no scope", "all that the client may have", "TestScopesThatRealClientsSend/none"},
	{"unknown scopes", "left out", "TestScopesThatRealClientsSend/unknown ones beside others"},
	{"unknown scopes alone", "invalid_scope", "TestAuthorizeDuties/no scope is left"},
	{"an empty secret of a public client", "accepted", "TestPublicClientsSendAnEmptySecret"},
	{"20 refreshes right after the code", "all are good, with one successor", "TestRefreshesAtOnceRightAfterTheCode"},
	{"no access token is too early", "no `nbf`", "TestClaimsOfAccessTokens"},
	{"metadata asked for with `MCP-Protocol-Version`", "204 to the question, then the document",
		"TestClientsLookForMetadata"},
	{"the first challenge of a gate", "names the scopes of its rules", "TestFirstChallengeNamesTheScopes"},
	{"a client that was forgotten", "401 invalid_client, so that it registers again", "TestRegisteredClient"},
}
