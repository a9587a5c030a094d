package issuance

import (
	"net/url"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// originOf is the origin of a redirect URI, as it stands in the audience of a session of clients.Web.
func originOf(redirectURI string) (string, error) {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + u.Host, nil
}

// NamesHost reports whether an audience names an origin of a host, in lower case and without a port.
// Browsers send cookies to all ports of a host, so that an audience cannot tell them apart either.
func NamesHost(audience []string, host string) bool {
	return host != "" && slices.ContainsFunc(audience, func(word string) bool {
		_, authority, isOrigin := strings.Cut(word, "://")
		return isOrigin && HostOf(authority) == host
	})
}

// HostOf is the host of an authority (RFC 3986, section 3.2), in lower case, without port and brackets.
func HostOf(authority string) string {
	return strings.ToLower(strings.Trim(clients.WithoutPort(authority), "[]"))
}
