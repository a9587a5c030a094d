package gate

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// Kind is a kind of place where a credential may travel.
type Kind string

const (
	// Bearer is `Authorization: Bearer` (RFC 6750, section 2.1).
	Bearer Kind = "bearer"
	// DPoP is `Authorization: DPoP` (RFC 9449, section 7.1). No gate has such a source: those that
	// read Bearer read it too, unless they have no Possession.
	DPoP Kind = "dpop"
	// Header is a request header that holds the bare token.
	Header Kind = "header"
	// Cookie is a cookie that holds the bare token.
	Cookie Kind = "cookie"
	// Query is a query parameter (RFC 6750, section 2.3, which advises against it: URLs end up in
	// logs).
	Query Kind = "query"
)

// Source is one place where a gate looks for a credential. Name is the header, cookie or parameter;
// empty for Bearer and DPoP.
type Source struct {
	Kind Kind
	Name string
}

// credential finds exactly one credential. The same token in two places is one; two different ones
// are refused, also when an earlier gate on this request looked for its own in another place.
func (g *Gate) credential(r *http.Request, prior *Admission) (string, Source, error) {
	var raw string
	var via Source
	if prior != nil && prior.Token != nil && g.reads(prior.Via()) {
		raw, via = prior.Token.Raw(), prior.Via()
	}
	for _, s := range g.Sources {
		found, err := s.find(r)
		if err != nil && g.mayBeDPoP(s, err) {
			found, s, err = findDPoP(r, s)
		}
		if err != nil {
			if g.Mode == Optional && refusedFor(err, foreignScheme) {
				continue
			}
			return "", s, foreignIsNone(err)
		}
		if found == "" || found == raw {
			continue
		}
		if raw != "" {
			return "", s, refuse(MultipleCredentials, "two different credentials in one request")
		}
		raw, via = found, s
	}
	if raw == "" {
		return "", via, refuse(NoCredential, "no credential")
	}
	if prior != nil && prior.Token != nil && prior.Token.Raw() != raw {
		return "", via, refuse(MultipleCredentials, "an earlier gate has admitted this request with another credential")
	}
	return raw, via, nil
}

// reads reports whether the gate looks for credentials there; no gate looks nowhere.
func (g *Gate) reads(via Source) bool {
	if g == nil {
		return false
	}
	if via.Kind == DPoP {
		via.Kind = Bearer
	}
	for _, s := range g.Sources {
		if s == via {
			return true
		}
	}
	return false
}

// foreignScheme marks an Authorization header of another scheme while sources are being searched;
// it never leaves this file.
const foreignScheme token.Reason = "foreign_scheme"

// foreignIsNone turns the inner word into the one the client hears: a Basic header is no credential
// for this gate.
func foreignIsNone(err error) error {
	if refusedFor(err, foreignScheme) {
		return refuse(NoCredential, "the Authorization header is not a Bearer credential")
	}
	return err
}

func (s Source) find(r *http.Request) (string, error) {
	switch s.Kind {
	case Bearer:
		return findAuthorization(r.Header["Authorization"], "Bearer")
	case DPoP:
		return findAuthorization(r.Header["Authorization"], "DPoP")
	case Header:
		return findHeader(r.Header[s.Name])
	case Cookie:
		return findCookie(r.Header["Cookie"], s.Name)
	case Query:
		return findQuery(r.URL, s.Name)
	}
	return "", nil
}

// findAuthorization reads `<scheme> <token>`; the scheme is case-insensitive (RFC 9110, section
// 11.1).
func findAuthorization(lines []string, want string) (string, error) {
	if len(lines) == 0 {
		return "", nil
	}
	if len(lines) > 1 {
		return "", refuse(MultipleCredentials, "several Authorization headers")
	}
	scheme, raw, _ := strings.Cut(lines[0], " ")
	if scheme != want && !strings.EqualFold(scheme, want) {
		return "", refuse(foreignScheme, "")
	}
	raw = strings.TrimLeft(raw, " ")
	if raw == "" {
		return "", refuse(token.Malformed, "the Authorization header holds no token")
	}
	if strings.IndexByte(raw, ',') >= 0 {
		return "", refuse(MultipleCredentials, "several credentials in the Authorization header")
	}
	return raw, nil
}

func findHeader(lines []string) (string, error) {
	switch len(lines) {
	case 0:
		return "", nil
	case 1:
		return lines[0], nil
	}
	return "", refuse(MultipleCredentials, "duplicate credential header")
}

// findCookie reads the one cookie called name. Cookie names are case-sensitive (RFC 6265, section
// 5.4).
func findCookie(lines []string, name string) (string, error) {
	var raw string
	var seen bool
	if !mentions(lines, name) {
		return "", nil
	}
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			value, ok := cookieValue(pair, name)
			if !ok {
				continue
			}
			if seen {
				return "", refuse(MultipleCredentials, "duplicate cookie "+name)
			}
			raw, seen = value, true
		}
	}
	return raw, nil
}

// FindCookie returns the value of the one cookie called name; empty when there is none, or more
// than one.
func FindCookie(r *http.Request, name string) string {
	value, err := findCookie(r.Header["Cookie"], name)
	if err != nil {
		return ""
	}
	return value
}

// ReplaceCookie puts value in place of the cookie called name, for the gates that come.
func ReplaceCookie(r *http.Request, name, value string) {
	dropCookies(r, name, nil)
	r.Header["Cookie"] = append(slices.Clip(r.Header["Cookie"]), name+"="+value)
}

func cookieValue(pair, name string) (string, bool) {
	found, value, _ := strings.Cut(textproto.TrimString(pair), "=")
	return value, textproto.TrimString(found) == name
}

func findQuery(u *url.URL, name string) (string, error) {
	if u.RawQuery == "" {
		return "", nil
	}
	values := u.Query()[name]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", refuse(MultipleCredentials, "duplicate query parameter "+name)
}

// isForeign reports whether the Authorization header is of a scheme that the gate does not read.
func (g *Gate) isForeign(authorization []string) bool {
	_, err := findAuthorization(authorization, "Bearer")
	if err != nil && g.mayBeDPoP(Source{Kind: Bearer}, err) {
		_, err = findAuthorization(authorization, "DPoP")
	}
	return refusedFor(err, foreignScheme)
}

func mentions(lines []string, name string) bool {
	for _, line := range lines {
		if strings.Contains(line, name) {
			return true
		}
	}
	return false
}

// checkOrigin demands that a request whose credential is a cookie, and which may change something
// or opens a WebSocket, comes from the application's own pages or a listed origin. SameSite does
// not stop a sibling subdomain.
func (g *Gate) checkOrigin(r *http.Request) error {
	probe := *r
	if isUpgrade(r) {
		probe.Method = http.MethodPost // CrossOriginProtection lets every GET pass, and a WebSocket begins as one
	}
	if err := g.sameOrigin.Check(&probe); err != nil {
		return refuse(CrossOrigin, "a cookie credential must come from the same origin")
	}
	return nil
}

func isUpgrade(r *http.Request) bool {
	return len(r.Header["Upgrade"]) > 0 || r.Method == http.MethodConnect
}
