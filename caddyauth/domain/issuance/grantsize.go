package issuance

// maxCachedBytes is how large a remembered grant may be, with whom it is for. Clients that came by
// themselves, and what they ask for, may be many times as large as others.
const maxCachedBytes = 16 << 10

// plainBytes are what a remembered grant takes without what is counted.
const plainBytes = 3 << 10

// size is about what a remembered grant takes of memory. The project is not counted: grants share it.
func (r cachedGrant) size() int {
	g, p := &r.grant, r.parties
	sum := plainBytes + len(g.ClaimsRequest) + sizeOfTexts(g.Audience) + sizeOfTexts(g.Scopes) + sizeOfTexts(g.AMR) +
		sizeOf(p.User.Claims)
	c := &p.Client
	for _, list := range [][]string{
		c.Audience, c.Scopes, c.RedirectURIs, c.PostLogoutRedirectURIs, c.Resources, c.GrantTypes, c.Introspection,
		c.TokenExchange,
	} {
		sum += sizeOfTexts(list)
	}
	return sum + len(c.JWKS) + sizeOf(c.Claims)
}

func sizeOfTexts(list []string) (sum int) {
	for _, text := range list {
		sum += 16 + len(text)
	}
	return sum
}

// sizeOf is about what a claim takes: a map, even of one member, takes some hundred bytes.
func sizeOf(claim any) int {
	sum := 16
	switch v := claim.(type) {
	case string:
		sum += 16 + len(v)
	case []any:
		for _, element := range v {
			sum += sizeOf(element)
		}
	case map[string]any:
		sum += 320
		for name, value := range v {
			sum += 64 + len(name) + sizeOf(value)
		}
	}
	return sum
}
