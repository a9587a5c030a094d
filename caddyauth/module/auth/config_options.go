package auth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// onWords are the values of an option that is on or off; empty is the default.
var onWords = []string{"", "on", modeOff}

// tokenOptions returns the options of one level as the domain has them.
func tokenOptions(format, rotation string, reuse *Duration) (project.TokenOptions, error) {
	o := project.TokenOptions{AccessTokenFormat: format}
	switch rotation {
	case "on":
		o.RefreshRotation = project.On
	case modeOff:
		o.RefreshRotation = project.Off
	}
	if !slices.Contains(onWords, rotation) {
		return o, fmt.Errorf("refresh_rotation: %q is neither on nor off", rotation)
	}
	if err := checkZeroable("refresh_reuse_interval", reuse, session.MaxReuse); err != nil {
		return o, err
	}
	if reuse != nil {
		o.RefreshReuseInterval = time.Duration(*reuse)
		if *reuse == 0 {
			o.RefreshReuseInterval = project.None
		}
	}
	return o, o.Check()
}

// serverTokenOptions are the server's own options, under those of projects and clients.
func (s *Settings) serverTokenOptions() (project.TokenOptions, error) {
	return tokenOptions(s.AccessTokenFormat, s.RefreshRotation, s.Lifetimes.RefreshReuseInterval)
}

// serverRevocation are the server's own options, under those of projects.
func (s *Settings) serverRevocation() project.RevocationOptions {
	var o project.RevocationOptions // the defaults stay Inherit, so that the management API can tell them
	if s.KeepRefreshOnPasswordChange {
		o.RevokeRefreshOnPasswordChange = project.Off
	}
	if s.RevokeAllOnLogout {
		o.RevokeAllOnLogout = project.On
	}
	return o
}

// revocation are the project's own options.
func (p *Project) revocation() project.RevocationOptions {
	var o project.RevocationOptions
	if p.KeepRefreshOnPasswordChange != nil {
		o.RevokeRefreshOnPasswordChange = project.SwitchOf(!*p.KeepRefreshOnPasswordChange)
	}
	if p.RevokeAllOnLogout != nil {
		o.RevokeAllOnLogout = project.SwitchOf(*p.RevokeAllOnLogout)
	}
	return o
}

// errDevelopment says why a preset does not load.
var errDevelopment = errors.New("preset: development is for a server on a loopback host, and this one is public: " +
	"write `preset production`, or insecure_development beside it")

// checkDevelopment refuses the preset `development` on a server that others can reach. The issuer and the public URL are known once
// placeholders are resolved.
func (s *Settings) checkDevelopment(issuer string, public *url.URL) error {
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

// isPublic reports whether the issuer or the public URL is on a host that is not loopback. An issuer that is not a URL names no host.
func isPublic(issuer string, public *url.URL) bool {
	if public != nil && !weburl.IsLoopback(public.Hostname()) {
		return true
	}
	u, err := url.Parse(issuer)
	return err == nil && u.Host != "" && !weburl.IsLoopback(u.Hostname())
}
