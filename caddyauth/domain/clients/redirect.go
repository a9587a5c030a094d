package clients

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// RedirectURI reports whether an authorization response may be sent to the presented URI: it is one
// of the client's, byte for byte. Of an http URI on a loopback host the port does not count (RFC
// 8252, section 7.3): a program on a desktop takes the one that is free.
func (c Client) RedirectURI(presented string) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		return sameRedirect(registered, presented)
	})
}

// PostLogoutRedirectURI reports whether a browser may be sent to the presented URI after it was
// signed out: it is one of the client's, byte for byte.
func (c Client) PostLogoutRedirectURI(presented string) bool {
	return slices.Contains(c.PostLogoutRedirectURIs, presented)
}

func sameRedirect(registered, presented string) bool {
	if registered == presented {
		return registered != ""
	}
	host, rest, ok := cutLoopbackPort(registered)
	presentedHost, presentedRest, presentedOK := cutLoopbackPort(presented)
	return ok && presentedOK && host == presentedHost && rest == presentedRest
}

// loopbackHosts are the hosts of http URIs whose port does not count, as they are written in a URI.
var loopbackHosts = []string{"127.0.0.1", "[::1]", "localhost"}

// cutLoopbackPort takes an http URI on a loopback host apart, without its port. It reads the bytes
// as they are: a URI in another spelling is another URI.
func cutLoopbackPort(uri string) (host, rest string, ok bool) {
	after, found := strings.CutPrefix(uri, "http://")
	if !found {
		return "", "", false
	}
	for _, host := range loopbackHosts {
		rest, found := strings.CutPrefix(after, host)
		if !found {
			continue
		}
		if port, behind := cutPort(rest); port != "" {
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
				return "", "", false
			}
			rest = behind
		}
		return host, rest, rest == "" || rest[0] == '/' || rest[0] == '?'
	}
	return "", "", false
}

// cutPort takes the digits of a port from the beginning of what follows a host.
func cutPort(text string) (port, rest string) {
	after, found := strings.CutPrefix(text, ":")
	if !found {
		return "", text
	}
	rest = strings.TrimLeft(after, "0123456789")
	return after[:len(after)-len(rest)], rest
}

const (
	maxURI  = 2048 // bytes
	maxURIs = 50
)

// privateScheme is the scheme of an application (RFC 8252, section 7.1): a reversed domain name, so
// that no scheme which a browser runs or opens itself (javascript, data, file) is one.
var privateScheme = regexp.MustCompile(`^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+$`)

// ValidateRedirectURI refuses what cannot be where a browser is sent: other than an absolute URI
// without a fragment and without user information that is https, http on a loopback host, or of a
// private-use scheme with a dot. The error names what is wrong, not the URI.
func ValidateRedirectURI(uri string) error {
	u, err := parseURI(uri)
	if err != nil {
		return err
	}
	switch {
	case u.Scheme == "https" || u.Scheme == "http":
		return validateWeb(u, uri)
	case privateScheme.MatchString(u.Scheme):
		return nil
	}
	return errors.New("the scheme is neither https, nor http on a loopback host, nor a private one with a dot")
}

// ValidateWebURI refuses what is not an absolute URI without a fragment and without user
// information that is https, or http on a loopback host.
func ValidateWebURI(uri string) error {
	u, err := parseURI(uri)
	if err != nil {
		return err
	}
	return validateWeb(u, uri)
}

// parseURI refuses what browsers and servers could read in different ways.
func parseURI(uri string) (*url.URL, error) {
	switch {
	case uri == "" || len(uri) > maxURI:
		return nil, fmt.Errorf("it does not have 1 to %d bytes", maxURI)
	case !weburl.IsPlain(uri):
		return nil, errors.New("it holds a space, a backslash or a character beyond visible ASCII")
	case strings.Contains(uri, "#"):
		return nil, errors.New("it has a fragment")
	}
	u, err := url.Parse(uri)
	if err != nil || !u.IsAbs() || !strings.HasPrefix(uri, u.Scheme+":") {
		return nil, errors.New("it is not an absolute URI with a scheme in lower case")
	}
	if u.User != nil {
		return nil, errors.New("it has user information")
	}
	return u, nil
}

func validateWeb(u *url.URL, uri string) error {
	origin, err := weburl.CanonicalOrigin(u.Scheme + "://" + u.Host)
	switch {
	case err != nil || origin == "" || !strings.HasPrefix(uri, u.Scheme+"://"+u.Host):
		return errors.New("it is not an https URI with a valid host and port")
	case u.Scheme == "http" && !slices.Contains(loopbackHosts, WithoutPort(u.Host)):
		return errors.New("http is allowed for 127.0.0.1, [::1] and localhost only")
	}
	return nil
}

// WithoutPort is the host of an authority (RFC 3986, section 3.2), with the brackets of an IPv6
// address.
func WithoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		return host[:i]
	}
	return host
}
