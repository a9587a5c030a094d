package gate

import (
	"fmt"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// Rule is one line of policy.
type Rule struct {
	// Claim is the claim's name, or a dotted path into objects (`realm_access.roles`). The word
	// `scope` in a rule that requires means the token's scopes.
	Claim string
	// Values are the accepted values, or with Deny the refused ones. One that matches suffices; of
	// scopes all must be there. No values means that the claim must be present, or with Deny
	// absent.
	Values []string
	// Deny turns the rule round. A rule that denies wins over all that require.
	Deny bool
}

func (r *Rule) check() error {
	if r.Claim == "" {
		return fmt.Errorf("a rule needs a claim")
	}
	if r.scopes() && len(r.Values) == 0 {
		return fmt.Errorf("require scope needs at least one scope")
	}
	if slices.Contains(r.Values, "") {
		return fmt.Errorf("a rule on %q has an empty value", r.Claim)
	}
	return nil
}

func (r *Rule) scopes() bool { return r.Claim == "scope" && !r.Deny }

// checkPolicy evaluates the rules on typed claims: denials first, then scopes, then the rest.
func (g *Gate) checkPolicy(t *token.Token) error {
	for i := range g.Rules {
		if rule := &g.Rules[i]; rule.Deny && rule.denies(t) {
			return refuse(ClaimDenied, rule.misses(t))
		}
	}
	for i := range g.Rules {
		if rule := &g.Rules[i]; rule.scopes() && !containsAll(t.Scopes, rule.Values) {
			return refuse(InsufficientScope, rule.misses(t))
		}
	}
	for i := range g.Rules {
		if rule := &g.Rules[i]; !rule.Deny && !rule.scopes() && !rule.stepUp() && !rule.allows(t) {
			return refuse(ClaimDenied, rule.misses(t))
		}
	}
	return nil
}

func (r *Rule) allows(t *token.Token) bool {
	if text, ok := t.Text(r.Claim); ok {
		return len(r.Values) == 0 || slices.Contains(r.Values, text)
	}
	value, ok := r.lookup(t)
	if !ok || value == nil {
		return false
	}
	if len(r.Values) == 0 {
		return true
	}
	return slices.ContainsFunc(token.Strings(value), func(s string) bool { return slices.Contains(r.Values, s) })
}

// denies refuses also when the claim is of a shape that cannot be compared: a rule that cannot be
// evaluated holds.
func (r *Rule) denies(t *token.Token) bool {
	if text, ok := t.Text(r.Claim); ok {
		return len(r.Values) == 0 || slices.Contains(r.Values, text)
	}
	value, ok := r.lookup(t)
	if !ok || value == nil {
		return false
	}
	if len(r.Values) == 0 || !comparable(value) {
		return true
	}
	return slices.ContainsFunc(token.Strings(value), func(s string) bool { return slices.Contains(r.Values, s) })
}

func (r *Rule) lookup(t *token.Token) (any, bool) {
	if r.Claim == "scope" {
		list := make([]any, len(t.Scopes))
		for i, s := range t.Scopes {
			list[i] = s
		}
		return list, true
	}
	return t.Claim(r.Claim)
}

// comparable reports whether a claim is a scalar or a list of scalars.
func comparable(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return false
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool {
			_, list := e.([]any)
			_, object := e.(map[string]any)
			return list || object || e == nil
		})
	}
	return true
}

func containsAll(have, want []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}

// scopesNeeded lists every scope that the gate's rules ask for, each once.
func (g *Gate) scopesNeeded() []string {
	var all []string
	for _, rule := range g.Rules {
		if !rule.scopes() {
			continue
		}
		for _, s := range rule.Values {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}
