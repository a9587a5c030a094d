// express-openid-connect (https://www.npmjs.com/package/express-openid-connect): an application with
// the settings of docs/clients.md, and a person that signs in and out.
import express from 'express';
import openid from 'express-openid-connect';

import { Person, pick, step, test } from './person.mjs';

const app = express();
new Function('app', 'auth', 'process', test.settings)(app, openid.auth, {
  env: { WIKI_SECRET: test.wiki.secret, COOKIE_SECRET: 'a long text of the application' },
});
app.get('/profile', async (request, answer) => answer.json({
  ...pick(request.oidc.idTokenClaims, 'sub', 'aud'), ...pick(await request.oidc.fetchUserInfo(), 'name', 'email'),
}));
const at = new URL(test.wiki.origin);
await new Promise((listening) => app.listen(Number(at.port), at.hostname, listening));

const alice = new Person();
await step('sign in', async () => JSON.parse(await alice.read(`${at.origin}/profile`, /^\{.*\}$/s)));
await step('sign out', async () => {
  await alice.go(`${at.origin}/logout`, test.wiki.goodbye);
  await alice.read(`${at.origin}/profile`, /^\{.*\}$/s);
  return alice.pages.filter((page) => page === 'Sign in').length; // it had to sign in again
});
process.exit(0);
