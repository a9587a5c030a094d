package authorize

import (
	"maps"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/consent"
)

// wanted is what the person has to allow: the scopes of the request, and each single claim that it
// asks for by the parameter `claims` and its scopes do not stand for. Those of the scopes that the
// client could have asked for are told as well as the others (issuance.Service.UserInfo).
func (c *call) wanted() []string {
	wanted := slices.Clone(c.request.Scopes)
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

// unknownTo leaves out the claims that scopes stand for which the person has allowed.
func (c *call) unknownTo(given consent.Consent, words []string) []string {
	told := c.Scopes.Claims(given.Scopes...)
	return slices.DeleteFunc(words, func(word string) bool {
		name, single := consent.ClaimOf(word)
		return single && slices.Contains(told, name)
	})
}

// split takes the claims out of what the person is asked for.
func split(words []string) (scopes, claims []string) {
	for _, word := range words {
		if name, single := consent.ClaimOf(word); single {
			claims = append(claims, name)
		} else {
			scopes = append(scopes, word)
		}
	}
	return scopes, claims
}
