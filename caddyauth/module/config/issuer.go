package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/module/option"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// resolveIssuer sets the issuer and the public URL.
func (s *Settings) resolveIssuer(r option.Resolver, v *Server) (err error) {
	if v.Issuer, err = r.Text("issuer", s.Issuer); err != nil {
		return err
	}
	if v.Issuer == "" {
		return errors.New("issuer: it is required, for example `issuer https://auth.example.com`")
	}
	public, err := r.Text("public_url", s.PublicURL)
	switch {
	case err != nil:
		return err
	case public != "":
		v.PublicURL, err = ParsePublicURL("public_url", public)
	case strings.Contains(v.Issuer, "://"):
		v.PublicURL, err = ParsePublicURL("issuer", v.Issuer)
	}
	if err != nil {
		return err
	}
	return s.validateDevelopment(v.Issuer, v.PublicURL)
}

// ParsePublicURL parses an https URL, or an http URL with a loopback host, without query, fragment
// or user. The error names the setting.
func ParsePublicURL(setting, value string) (*url.URL, error) {
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %q is not a URL", setting, value)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Opaque != "":
		return nil, fmt.Errorf("%s: %q is not an http or https URL", setting, value)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, fmt.Errorf("%s: %q must have no user, query or fragment", setting, u.Redacted())
	case u.Scheme == "http" && !weburl.IsLoopback(u.Hostname()):
		return nil, fmt.Errorf("%s: %q must be https; http is for loopback hosts only", setting, value)
	}
	u.Host = strings.ToLower(u.Host)
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// ParseOrigin parses an origin and returns its canonical spelling.
func ParseOrigin(setting, value string) (string, error) {
	u, err := ParsePublicURL(setting, value)
	if err != nil {
		return "", err
	}
	if u.Path != "" {
		return "", fmt.Errorf("%s: %q must be an origin, without a path", setting, value)
	}
	origin, err := weburl.CanonicalOrigin(value)
	if err != nil {
		return "", fmt.Errorf("%s: %q: %w", setting, value, err)
	}
	return origin, nil
}
