package authorize

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
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

// place is where the answer of a client that has described itself goes; of others it does not count.
func (c *call) place() string {
	if !c.parties.Client.SelfRegistered() {
		return ""
	}
	return placeOf(c.request.To.RedirectURI)
}

// stored are the words that are stored for one that the page names: a scope of an API is allowed at
// the resources of the request alone, and what a client that has described itself may have, at the
// place of the request.
func (c *call) stored(word string) (words []string) {
	if consent.IsPlace(word) {
		return []string{word}
	}
	if !c.isOfAPI(word) || len(c.request.Resources) == 0 {
		return []string{consent.At(c.place(), word)}
	}
	for _, resource := range c.request.Resources {
		words = append(words, consent.At(c.place(), consent.At(resource, word)))
	}
	return words
}

// isOfAPI reports whether a scope says what a client may do, and not what it is told of the person,
// which does not depend on the resource.
func (c *call) isOfAPI(word string) bool {
	_, claim := consent.ClaimOf(word)
	return !claim && !consent.IsPlace(word) && word != authorization.OpenID && word != authorization.OfflineAccess &&
		len(c.Scopes.Claims(word)) == 0
}

// allowing is all that is stored when the person allows what the page names.
func (c *call) allowing() (words []string) {
	for _, word := range c.wanted() {
		words = append(words, c.stored(word)...)
	}
	if c.place() != "" {
		for _, resource := range c.request.Resources {
			words = append(words, c.storedResource(resource))
		}
	}
	return words
}

// unknownTo returns what the person has not allowed yet: words of the page, and the resources at which
// one of the words is new, or that are new themselves.
func (c *call) unknownTo(given consent.Consent) (words, resources []string) {
	told := c.Scopes.Claims(given.ScopesAt(c.place())...)
	for _, word := range c.wanted() {
		name, single := consent.ClaimOf(word)
		if !given.Covers(c.stored(word)...) && !(single && slices.Contains(told, name)) {
			words = append(words, word)
		}
	}
	for _, resource := range c.request.Resources {
		if !c.isAllowedAt(given, resource) {
			resources = append(resources, resource)
		}
	}
	return words, resources
}

// storedResource is what stands for a resource among what was allowed at the place of the request.
func (c *call) storedResource(resource string) string {
	return consent.At(c.place(), consent.At(resource, ""))
}

// isAllowedAt reports whether the person has allowed a resource, and all of the request there.
func (c *call) isAllowedAt(given consent.Consent, resource string) bool {
	if !slices.Contains(given.Resources, resource) || c.place() != "" && !given.Covers(c.storedResource(resource)) {
		return false
	}
	return !slices.ContainsFunc(c.wanted(), func(word string) bool {
		return c.isOfAPI(word) && !given.Covers(consent.At(c.place(), consent.At(resource, word)))
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
