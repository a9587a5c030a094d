package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// NamedApplication is an application that a gate names, for the start page of the server.
type NamedApplication struct {
	// Name is what people call it.
	Name string
	// URL is where it is opened.
	URL *url.URL
	// Icon is the address of its picture. Default: none.
	Icon string
	// IconSource is the source expression of Icon: an origin, or "data:". Default: none.
	IconSource string
}

const (
	maxAppName = 60   // characters
	maxAppURL  = 2048 // bytes
	maxAppIcon = 8192 // bytes; a picture may stand in the address itself
)

// ParseApplication reads the name, the address and the icon of an application. The icon may be empty.
func ParseApplication(name, address, icon string) (a NamedApplication, err error) {
	if err := checkAppName(name); err != nil {
		return a, err
	}
	a.Name = name
	if a.URL, err = parseAppURL(name, address); err != nil {
		return a, err
	}
	a.Icon = icon
	a.IconSource, err = iconSource(name, icon)
	return a, err
}

func checkAppName(name string) error {
	visible := func(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) }
	switch err := project.ValidateName(name); {
	case !utf8.ValidString(name):
		return fmt.Errorf("app: the name %q is not UTF-8", name)
	case !strings.ContainsFunc(name, visible):
		return fmt.Errorf("app: the name %q is empty or blank", name)
	case utf8.RuneCountInString(name) > maxAppName:
		return fmt.Errorf("app: the name %.30q has %d characters, above the limit of %d", name,
			utf8.RuneCountInString(name), maxAppName)
	case err != nil:
		return fmt.Errorf("app %q: %w", name, err)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("app: the name %q begins or ends with a space", name)
	}
	return nil
}

func parseAppURL(name, address string) (*url.URL, error) {
	u, err := parseWebAddress(address, maxAppURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("app %q: url %w", name, err)
	case weburl.HasDotSegments(u.Path):
		return nil, fmt.Errorf("app %q: url %q has dot segments or a backslash, which no gate lets pass", name, address)
	}
	return u, nil
}

// parseWebAddress reads an absolute http or https URL without user and fragment, whose host browsers
// read as it is written.
func parseWebAddress(address string, longest int) (*url.URL, error) {
	if len(address) > longest {
		return nil, fmt.Errorf("%.40q has %d bytes, above the limit of %d", address, len(address), longest)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || !weburl.IsPlain(address) || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%q is not an absolute http or https URL", address)
	case u.User != nil:
		return nil, errors.New("holds a user, which must not be there")
	case strings.Contains(address, "#"):
		return nil, fmt.Errorf("%q has a fragment, which must not be there", address)
	}
	if _, err := weburl.CanonicalOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, fmt.Errorf("%q: the host or the port is not valid; write a host beyond ASCII in its xn-- form",
			address)
	}
	return u, nil
}

// iconSource checks the address of an icon, and returns its source expression for a content security
// policy.
func iconSource(name, icon string) (string, error) {
	switch {
	case icon == "":
		return "", nil
	case len(icon) > maxAppIcon:
		return "", fmt.Errorf("app %q: icon %.40q has %d bytes, above the limit of %d", name, icon, len(icon),
			maxAppIcon)
	case strings.HasPrefix(strings.ToLower(icon), "data:image/") && strings.Contains(icon, ","):
		return "data:", nil
	}
	u, err := parseWebAddress(icon, maxAppURL)
	switch {
	case err != nil:
		return "", fmt.Errorf("app %q: icon %w; a data:image/ URL is possible, too", name, err)
	case strings.HasPrefix(u.Host, "["):
		return "", fmt.Errorf("app %q: icon %q: a content security policy cannot name an IPv6 address", name, icon)
	}
	return weburl.CanonicalOrigin(u.Scheme + "://" + u.Host)
}
