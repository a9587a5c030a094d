package gate

import (
	"net/http"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// Challenge returns the WWW-Authenticate value of a refusal (RFC 6750, section 3) of a credential
// that came via a source. The reason code is its error_description. When no credential was sent
// there is no error, as the RFC wants it, but the scopes that the rules ask for: not every client
// that asks for too little at first comes again for more. The scheme is DPoP (RFC 9449, section
// 7.1) for those who use it, and where bearer tokens are not taken.
func (g *Gate) Challenge(reason token.Reason, via Source) string {
	var b strings.Builder
	sep := " "
	param := func(name, value string) {
		b.WriteString(sep + name + `="` + value + `"`)
		sep = ", "
	}
	byDPoP := g.challengesDPoP(reason, via)
	if byDPoP {
		b.WriteString("DPoP")
	} else {
		b.WriteString("Bearer")
	}
	if code := ErrorCode(reason); code != "" {
		param("error", code)
		param("error_description", string(reason))
	}
	if scopes := g.scopesNeeded(); len(scopes) > 0 && (reason == InsufficientScope || reason == NoCredential) {
		param("scope", strings.Join(scopes, " "))
	}
	if reason == InsufficientAuthentication {
		g.stepUpParameters(param)
	}
	if byDPoP {
		param("algs", strings.Join(dpop.Algorithms(), " "))
	}
	return b.String()
}

func (g *Gate) challengesDPoP(reason token.Reason, via Source) bool {
	return g.Possession != nil && (via.Kind == DPoP || g.BoundOnly || reason == ProofRequired)
}

// IsNavigation reports whether r is a person following a link in a browser, as opposed to a script,
// a program or a WebSocket: only such a request can be sent to a login page. The Fetch metadata
// headers decide where they are sent.
func IsNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || isUpgrade(r) {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		dest := r.Header.Get("Sec-Fetch-Dest")
		return mode == "navigate" && (dest == "" || dest == "document")
	}
	return r.Header.Get("X-Requested-With") == "" && acceptsHTML(r.Header["Accept"])
}

// WantsPage reports whether the answer to r is shown to a person: a navigation of any method (a
// posted form, too), in a window or in a frame.
func WantsPage(r *http.Request) bool {
	if isUpgrade(r) {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return r.Header.Get("X-Requested-With") == "" && acceptsHTML(r.Header["Accept"])
}

// IsFramed reports whether the answer to r is shown inside another page.
func IsFramed(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "", "document":
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

func acceptsHTML(lines []string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			media, params, _ := strings.Cut(part, ";")
			refused := strings.Contains(strings.ReplaceAll(params, " ", "")+";", "q=0;")
			if !refused && strings.EqualFold(strings.TrimSpace(media), "text/html") {
				return true
			}
		}
	}
	return false
}
