// A key of a client for private_key_jwt, whose public half the gateway fetches from the client.
import { createServer } from 'node:http';

/** Makes a key, and answers with its public half at the origin. */
export async function publish(origin) {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(
    { name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'],
  );
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey);
  const kid = crypto.randomUUID();
  const set = JSON.stringify({ keys: [{ kty, crv, x, y, kid, use: 'sig', alg: 'ES256' }] });
  const { hostname, port } = new URL(origin);
  const server = createServer((_, answer) => answer.setHeader('Content-Type', 'application/json').end(set));
  await new Promise((listening) => server.listen(Number(port), hostname, listening));
  return { key: privateKey, kid };
}
