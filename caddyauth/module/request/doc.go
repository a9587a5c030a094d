// Package request owns what Caddy keeps with a request besides the request itself: variables,
// placeholders, the URL as the client sent it, and the client's address.
package request
