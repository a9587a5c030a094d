package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Project is a tenant: its own users, clients, lifetimes and flags. The project `default` always
// exists and may be declared too.
type Project struct {
	// The name in URLs, tokens and gates: 1 to 63 lower-case letters, digits and `-`. Required.
	Slug string `json:"slug"`
	// The display name. Default: the slug.
	Name string `json:"name,omitempty"`
	// The audience words that its tokens may be issued for. Default: the server's.
	Audiences []string `json:"audiences,omitempty"`
	// A named set of lifetimes, as for the server. Default: the server's lifetimes.
	Preset string `json:"preset,omitempty"`
	// The lifetimes of its tokens. Default: the server's lifetimes.
	Lifetimes OwnLifetimes `json:"lifetimes,omitzero"`
	// How long before its end a browser's access token is renewed; 1s to 24h. Default: the
	// server's.
	RefreshWindow option.Duration `json:"refresh_window,omitempty"`
	// How often `session.js` checks whether a renewal is due; 1s to 24h. Default: the server's.
	RefreshCheck option.Duration `json:"refresh_check,omitempty"`
	// `jwt`, which gates verify by themselves, or `opaque`, which only this server reads. Default: the
	// server's.
	AccessTokenFormat string `json:"access_token_format,omitempty"`
	// `off` lets the same refresh token be used more than once. Default: the server's.
	RefreshRotation string `json:"refresh_rotation,omitempty"`
	// How long after a rotation the previous refresh token still gets the same successor; 0s to
	// 60s. Default: the server's.
	RefreshReuseInterval *option.Duration `json:"refresh_reuse_interval,omitempty"`
	// Whether sessions survive a change of the password. Default: the server's.
	KeepRefreshOnPasswordChange *bool `json:"keep_refresh_on_password_change,omitempty"`
	// Whether signing out of one session ends all sessions of the user. Default: the server's.
	RevokeAllOnLogout *bool `json:"revoke_all_on_logout,omitempty"`
}

// domain returns the project as the store declares it.
func (p *Project) domain(limits project.Limits) (project.Project, error) {
	lifetimes, err := lifetimesOver(p.Lifetimes.domain(), p.Preset)
	if err == nil {
		err = lifetimes.Validate(limits)
	}
	declared := project.Project{
		Slug:              p.Slug,
		Name:              p.Name,
		Audiences:         p.Audiences,
		Lifetimes:         lifetimes,
		RefreshWindow:     time.Duration(p.RefreshWindow),
		RefreshCheck:      time.Duration(p.RefreshCheck),
		RevocationOptions: p.revocation(),
	}
	if err == nil {
		declared.TokenOptions, err = tokenOptions(p.AccessTokenFormat, p.RefreshRotation, p.RefreshReuseInterval)
	}
	if err == nil {
		err = declared.Validate()
	}
	if err != nil {
		return project.Project{}, fmt.Errorf("project %q: %w", p.Slug, oneLine(err))
	}
	return declared, nil
}

func (p *Project) durations() []option.DurationRange {
	return []option.DurationRange{
		{Name: "refresh_window", Value: &p.RefreshWindow, Min: time.Second, Max: 24 * time.Hour},
		{Name: "refresh_check", Value: &p.RefreshCheck, Min: time.Second, Max: 24 * time.Hour},
	}
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

// validateLevels refuses lifetimes of the server, projects and clients that contradict the limits
// or each other.
func (s *Settings) validateLevels() error {
	for _, validate := range []func() error{s.validateLifetimes, s.validateProjects, s.validateClients} {
		if err := validate(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) validateProjects() error {
	for i := range s.Projects {
		if err := s.validateProject(i); err != nil {
			return err
		}
	}
	return nil
}

// validateProject refuses the project with the index i, which may still be incomplete.
func (s *Settings) validateProject(i int) error {
	p := &s.Projects[i]
	if slices.ContainsFunc(s.Projects[:i], func(o Project) bool { return o.Slug == p.Slug }) {
		return fmt.Errorf("project %q: duplicate", p.Slug)
	}
	_, err := p.domain(s.Limits.domain())
	return err
}

// unmarshalProject parses:
//
//	project <slug> {
//		name                              <text>
//		audiences                         <words...>
//		preset                            <name>
//		lifetimes                         {...}
//		refresh_window                    <duration>
//		refresh_check                     <duration>
//		access_token_format               jwt|opaque
//		refresh_rotation                  on|off
//		refresh_reuse_interval            <duration>
//		revoke_refresh_on_password_change on|off
//		revoke_all_on_logout              [on|off]
//	}
func (s *Settings) unmarshalProject(d *caddyfile.Dispenser) error {
	s.Projects = append(s.Projects, Project{})
	p := &s.Projects[len(s.Projects)-1]
	if err := option.One(d, &p.Slug); err != nil {
		return err
	}
	if err := option.At(d, s.validateProject(len(s.Projects)-1)); err != nil {
		return err
	}
	return option.Block(d, func() error {
		if err := p.unmarshalOption(d); err != nil {
			return err
		}
		// Line by line, so that the error names the line.
		return option.At(d, s.validateProject(len(s.Projects)-1))
	})
}

func (p *Project) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch word := d.Val(); word {
	case "name":
		return option.One(d, &p.Name)
	case "audiences":
		return option.Some(d, &p.Audiences)
	case "preset":
		return option.One(d, &p.Preset)
	case "lifetimes":
		return p.Lifetimes.unmarshal(d)
	case "refresh_window", "refresh_check":
		return option.ReadDuration(d, p.durations())
	case "access_token_format":
		return option.One(d, &p.AccessTokenFormat)
	case "refresh_rotation":
		return option.One(d, &p.RefreshRotation)
	case "refresh_reuse_interval":
		return unmarshalReuse(d, &p.RefreshReuseInterval)
	case "revoke_refresh_on_password_change":
		p.KeepRefreshOnPasswordChange, err = optionalFlag(d, option.OnOff, true)
		return err
	case "revoke_all_on_logout":
		p.RevokeAllOnLogout, err = optionalFlag(d, option.Flag, false)
		return err
	default:
		return d.Errf("project: unrecognized option %q", word)
	}
}
