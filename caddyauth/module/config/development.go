package config

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// errDevelopment says why a preset does not load.
var errDevelopment = errors.New("preset: development is for a server on a loopback host, and this one is public: " +
	"write `preset production`, or insecure_development beside it")

// validateDevelopment refuses the preset `development` on a server that others can reach. The
// issuer and the public URL are known once placeholders are resolved.
func (s *Settings) validateDevelopment(issuer string, public *url.URL) error {
	if s.InsecureDevelopment || !isPublic(issuer, public) {
		return nil
	}
	if s.Preset == project.Development {
		return errDevelopment
	}
	for i := range s.Projects {
		if s.Projects[i].Preset == project.Development {
			return fmt.Errorf("project %q: %w", s.Projects[i].Slug, errDevelopment)
		}
	}
	for i := range s.Clients {
		if s.Clients[i].Preset == project.Development {
			return fmt.Errorf("client %q: %w", s.Clients[i].ID, errDevelopment)
		}
	}
	return nil
}

// isPublic reports whether the issuer or the public URL is on a host that is not loopback. An
// issuer that is not a URL names no host.
func isPublic(issuer string, public *url.URL) bool {
	if public != nil && !weburl.IsLoopback(public.Hostname()) {
		return true
	}
	u, err := url.Parse(issuer)
	return err == nil && u.Host != "" && !weburl.IsLoopback(u.Hostname())
}
