package weburl

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// ValidateBase refuses what cannot be the public URL of a server: scheme and host as browsers write
// them, and a path without a trailing slash, "" or "/auth".
func ValidateBase(u *url.URL) error {
	switch {
	case u == nil || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("not an http or https URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/"):
		return errors.New("it has user information, a query, a fragment or a trailing slash")
	}
	return nil
}

// IsSecure reports whether what is sent to the URL can be read by nobody else: it is https, or http
// on a loopback host.
func IsSecure(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && IsLoopback(u.Hostname())
}

// CanonicalOrigin returns the one spelling of an http or https origin: lower case, no default port,
// no path (a lone slash is dropped). Hosts beyond ASCII must be given in their xn-- form. Anything
// besides scheme, host and port is an error.
func CanonicalOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || !IsPlain(s):
		return "", errors.New("not an origin such as https://app.example.com")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("an origin begins with http:// or https://")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#") || u.Path != "" && u.Path != "/":
		return "", errors.New("an origin has only a scheme, a host and a port")
	case !validHost(u):
		return "", errors.New("the host or port of the origin is not valid")
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	return u.Scheme + "://" + host, nil
}

// IsPlain reports whether the text is printable ASCII without spaces and backslashes. Browsers drop
// tabs and line ends from addresses and read a backslash as a slash.
func IsPlain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	return true
}

// validHost reports whether a browser reads the host as it is written: no escapes, no unusual
// characters, and a port that is a plain number.
func validHost(u *url.URL) bool {
	name := u.Hostname()
	if name == "" || strings.HasSuffix(u.Host, ":") {
		return false
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return false
		}
	}
	if strings.HasPrefix(u.Host, "[") {
		return strings.Trim(strings.ToLower(name), "0123456789abcdef:.") == ""
	}
	return strings.Trim(strings.ToLower(name), "0123456789abcdefghijklmnopqrstuvwxyz-._") == "" &&
		!strings.Contains(name, "..") && !strings.HasPrefix(name, ".")
}
