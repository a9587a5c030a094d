package authorization

import (
	"net/url"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// readResources reads `resource`, which may be repeated (RFC 8707, section 2).
func (r *Request) readResources(p Parameters, c clients.Client) *Error {
	for _, presented := range p.values("resource") {
		known, ok := c.Resource(presented)
		if !ok || !isResource(presented) {
			return r.To.refuse(InvalidTarget, "The resource is not one that the client may have tokens for.").
				quoting(presented)
		}
		if !slices.Contains(r.Resources, known) {
			r.Resources = append(r.Resources, known)
		}
	}
	return nil
}

// isResource reports whether a text can name a resource: an absolute URI without a fragment.
func isResource(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.IsAbs() && !strings.Contains(text, "#")
}

// Narrow returns the part of what was authorized that /token is asked for (RFC 8707, section 2.2),
// all of it when nothing is asked for. ok is false when something else is asked for.
func Narrow(authorized, asked []string) (part []string, ok bool) {
	if len(asked) == 0 {
		return authorized, true
	}
	for _, presented := range asked {
		i := slices.IndexFunc(authorized, func(known string) bool { return clients.SameResource(known, presented) })
		if i < 0 || !isResource(presented) {
			return nil, false
		}
		if !slices.Contains(part, authorized[i]) {
			part = append(part, authorized[i])
		}
	}
	return part, true
}
