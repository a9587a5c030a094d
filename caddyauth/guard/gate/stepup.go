package gate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// stepUp says that signing in again may meet the rule: it asks for a class of sign-in.
func (r *Rule) stepUp() bool { return r.Claim == "acr" && !r.Deny }

// checkAuthentication refuses a sign-in that is of another class than the rules ask for, or too old
// (RFC 9470). It comes last: who is refused for anything else would sign in again for nothing.
func (g *Gate) checkAuthentication(t *token.Token, now time.Time) error {
	for i := range g.Rules {
		if rule := &g.Rules[i]; rule.stepUp() && !rule.allows(t) {
			return refuse(InsufficientAuthentication, rule.misses(t))
		}
	}
	if g.MaxAge == 0 {
		return nil
	}
	signedIn, ok := authTime(t)
	switch age := now.Sub(signedIn); {
	case !ok:
		return refuse(
			InsufficientAuthentication,
			"max_age: the token does not say when the person signed in (auth_time)",
		)
	case age > g.MaxAge+g.Leeway:
		return refuse(InsufficientAuthentication,
			fmt.Sprintf("max_age %v: the person signed in %v ago", g.MaxAge, age.Truncate(time.Second)))
	}
	return nil
}

// authTime is when the person signed in (OpenID Connect Core, section 2). A time that cannot be read
// is none.
func authTime(t *token.Token) (time.Time, bool) {
	value, _ := t.Claim("auth_time")
	number, ok := value.(token.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(string(number), 64)
	if err != nil || seconds < 1 || seconds > float64(1<<40) {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// stepUpParameters are those of the challenge (RFC 9470, section 3).
func (g *Gate) stepUpParameters(param func(name, value string)) {
	var classes []string
	for i := range g.Rules {
		for _, class := range g.Rules[i].classes() {
			if !slices.Contains(classes, class) {
				classes = append(classes, class)
			}
		}
	}
	if len(classes) > 0 {
		param("acr_values", strings.Join(classes, " "))
	}
	if g.MaxAge > 0 {
		param("max_age", strconv.FormatInt(int64(g.MaxAge/time.Second), 10))
	}
}

// classes are those that the rule takes; nil unless it asks for a class.
func (r *Rule) classes() []string {
	if !r.stepUp() {
		return nil
	}
	return r.Values
}

// MeetsClasses reports whether a sign-in of a class meets all rules about classes.
func (g *Gate) MeetsClasses(class string) bool {
	return !slices.ContainsFunc(g.Rules, func(r Rule) bool {
		return r.stepUp() && len(r.Values) > 0 && !slices.Contains(r.Values, class)
	})
}
