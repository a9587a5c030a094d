// openid-client (https://www.npmjs.com/package/openid-client): what it does for an application, from
// the metadata to signing out.
import * as client from 'openid-client';

import { importKey, Person, pick, step, test } from './person.mjs';

const discover = (id, metadata, authentication) =>
  client.discovery(new URL(test.issuer), id, metadata, authentication, { execute: [client.allowInsecureRequests] });

/** The authorization code flow of a client, with PKCE, state and nonce, and its tokens. */
async function signIn(config, person, parameters, { pushed, DPoP, ...checks } = {}) {
  const verifier = client.randomPKCECodeVerifier();
  const request = {
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: client.randomState(),
    nonce: client.randomNonce(),
    ...parameters,
  };
  const address = pushed
    ? await client.buildAuthorizationUrlWithPAR(config, request, { DPoP })
    : client.buildAuthorizationUrl(config, request);
  const back = await person.go(address, parameters.redirect_uri);
  const expected = { expectedState: request.state, expectedNonce: request.nonce, idTokenExpected: true };
  return client.authorizationCodeGrant(
    config,
    back,
    { pkceCodeVerifier: verifier, ...expected, ...checks },
    undefined,
    { DPoP },
  );
}

async function visitAPI(config, tokens, options) {
  const answer = await client.fetchProtectedResource(
    config, tokens.access_token, new URL(test.api), 'GET', undefined, undefined, options,
  );
  return `${answer.status} ${await answer.text()}`;
}

const alice = new Person();
const request = { redirect_uri: test.wiki.callback, scope: 'openid profile email offline_access' };

const wiki = await discover('wiki', test.wiki.secret);
await step('discovery', () => pick(wiki.serverMetadata(), 'issuer', 'code_challenge_methods_supported'));

await step('denied', async () => {
  alice.decision = 'deny';
  const problem = await signIn(wiki, alice, { ...request, prompt: 'consent' }).catch((problem) => problem);
  alice.decision = 'allow';
  return { ...pick(problem, 'name', 'error'), pages: alice.seen() };
});
await step('allowed', async () => {
  const got = await signIn(wiki, alice, { ...request, prompt: 'consent' });
  return { sub: got.claims().sub, pages: alice.seen() };
});

let tokens;
await step('code', async () => {
  tokens = await signIn(wiki, alice, request);
  return { ...pick(tokens, 'token_type', 'scope'), ...pick(tokens.claims(), 'sub', 'aud', 'acr') };
});
await step('userinfo', async () =>
  pick(await client.fetchUserInfo(wiki, tokens.access_token, 'alice'), 'sub', 'name', 'email'));
await step('api', () => visitAPI(wiki, tokens));
await step('max_age', async () => {
  const { auth_time: at } = (await signIn(wiki, alice, { ...request, max_age: '600' }, { maxAge: 600 })).claims();
  return typeof at;
});
await step('introspect', async () =>
  pick(await client.tokenIntrospection(wiki, tokens.access_token), 'active', 'sub', 'client_id'));
await step('refresh', async () => {
  tokens = await client.refreshTokenGrant(wiki, tokens.refresh_token);
  return { ...pick(tokens, 'token_type'), ...pick(tokens.claims(), 'sub', 'nonce') };
});
await step('revoke', async () => {
  await client.tokenRevocation(wiki, tokens.refresh_token);
  return pick(await client.tokenIntrospection(wiki, tokens.refresh_token), 'active');
});
await step('form_post', async () => (await signIn(wiki, alice, { ...request, response_mode: 'form_post' })).claims().sub);
await step('pushed', async () => (await signIn(wiki, alice, request, { pushed: true })).claims().sub);
await step('basic', async () => {
  const basic = await discover('wiki', undefined, client.ClientSecretBasic(test.wiki.secret));
  return (await signIn(basic, alice, request)).claims().sub;
});
await step('nobody is signed in', async () =>
  signIn(wiki, new Person(), { ...request, prompt: 'none' }).catch((problem) => problem.error));

await step('client credentials', async () => {
  const reports = await discover('reports', undefined, client.ClientSecretBasic(test.reports.secret));
  const got = await client.clientCredentialsGrant(reports, { scope: 'read' });
  return `${got.scope}: ${await visitAPI(reports, got)}`;
});
await step('private_key_jwt', async () => {
  const billing = await discover('billing', undefined, client.PrivateKeyJwt(await importKey(test.billing.key)));
  const got = await client.clientCredentialsGrant(billing, { scope: 'read' });
  return `${got.scope}: ${await visitAPI(billing, got)}`;
});

await step('public client', async () => {
  const notes = await discover('notes', undefined, client.None());
  return (await signIn(notes, alice, { redirect_uri: test.notes.callback, scope: 'openid' })).claims().sub;
});
await step('DPoP', async () => {
  const notes = await discover('notes', undefined, client.None());
  const DPoP = client.getDPoPHandle(notes, await client.randomDPoPKeyPair());
  const got = await signIn(notes, alice, { redirect_uri: test.notes.callback, scope: 'openid' }, { DPoP });
  return `${got.token_type}: ${await visitAPI(notes, got, { DPoP })}`;
});
await step('FAPI 2.0', async () => {
  const metadata = { id_token_signed_response_alg: 'ES256' };
  const bank = await discover('bank', metadata, client.PrivateKeyJwt(await importKey(test.bank.key)));
  const DPoP = client.getDPoPHandle(bank, await client.randomDPoPKeyPair());
  const bankRequest = { redirect_uri: test.bank.callback, scope: 'openid' };
  const got = await signIn(bank, alice, bankRequest, { pushed: true, DPoP });
  const info = await client.fetchUserInfo(bank, got.access_token, 'alice', { DPoP });
  return `${got.token_type} ${info.sub}`;
});

const cli = await discover('backup-cli', undefined, client.None());
await step('device, with a link', async () => {
  const device = await client.initiateDeviceAuthorization(cli, { scope: 'openid' });
  await alice.read(device.verification_uri_complete, /The device is connected/);
  return (await client.pollDeviceAuthorizationGrant(cli, { ...device, interval: 0 })).claims().sub;
});
await step('device, with a typed code', async () => {
  const device = await client.initiateDeviceAuthorization(cli, { scope: 'openid offline_access' });
  alice.code = device.user_code;
  await alice.read(device.verification_uri, /The device is connected/);
  const got = await client.pollDeviceAuthorizationGrant(cli, { ...device, interval: 0 });
  return (await client.refreshTokenGrant(cli, got.refresh_token)).claims().sub;
});

await step('sign out', async () => {
  const address = client.buildEndSessionUrl(wiki, {
    id_token_hint: (await signIn(wiki, alice, request)).id_token,
    post_logout_redirect_uri: test.wiki.goodbye,
    state: 'the state',
  });
  const back = await alice.go(address, test.wiki.goodbye);
  const still = await signIn(wiki, alice, { ...request, prompt: 'none' }).catch((problem) => problem.error);
  return `${back.searchParams.get('state')}: ${still}`;
});

await step('pages', () => [...new Set(alice.pages)].sort());
