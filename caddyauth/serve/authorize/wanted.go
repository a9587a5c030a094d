package authorize

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/consent"
)

// wanted is what the person has to allow: the scopes of the request, and each single claim that it
// asks for by the parameter `claims` and its scopes do not stand for. Those of the scopes that the
// client could have asked for are told as well as the others (issuance.Service.UserInfo). A client that
// has described itself chose all of its redirect URIs: what people allow one that leads to a host they
// know, they have not allowed one that leads elsewhere.
func (c *call) wanted() []string {
	wanted := slices.Clone(c.request.Scopes)
	if c.parties.Client.SelfRegistered() {
		wanted = append(wanted, consent.Place(placeOf(c.request.To.RedirectURI)))
	}
	may, stood := c.Scopes.Claims(c.parties.Client.Scopes...), c.Scopes.Claims(c.request.Scopes...)
	asked := slices.AppendSeq(slices.Collect(maps.Keys(c.request.Claims.UserInfo)), maps.Keys(c.request.Claims.IDToken))
	slices.Sort(asked)
	for _, name := range slices.Compact(asked) {
		if slices.Contains(may, name) && !slices.Contains(stood, name) {
			wanted = append(wanted, consent.Claim(name))
		}
	}
	return wanted
}

// placeOf is where a redirect URI leads: an origin, without a port on a loopback host, of which the
// port does not count; or the scheme of an application.
func placeOf(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil:
		return redirectURI
	case u.Scheme == "http":
		return "http://" + u.Hostname()
	case u.Scheme == "https":
		return "https://" + strings.ToLower(u.Host)
	}
	return u.Scheme + ":"
}

// unknownTo leaves out the claims that scopes stand for which the person has allowed.
func (c *call) unknownTo(given consent.Consent, words []string) []string {
	told := c.Scopes.Claims(given.Scopes...)
	return slices.DeleteFunc(words, func(word string) bool {
		name, single := consent.ClaimOf(word)
		return single && slices.Contains(told, name)
	})
}

// split takes the claims out of what the person is asked for, and leaves out the place, which the page
// shows anyhow.
func split(words []string) (scopes, claims []string) {
	for _, word := range words {
		switch name, single := consent.ClaimOf(word); {
		case single:
			claims = append(claims, name)
		case !consent.IsPlace(word):
			scopes = append(scopes, word)
		}
	}
	return scopes, claims
}
