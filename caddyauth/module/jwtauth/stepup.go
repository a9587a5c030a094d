package jwtauth

import (
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

func (j *JWTAuth) maxAge() option.DurationRange {
	return option.DurationRange{Name: "max_age", Value: &j.MaxAge, Min: time.Second, Max: 365 * 24 * time.Hour}
}

func (j *JWTAuth) unmarshalMaxAge(d *caddyfile.Dispenser) error {
	return option.ReadDuration(d, []option.DurationRange{j.maxAge()})
}

// signingInHelps reports whether another sign-in may mend a refusal. One of a class that this server
// does not give would send the person round in a circle.
func (j *JWTAuth) signingInHelps(reason token.Reason) bool {
	return reason != gate.InsufficientAuthentication || j.gate.MeetsClasses(issuance.PasswordClass)
}

// signInURL is where a person signs in, or signs in again although they are signed in.
func (j *JWTAuth) signInURL(r browser.Request, reason token.Reason) string {
	if reason == gate.InsufficientAuthentication {
		return j.signIn.AgainURL(r)
	}
	return j.signIn.URL(r)
}
