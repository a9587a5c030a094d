package survey

import (
	"fmt"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// noteAsked warns of what a gate cannot do for another proxy that asks: the gateway sees the request,
// and what passes it on is the proxy.
func (s *surveyor) noteAsked(j Guard, at position) {
	warn := func(text, hint string) {
		s.site.findings = append(s.site.findings, finding.Finding{
			Severity: finding.Warning,
			Where:    at.where + ", " + j.Describe(),
			Text:     text,
			Hint:     hint,
		})
	}
	g := j.Gate()
	if g == nil {
		return
	}
	for _, source := range g.Sources {
		if source.Kind == gate.Query {
			warn(fmt.Sprintf("it takes tokens from the query parameter %q, which a proxy that asks would pass on: "+
				"such requests are refused", source.Name), "let clients send the token in the Authorization field")
		}
	}
	if len(g.Upgrades) > 0 {
		warn("it lets connections be upgraded, and a proxy that asks may only let WebSockets pass: all other upgrades "+
			"are refused", "take `upgrades` out")
	}
	if j.ReportsOnly() {
		warn("it only reports, and a request that no other gate of the site lets pass is refused", "let another gate "+
			"of the site decide meanwhile, one of `mode optional` for example")
	}
}
