// Package verdict answers proxies that ask whether they may pass a request on: `auth_request` of
// nginx, `forwardAuth` of Traefik, `forward_auth` of Caddy, HAProxy, and the external authorization
// of Envoy over HTTP. It owns how a proxy says what it asks about, and which answer it understands.
package verdict
