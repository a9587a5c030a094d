// Package stream owns answers that go on: WebSockets, event streams, and whatever else is sent bit
// by bit without an announced length. A gate decides once about such an answer, when it begins;
// this package ends it when the credential that admitted it no longer holds. It needs no Caddy and
// writes no log.
package stream
