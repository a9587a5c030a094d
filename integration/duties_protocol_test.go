package integration

// The duties of the endpoints for programs. Texts are rendered into docs/oauth.md.

var tokenDuties = []oauthDuty{
	{"POST alone", "405, `Allow`", "TestCodeDuties/GET"},
	{"a form alone", "invalid_request", "TestCodeDuties/JSON"},
	{"nothing in the query", "invalid_request", "TestCodeDuties/a query beside the form"},
	{"no parameter twice, known or not", "invalid_request", "TestCodeDuties/an unknown parameter twice"},
	{"one way of authentication", "invalid_request, whatever each is worth", "TestCodeDuties/bad header and form"},
	{"a client that fails with Basic", "401 invalid_client, `WWW-Authenticate: Basic`", "TestCodeDuties/wrong secret"},
	{"a client that fails otherwise", "401 invalid_client, no challenge", "TestCodeDuties/wrong secret in the form"},
	{"an unknown client", "401 invalid_client, the same text", "TestCodeDuties/unknown client"},
	{"two secrets at once", "each until its end", "TestClientIsAuthenticWithItsSecretsUntilTheyEnd"},
	{"nothing secret is stored as it is", "codes, tokens, secrets are not in the database",
		"TestNothingSecretIsStoredAsItIs"},
	{"a missing parameter", "invalid_request", "TestCodeDuties/no code"},
	{"a grant type that the client has not", "unauthorized_client",
		"TestCodeDuties/client without the grant type"},
	{"no password grant, no implicit one", "unsupported_grant_type", "TestCodeDuties/password grant"},
	{"a code is its client's", "invalid_grant, still good for its client", "TestCodeDuties/another client"},
	{"the redirect URI of the request", "invalid_grant, still good", "TestCodeDuties/another redirect URI"},
	{"a code is good for 60 s, at most 10 minutes", "invalid_grant", "TestCodesOfOtherRequests"},
	{"a code is used once", "invalid_grant, and what it bought ends", "TestCodeFlow"},
	{"only a real second use ends anything", "invalid_grant, nothing ends", "TestCodeDuties"},
	{"200 uses of one code at once", "one is good, the others invalid_grant", "TestRaces/one code"},
	{"answers are not stored", "`Cache-Control: no-store`, `Pragma: no-cache`", "TestCodeDuties"},
	{"texts of errors", "printable ASCII without quotes", "TestCodeDuties"},
	{"every grant asks whether person, client and project may have it", "invalid_grant",
		"TestEveryGrantAsksWhoMayHaveIt"},
	{"client credentials", "for confidential clients, without a refresh token", "TestGrantsOfPrograms"},
}

var refreshDuties = []oauthDuty{
	{"a refresh token is its client's", "invalid_grant, still good", "TestRefreshDuties/another client"},
	{"no more scope than was granted", "invalid_scope, still good", "TestRefreshDuties/more scope"},
	{"forged, foreign and expired ones end nothing", "invalid_grant", "TestRefreshDuties/forged"},
	{"the access token before it goes on", "both pass at gates", "TestRefreshDuties"},
	{"a second use inside the reuse interval", "the same successor",
		"TestRefreshTokensUsedAgain/the one before, inside the interval"},
	{"any other second use", "invalid_grant, and the whole grant ends",
		"TestRefreshTokensUsedAgain/the one before that"},
	{"so it does whatever is asked for with it", "invalid_grant",
		"TestRefreshTokensUsedAgain/the one before that, for another scope"},
	{"tokens of a sign-in end with it, those of `offline_access` do not", "invalid_grant",
		"TestWhatEndsWithTheSession"},
	{"a revocation wins over refreshes at the same time", "invalid_grant", "TestARevocationWinsOverRefreshes"},
}

var pkceDuties = []oauthDuty{
	{"every client must send a challenge", "invalid_request", "TestAuthorizeDuties/no challenge"},
	{"a confidential client may be declared `pkce optional`", "a code", "TestAuthorizeDuties/no challenge, optional"},
	{"S256 alone", "invalid_request", "TestAuthorizeDuties/plain by default"},
	{"43 to 128 characters", "invalid_grant", "TestCodeDuties/long verifier"},
	{"unreserved characters", "invalid_grant", "TestJudge"},
	{"a verifier without a challenge", "invalid_grant", "TestCodesOfOtherRequests/without PKCE"},
}

var deviceDuties = []oauthDuty{
	{"who may not ask for codes", "the words of `/token`", "TestDeviceRequestsThatAreRefused"},
	{"nobody has decided", "authorization_pending", "TestDeviceFlow"},
	{"less than 5 s between two polls", "slow_down, and 5 s more to wait", "TestPolling/too soon"},
	{"the person refused", "access_denied", "TestDeniedDevice"},
	{"too late", "expired_token", "TestPolling/approved, expired"},
	{"a code is its client's", "invalid_grant; it is neither used up nor slowed down",
		"TestDeviceDuties/another client"},
	{"a code is used once", "invalid_grant, and what it has become ends", "TestDeviceDuties"},
	{"8 letters without vowels", "read without case, dashes and spaces", "TestUserCodesAreReadAsPeopleTypeThem"},
	{"the link with the code asks, and names the client", "a page", "TestDeviceFlow"},
	{"guessing has an end", "a page with 429 and `Retry-After`, also for a good code", "TestDevicePagesRefuse"},
	{"a decision that is not the whole form of the page", "a page, nothing is decided", "TestDeviceForms"},
	{"for a person, an address, and in total", "each has its own limit", "TestLimitsOfWhatIsNoSignIn"},
}

var introspectionDuties = []oauthDuty{
	{"the caller authenticates, and is confidential", "401 invalid_client", "TestIntrospectionDuties/a public client"},
	{"whatever is no live access or refresh token", "exactly `{\"active\":false}`", "TestIntrospectionDuties"},
	{"access tokens for what the client does not serve", "exactly `{\"active\":false}`",
		"TestIntrospectionDuties/an access token of another client, to a client that serves nothing"},
	{"refresh tokens of other clients", "exactly `{\"active\":false}`",
		"TestIntrospectionDuties/a refresh token of another client"},
	{"access tokens of other projects", "exactly `{\"active\":false}`", "TestOpaqueTokens"},
	{"asking changes nothing", "the tokens stay good", "TestIntrospectionDuties"},
	{"a signed answer (RFC 9701)", "when the header Accept names it", "TestGrantsOfPrograms"},
}

var revocationDuties = []oauthDuty{
	{"what is not known", "200", "TestRevocationDuties/nothing"},
	{"another client's token", "invalid_grant, it stays good", "TestRevocationDuties/another client's refresh token"},
	{"a refresh token", "200, and its access tokens end", "TestRevocationDuties"},
	{"an access token", "200, it ends alone", "TestRevocationDuties"},
	{"`token_type_hint` misleads nobody", "200", "TestRevocationDuties"},
}

var resourceDuties = []oauthDuty{
	{"a resource that the client has not", "invalid_target", "TestAuthorizeDuties/unknown resource"},
	{"a fragment", "invalid_target", "TestAuthorizeDuties/resource with a fragment"},
	{"no absolute URI", "invalid_target", "TestAuthorizeDuties/a relative resource"},
	{"several in one request", "a code", "TestAuthorizeDuties/resource"},
	{"a token for one of several", "its audience is that one", "TestCodesOfOtherRequests/one of two resources"},
	{"at `/token` only what was authorized", "invalid_target, the code is still good",
		"TestCodesOfOtherRequests/one of two resources"},
	{"nothing asked", "the client's audience", "TestClaimsOfAccessTokens"},
	{"a slash behind a bare origin", "the same resource", "TestResourcesDifferByMoreThanTheSlashOfAnOrigin"},
}

var accessTokenDuties = []oauthDuty{
	{"`typ` and claims", "as in section 2.2", "TestClaimsOfAccessTokens"},
	{"of a client itself", "`sub` is the client, no `auth_time`", "TestClaimsOfAccessTokens/a client's own"},
	{"no other kind of token is one", "401 wrong_type at gates", "TestOpenIDConnect"},
	{"no logout token is one", "401 wrong_type at gates", "TestClientSignsAPersonOut"},
	{"keys and algorithms are chosen when a token is signed", "an old key verifies until its tokens end",
		"TestKeysRotateWhileTokensAreIssued"},
}

var discoveryDuties = []oauthDuty{
	{"every form of the address", "the same document", "TestDiscovery"},
	{"the issuer byte by byte", "as configured", "TestDiscovery"},
	{"every address in it answers", "405 to another method", "TestDiscovery"},
	{"scripts of any origin, with a header that is asked for first", "204, `*`", "TestClientsLookForMetadata"},
	{"public keys alone", "no private member", "TestJWKSHoldsPublicKeysAlone"},
}

var pushedDuties = []oauthDuty{
	{"what `/authorize` would refuse", "400 with its word", "TestPushedDuties"},
	{"a client of a project that nobody can sign in to", "unauthorized_client", "TestClientsOfOtherProjects"},
	{"a client that does not authenticate", "401 invalid_client", "TestPushedDuties/wrong secret"},
	{"a `request_uri` in it", "invalid_request", "TestPushedDuties/a request_uri"},
	{"used once, when the person has decided", "a page with invalid_request_uri", "TestPushedAuthorization"},
	{"its own client's", "a page with invalid_request_uri", "TestPushedAuthorization"},
	{"60 to 600 s", "`expires_in`", "TestPushedAuthorization"},
	{"expired", "a page with invalid_request_uri", "TestPushedRequestIsCompletedOnce"},
	{"what stands beside it in the address", "does not count", "TestPushedDuties"},
	{"200 uses at once", "one code", "TestRaces/one pushed request"},
	{"a client that must push", "invalid_request", "TestAuthorizeDuties/not pushed"},
}

var dpopDuties = []oauthDuty{
	{"`typ`, algorithm, key", "invalid_dpop_proof", "TestHeadersOfProofs"},
	{"`htm`, `htu`, `iat`, `jti`, `ath`", "invalid_dpop_proof", "TestClaimsOfProofs"},
	{"a proof is used once on all nodes", "one of 200 passes", "TestDPoP"},
	{"a nonce on demand", "use_dpop_nonce, `DPoP-Nonce`", "TestDPoP"},
	{"a client that must prove", "invalid_dpop_proof", "TestDPoP"},
	{"`cnf` in tokens, `token_type`", "DPoP", "TestDPoP"},
	{"a bound token as Bearer", "401, `WWW-Authenticate: DPoP`", "TestDPoP/as a bearer token"},
	{"`dpop_jkt` binds the code", "invalid_grant, still good", "TestCodesOfOtherRequests/bound to a key"},
	{"the proof at `/par` binds the code", "invalid_grant, still good", "TestPushedProofBindsTheCode"},
	{"refresh tokens of public clients are bound", "invalid_grant", "TestRefreshTokensOfBoundClients"},
}

var assertionDuties = []oauthDuty{
	{"`iss`, `sub`, `aud`, `exp`, signature", "401 invalid_client", "TestClientAssertions"},
	{"at most 5 minutes", "401 invalid_client", "TestClientAssertions"},
	{"`jti` once, over reloads", "401 invalid_client", "TestGrantsOfPrograms/a second time"},
	{"the endpoint's own address as `aud`", "accepted", "TestGrantsOfPrograms"},
	{"keys that the client publishes", "fetched once, again for an unknown key", "TestGrantsOfPrograms"},
	{"keys that cannot be had", "503 temporarily_unavailable", "TestGrantsOfPrograms"},
}

var exchangeDuties = []oauthDuty{
	{"what is no live access token of ours", "invalid_request", "TestExchangeDuties/an ID token"},
	{"clients exchange tokens of the listed clients", "invalid_request", "TestExchangeDuties/a client that may not"},
	{"a public client", "unauthorized_client", "TestExchangeDuties/a public client"},
	{"a narrower scope", "invalid_scope", "TestExchangeDuties/a wider scope"},
	{"a narrower audience", "invalid_target", "TestExchangeDuties/another audience"},
	{"another kind of token", "invalid_request", "TestExchangeDuties/a refresh token wanted"},
	{"who acts for whom", "`act`, at most 5 deep", "TestExchangeDuties"},
	{"the answer", "`issued_token_type`, no refresh token", "TestExchangeDuties"},
	{"it ends with the session of its subject", "401 at gates", "TestGrantsOfPrograms/after the sign-out"},
}

var identityDuties = []oauthDuty{
	{"`typ`, trusted issuer, key", "invalid_grant", "TestIdentityAssertions/a type of access tokens"},
	{"the client that authenticates", "invalid_grant", "TestIdentityAssertions/of another client"},
	{"`aud` is the issuer alone", "invalid_grant", "TestIdentityAssertions/two audiences"},
	{"`jti` once, used up last", "invalid_grant", "TestIdentityAssertions"},
	{"a wider scope", "invalid_scope", "TestIdentityAssertions/a wider scope"},
	{"another resource", "invalid_target", "TestIdentityAssertions/another resource in the request"},
	{"assertions for other servers", "by token exchange", "TestIdentityAssertionsBetweenServers"},
	{"what is not issued", "refused with a word", "TestIdentityAssertionsThatAreNotIssued"},
}

var certificateDuties = []oauthDuty{
	{"`tls_client_auth`", "the certificate of a trusted authority, by one name",
		"TestClientCertificates/its certificate"},
	{"another name, none, expired", "401 invalid_client", "TestClientCertificates/another name"},
	{"`self_signed_tls_client_auth`", "a certificate of the client's set", "TestClientCertificates/self-signed"},
	{"`cnf` in tokens", "`x5t#S256`", "TestClientCertificates"},
	{"a bound token without its certificate", "401 at gates", "TestClientCertificates/another of the same name"},
}
