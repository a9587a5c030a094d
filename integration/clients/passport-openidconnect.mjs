// passport-openidconnect (https://www.npmjs.com/package/passport-openidconnect): an application with
// the settings of docs/clients.md, which sends no PKCE.
import express from 'express';
import session from 'express-session';
import passport from 'passport';
import { Strategy } from 'passport-openidconnect';

import { Person, step, test } from './person.mjs';

const verify = (issuer, profile, context, idToken, accessToken, refreshToken, done) =>
  done(null, { issuer, id: profile.id, name: profile.displayName, email: profile.emails?.[0].value });
new Function('passport', 'OpenIDConnectStrategy', 'process', 'verify', test.settings)(
  passport, Strategy, { env: { FORUM_SECRET: test.forum.secret } }, verify,
);
passport.serializeUser((user, done) => done(null, user));
passport.deserializeUser((user, done) => done(null, user));

const app = express();
app.use(session({ secret: 'a long text of the application', resave: false, saveUninitialized: false }));
app.use(passport.session());
app.get('/login', passport.authenticate('openidconnect'));
app.get('/callback', passport.authenticate('openidconnect', { successRedirect: '/profile' }));
app.get('/profile', (request, answer) => answer.json(request.user ?? null));
const at = new URL(test.forum.origin);
await new Promise((listening) => app.listen(Number(at.port), at.hostname, listening));

await step('sign in', async () => {
  const { issuer, ...user } = JSON.parse(await new Person().read(`${at.origin}/login`, /^\{.*\}$/s));
  return { issuer: issuer === test.issuer, ...user };
});
process.exit(0);
