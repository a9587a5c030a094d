// Package userinfo owns the endpoint where a client learns about the person who signed in to it
// (OpenID Connect Core, section 5.3). Which claims that are is decided in issuance.
package userinfo
