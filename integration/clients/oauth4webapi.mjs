// oauth4webapi (https://www.npmjs.com/package/oauth4webapi): each request and each answer by itself,
// with the strictest checks of all clients here.
import * as oauth from 'oauth4webapi';

import { importKey, Person, pick, step, test } from './person.mjs';

const insecure = { [oauth.allowInsecureRequests]: true };
const alice = new Person();
let as;

await step('discovery', async () => {
  const issuer = new URL(test.issuer);
  as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
  const other = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' }); // RFC 8414
  return (await oauth.processDiscoveryResponse(issuer, other)).token_endpoint === as.token_endpoint;
});

/** An answer that a DPoP nonce was missing from is asked for again with the nonce. */
async function again(request) {
  try {
    return await request();
  } catch (problem) {
    if (!oauth.isDPoPNonceError(problem)) {
      throw problem;
    }
    return request();
  }
}

/** The authorization code flow, and what the token endpoint answers. */
async function signIn(client, authentication, callback, parameters, { push, DPoP, maxAge } = {}) {
  const verifier = oauth.generateRandomCodeVerifier();
  const request = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: callback,
    response_type: 'code',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    ...parameters,
  });
  const address = new URL(as.authorization_endpoint);
  address.search = request;
  if (push) {
    const pushed = await again(async () => oauth.processPushedAuthorizationResponse(as, client,
      await oauth.pushedAuthorizationRequest(as, client, authentication, request, { ...insecure, DPoP })));
    address.search = new URLSearchParams({ client_id: client.client_id, request_uri: pushed.request_uri });
  }
  const back = await alice.go(address, callback);
  const answered = back instanceof Request ? await back.formData().then((form) => new URLSearchParams(form)) : back;
  const code = oauth.validateAuthResponse(as, client, answered, request.get('state'));
  return again(async () => oauth.processAuthorizationCodeResponse(as, client,
    await oauth.authorizationCodeGrantRequest(as, client, authentication, code, callback, verifier, { ...insecure, DPoP }),
    { expectedNonce: request.get('nonce'), maxAge, requireIdToken: true }));
}

const visitAPI = async (tokens, options) => {
  const answer = await oauth.protectedResourceRequest(tokens.access_token, 'GET', new URL(test.api), undefined,
    undefined, { ...insecure, ...options });
  return `${answer.status} ${await answer.text()}`;
};

const wiki = { client_id: 'wiki' };
const basic = oauth.ClientSecretBasic(test.wiki.secret);
const scope = 'openid profile email offline_access';
await step('denied', async () => {
  alice.decision = 'deny';
  const problem = await signIn(wiki, basic, test.wiki.callback, { scope, prompt: 'consent' }).catch((problem) => problem);
  alice.decision = 'allow';
  return { ...pick(problem, 'code', 'error'), pages: alice.seen() };
});
await step('allowed', async () => {
  const got = await signIn(wiki, basic, test.wiki.callback, { scope, prompt: 'consent' });
  return { sub: oauth.getValidatedIdTokenClaims(got).sub, pages: alice.seen() };
});
let tokens;
await step('code', async () => {
  tokens = await signIn(wiki, basic, test.wiki.callback, { scope, max_age: '600' }, { maxAge: 600 });
  return pick(oauth.getValidatedIdTokenClaims(tokens), 'sub', 'aud', 'acr');
});
await step('signature', async () => { // of the ID token, with the published keys
  const answer = await oauth.userInfoRequest(as, wiki, tokens.access_token, insecure);
  await oauth.processUserInfoResponse(as, wiki, 'alice', answer);
  const got = await again(async () => {
    const response = await oauth.refreshTokenGrantRequest(as, wiki, basic, tokens.refresh_token, insecure);
    const processed = await oauth.processRefreshTokenResponse(as, wiki, response);
    await oauth.validateApplicationLevelSignature(as, response, insecure);
    return processed;
  });
  tokens = got;
  return oauth.getValidatedIdTokenClaims(got).sub;
});
await step('userinfo', async () => pick(await oauth.processUserInfoResponse(as, wiki, 'alice',
  await oauth.userInfoRequest(as, wiki, tokens.access_token, insecure)), 'sub', 'name', 'email'));
await step('access token', async () => { // RFC 9068, as a resource server checks it
  const request = new Request(test.api, { headers: { Authorization: `Bearer ${tokens.access_token}` } });
  return pick(await oauth.validateJwtAccessToken(as, request, 'api', insecure), 'sub', 'client_id', 'scope');
});
await step('introspect', async () => pick(await oauth.processIntrospectionResponse(as, wiki,
  await oauth.introspectionRequest(as, wiki, basic, tokens.access_token, insecure)), 'active', 'sub'));
await step('introspect, signed', async () => { // RFC 9701
  const response = await oauth.introspectionRequest(as, wiki, basic, tokens.access_token,
    { ...insecure, requestJwtResponse: true });
  const got = await oauth.processIntrospectionResponse(as, wiki, response);
  await oauth.validateApplicationLevelSignature(as, response, insecure);
  return pick(got, 'active', 'sub');
});
await step('revoke', async () => {
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, wiki, basic, tokens.refresh_token, insecure));
  return oauth.processRefreshTokenResponse(as, wiki,
    await oauth.refreshTokenGrantRequest(as, wiki, basic, tokens.refresh_token, insecure))
    .catch((problem) => problem.error);
});
await step('form_post', async () => oauth.getValidatedIdTokenClaims(
  await signIn(wiki, basic, test.wiki.callback, { scope, response_mode: 'form_post' })).sub);
await step('post', async () => oauth.getValidatedIdTokenClaims(
  await signIn(wiki, oauth.ClientSecretPost(test.wiki.secret), test.wiki.callback, { scope })).sub);
await step('pushed', async () => oauth.getValidatedIdTokenClaims(
  await signIn(wiki, basic, test.wiki.callback, { scope }, { push: true })).sub);

await step('client credentials', async () => {
  const reports = { client_id: 'reports' };
  const got = await oauth.processClientCredentialsResponse(as, reports, await oauth.clientCredentialsGrantRequest(
    as, reports, oauth.ClientSecretBasic(test.reports.secret), { scope: 'write' }, insecure));
  return `${got.scope}: ${await visitAPI(got)}`;
});
await step('private_key_jwt', async () => {
  const billing = { client_id: 'billing' };
  const got = await oauth.processClientCredentialsResponse(as, billing, await oauth.clientCredentialsGrantRequest(
    as, billing, oauth.PrivateKeyJwt(await importKey(test.billing.key)), { scope: 'write' }, insecure));
  return `${got.scope}: ${await visitAPI(got)}`;
});
await step('DPoP', async () => {
  const notes = { client_id: 'notes' };
  const DPoP = oauth.DPoP(notes, await oauth.generateKeyPair('ES256'));
  const got = await signIn(notes, oauth.None(), test.notes.callback, { scope: 'openid' }, { DPoP });
  const renewed = await again(async () => oauth.processRefreshTokenResponse(as, notes,
    await oauth.refreshTokenGrantRequest(as, notes, oauth.None(), got.refresh_token, { ...insecure, DPoP })));
  return `${renewed.token_type}: ${await visitAPI(renewed, { DPoP })}`;
});
await step('FAPI 2.0', async () => {
  const bank = { client_id: 'bank', id_token_signed_response_alg: 'ES256' };
  const key = oauth.PrivateKeyJwt(await importKey(test.bank.key));
  const DPoP = oauth.DPoP(bank, await oauth.generateKeyPair('ES256'));
  const got = await signIn(bank, key, test.bank.callback, { scope: 'openid' }, { push: true, DPoP });
  return `${got.token_type}: ${oauth.getValidatedIdTokenClaims(got).sub}`;
});
