// The npm package oidc-provider as an authorization server that stands beside the gateway in
// bench/run.sh: client credentials and refreshes, everything in memory, access tokens of ES256. It
// prints refresh tokens, one a line, before it listens.
//
//	node server.mjs <port> <client secret> <number of refresh tokens>
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const [port, secret, count] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const api = 'https://api.example.com';

// The package's own store in memory is for demonstrations: it keeps a thousand entries, and looks
// through all tokens of a session at each rotation. This one does as little as an adapter may.
class Memory {
  static #all = new Map(); // model and id -> payload
  static #ofGrant = new Map(); // grant -> keys

  constructor(model) {
    this.model = model;
  }

  async upsert(id, payload) {
    const key = `${this.model}:${id}`;
    Memory.#all.set(key, payload);
    if (payload.grantId) {
      const keys = Memory.#ofGrant.get(payload.grantId) ?? new Set();
      Memory.#ofGrant.set(payload.grantId, keys.add(key));
    }
  }

  async find(id) {
    return Memory.#all.get(`${this.model}:${id}`);
  }

  async consume(id) {
    (await this.find(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    Memory.#all.delete(`${this.model}:${id}`);
  }

  async revokeByGrantId(grant) {
    Memory.#ofGrant.get(grant)?.forEach((key) => Memory.#all.delete(key));
    Memory.#ofGrant.delete(grant);
  }
}

// Of each pair of clients, the second gets access tokens that say nothing by themselves, the
// package's default.
const program = { client_secret: secret, token_endpoint_auth_method: 'client_secret_post', scope: 'read' };
const machine = { ...program, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] };
const party = {
  ...program,
  scope: 'openid offline_access read',
  grant_types: ['authorization_code', 'refresh_token'],
  redirect_uris: ['https://rp.example/callback'],
};

const provider = new Provider(issuer, {
  adapter: Memory,
  clients: [
    { ...machine, client_id: 'machine' },
    { ...machine, client_id: 'machine-opaque' },
    { ...party, client_id: 'rp' },
    { ...party, client_id: 'rp-opaque' },
  ],
  jwks: {
    keys: [
      { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), use: 'sig' },
      { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig' },
    ],
  },
  scopes: ['openid', 'offline_access', 'read'],
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: true,
  ttl: { AccessToken: 21600, ClientCredentials: 21600, RefreshToken: 86400, Grant: 86400 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => api,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource, client) => ({
        scope: 'read',
        audience: 'api',
        accessTokenTTL: 21600,
        ...(client.clientId.endsWith('-opaque')
          ? { accessTokenFormat: 'opaque' }
          : { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
      }),
    },
  },
});

// What people's sign-ins would have left: sessions of both relying parties.
for (const id of ['rp', 'rp-opaque']) {
  const client = await provider.Client.find(id);
  for (let i = 0; i < Number(count); i++) {
    const grant = new provider.Grant({ accountId: 'alice', clientId: id });
    grant.addResourceScope(api, 'read');
    grant.addOIDCScope('offline_access');
    const grantId = await grant.save();
    const token = new provider.RefreshToken({
      client,
      accountId: 'alice',
      grantId,
      gty: 'authorization_code',
      scope: 'offline_access read',
      resource: api,
      authTime: Math.floor(Date.now() / 1000),
      expiresWithSession: false,
    });
    console.log(`${id} ${await token.save()}`);
  }
}
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
