package jwtauth

import (
	"strings"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
)

// Gate returns what the directive makes of its settings; nil for `jwt_auth off`.
func (j *JWTAuth) Gate() *gate.Gate { return j.gate }

// Label returns what the gate is called in logs and metrics.
func (j *JWTAuth) Label() string {
	j.gates.Survey.Find() // which gives the labels
	return j.label()
}

// ReportsOnly reports whether the gate decides and changes nothing.
func (j *JWTAuth) ReportsOnly() bool { return j.reports() }

// Describe names the gate for a person: its label and its rules, because stacked gates often have
// the same audiences.
func (j *JWTAuth) Describe() string {
	if j.gate == nil {
		return "filter"
	}
	var rules []string
	for _, rule := range j.Rules {
		verb := "require"
		if rule.Deny {
			verb = "deny"
		}
		rules = append(rules, strings.Join(append([]string{verb, rule.Claim}, rule.Values...), " "))
	}
	if len(rules) == 0 {
		return "gate " + j.label()
	}
	return "gate " + j.label() + " (" + strings.Join(rules, ", ") + ")"
}

// LoginPage returns where the gate sends browsers that have not signed in; empty for nowhere.
func (j *JWTAuth) LoginPage() string { return j.signIn.Page }

// LoginIsGiven reports whether the configuration names that page.
func (j *JWTAuth) LoginIsGiven() bool { return j.Login != "" }
