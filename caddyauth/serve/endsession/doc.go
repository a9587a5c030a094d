// Package endsession tells clients that a sign-in has ended (OpenID Connect Back-Channel Logout): it
// sends the notices that the store keeps, and nobody who signs out waits for it.
package endsession
