package gate

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// Mapping carries one claim to the application under one header.
type Mapping struct {
	// Claim is the claim's name or dotted path.
	Claim string
	// Header is the header's canonical name.
	Header string
}

func (m Mapping) check() error {
	if m.Claim == "" {
		return fmt.Errorf("forward to %q names no claim", m.Header)
	}
	if err := ValidateHeaderName(m.Header); err != nil {
		return err
	}
	if canonical := textproto.CanonicalMIMEHeaderKey(m.Header); canonical != m.Header {
		return fmt.Errorf("header %q is not canonical, want %q", m.Header, canonical)
	}
	return nil
}

// Presets are the header sets that well-known applications and proxies use.
var Presets = map[string][]Mapping{
	"remote_user": {
		{"sub", "Remote-User"}, {"name", "Remote-Name"}, {"email", "Remote-Email"}, {"groups", "Remote-Groups"},
	},
	"x_forwarded": {
		{"sub", "X-Forwarded-User"}, {"email", "X-Forwarded-Email"}, {"groups", "X-Forwarded-Groups"},
		{"preferred_username", "X-Forwarded-Preferred-Username"},
	},
	"x_auth_request": {
		{"sub", "X-Auth-Request-User"}, {"email", "X-Auth-Request-Email"}, {"groups", "X-Auth-Request-Groups"},
		{"preferred_username", "X-Auth-Request-Preferred-Username"},
	},
	"grafana": {
		{"sub", "X-Webauth-User"}, {"name", "X-Webauth-Name"}, {"email", "X-Webauth-Email"}, {"role", "X-Webauth-Role"},
	},
}

// newAdmission works out the headers of a token's claims. A claim that is absent, or that cannot be
// written into one header line unchanged, leaves none.
func (g *Gate) newAdmission(t *token.Token, via *Source) *Admission {
	p := &Admission{Token: t, via: via, headers: &g.names}
	p.derived.Value = p
	if g.Placeholders != nil {
		p.Placeholders = g.Placeholders(t)
	}
	p.values = p.room[:0]
	for _, name := range g.claims {
		claim, _ := t.Claim(name)
		value, _ := HeaderValue(claim)
		p.values = append(p.values, value)
	}
	return p
}

// setHeaders sets the headers. Each request gets lines of its own: later handlers may change them
// in place.
func (g *Gate) setHeaders(r *http.Request, p *Admission) {
	if p.Token == nil {
		return // nobody is known, so there is nothing to say
	}
	lines := make([]string, len(p.values)) // none where only an earlier gate saw a credential
	copy(lines, p.values)
	for i := range lines {
		if lines[i] != "" {
			r.Header[g.names[i]] = lines[i : i+1 : i+1]
		}
	}
}

// HeaderValue writes a claim as one header value: text as it is (UTF-8), numbers with their digits,
// booleans as true or false, a list joined by commas with `%` and `,` inside its elements written
// as %25 and %2C. Objects, empty values, values with control characters and values that begin or
// end with a space have no such form, and ok is false.
func HeaderValue(claim any) (value string, ok bool) {
	switch c := claim.(type) {
	case string:
		value = c
	case []any:
		elements := token.Strings(c)
		escaped := make([]string, 0, len(elements))
		for _, e := range elements {
			if sendable(e) {
				escaped = append(escaped, listEscaper.Replace(e))
			}
		}
		value = strings.Join(escaped, ",")
	default:
		value = strings.Join(token.Strings(c), ",")
	}
	if !sendable(value) {
		return "", false
	}
	return value, true
}

var listEscaper = strings.NewReplacer("%", "%25", ",", "%2C")

func sendable(value string) bool {
	if value == "" || value[0] == ' ' || value[len(value)-1] == ' ' {
		return false
	}
	for i := range len(value) {
		if value[i] < 0x20 || value[i] == 0x7f {
			return false
		}
	}
	return true
}
