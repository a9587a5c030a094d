package auth

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// Project is a tenant: its own users, clients, lifetimes and flags. The project `default` always exists and may be declared too.
type Project struct {
	// The name in addresses, tokens and gates: 1 to 63 small letters, digits and `-`. Required.
	Slug string `json:"slug"`
	// What people read. Default: the slug.
	Name string `json:"name,omitempty"`
	// The audience words that its tokens may be issued for. Default: the server's.
	Audiences []string `json:"audiences,omitempty"`
	// A named set of lifetimes, as for the server. Default: the server's lifetimes.
	Preset string `json:"preset,omitempty"`
	// How long what it issues is good for. Default: the server's lifetimes.
	Lifetimes OwnLifetimes `json:"lifetimes,omitzero"`
	// How long before its end a browser's access token is renewed; 1s to 24h. Default: the server's.
	RefreshWindow Duration `json:"refresh_window,omitempty"`
	// How often `session.js` looks whether a renewal is due; 1s to 24h. Default: the server's.
	RefreshCheck Duration `json:"refresh_check,omitempty"`
	// `jwt`, which gates verify by themselves, or `opaque`, which is looked up. Default: the server's.
	AccessTokenFormat string `json:"access_token_format,omitempty"`
	// `off` keeps the same refresh token good again and again. Default: the server's.
	RefreshRotation string `json:"refresh_rotation,omitempty"`
	// How long after a rotation the token before still gets the same successor; 0s to 60s. Default: the server's.
	RefreshReuseInterval *Duration `json:"refresh_reuse_interval,omitempty"`
	// A new password does not end the sign-ins of before. Default: the server's.
	KeepRefreshOnPasswordChange *bool `json:"keep_refresh_on_password_change,omitempty"`
	// Signing out of one session ends all of a person's. Default: the server's.
	RevokeAllOnLogout *bool `json:"revoke_all_on_logout,omitempty"`
}

// Client is a program that gets tokens.
type Client struct {
	// The client_id: 1 to 128 letters, digits and `-._~`. Required.
	ID string `json:"id"`
	// The project it belongs to. Default: default.
	Project string `json:"project,omitempty"`
	// What people read. Default: the id.
	Name string `json:"name,omitempty"`
	// Its secret, at least 32 bytes. Default: none, a public client.
	Secret string `json:"secret,omitempty"`
	// `jwt`, which gates verify by themselves, or `opaque`, which is looked up. Default: the project's.
	AccessTokenFormat string `json:"access_token_format,omitempty"`
	// `off` keeps the same refresh token good again and again. Default: the project's.
	RefreshRotation string `json:"refresh_rotation,omitempty"`
	// How long after a rotation the token before still gets the same successor; 0s to 60s. Default: the project's.
	RefreshReuseInterval *Duration `json:"refresh_reuse_interval,omitempty"`
	// What its tokens are for when a request names nothing. Default: api.
	Audience []string `json:"audience,omitempty"`
	// The scopes it may ask for. Default: none.
	Scopes []string `json:"scopes,omitempty"`
	// Claims that its tokens carry. Default: none.
	Claims map[string]any `json:"claims,omitempty"`
	// A named set of lifetimes, as for the server. Default: the project's lifetimes.
	Preset string `json:"preset,omitempty"`
	// How long what it gets is good for. Default: the project's lifetimes.
	Lifetimes OwnLifetimes `json:"lifetimes,omitzero"`
}

// OwnLifetimes are the lifetimes that a project or client sets for itself.
type OwnLifetimes struct {
	// Lifetime of an access token; within `limits`. Default: that of the level above.
	AccessToken Duration `json:"access_token,omitempty"`
	// How long a refresh token may lie unused; within `limits`. Default: that of the level above.
	RefreshToken Duration `json:"refresh_token,omitempty"`
	// How long a sign-in lasts, however often it is refreshed; within `limits`. Default: that of the level above.
	RefreshAbsolute Duration `json:"refresh_absolute,omitempty"`
}

// Limits bound the lifetimes that projects, clients and the API may set.
type Limits struct {
	// The shortest lifetime of an access token; 60s and more. Default: 60s.
	MinAccessToken Duration `json:"min_access_token,omitempty"`
	// The longest lifetime of an access token; up to 1y. Default: 1y.
	MaxAccessToken Duration `json:"max_access_token,omitempty"`
	// The shortest lifetime of a refresh token; 60s and more. Default: 60s.
	MinRefreshToken Duration `json:"min_refresh_token,omitempty"`
	// The longest absolute lifetime of a sign-in; up to 10y. Default: 10y.
	MaxRefreshToken Duration `json:"max_refresh_token,omitempty"`
}

func (l Limits) domain() project.Limits {
	return project.Limits{
		MinAccess: time.Duration(l.MinAccessToken), MaxAccess: time.Duration(l.MaxAccessToken),
		MinRefresh: time.Duration(l.MinRefreshToken), MaxRefresh: time.Duration(l.MaxRefreshToken),
	}
}

func (l OwnLifetimes) domain() project.Lifetimes {
	return project.Lifetimes{
		Access: time.Duration(l.AccessToken), Refresh: time.Duration(l.RefreshToken), RefreshAbsolute: time.Duration(l.RefreshAbsolute),
	}
}

// lifetimesOver puts lifetimes over those of a preset, if one is named.
func lifetimesOver(own project.Lifetimes, preset string) (project.Lifetimes, error) {
	if preset == "" {
		return own, nil
	}
	base, err := project.Preset(preset)
	return own.Over(base), err
}

func (p *Project) domain(limits project.Limits) (project.Project, error) {
	lifetimes, err := lifetimesOver(p.Lifetimes.domain(), p.Preset)
	if err == nil {
		err = lifetimes.Check(limits)
	}
	declared := project.Project{
		Slug: p.Slug, Name: p.Name, Audiences: p.Audiences, Lifetimes: lifetimes,
		RefreshWindow: time.Duration(p.RefreshWindow), RefreshCheck: time.Duration(p.RefreshCheck),
		RevocationOptions: p.revocation(),
	}
	if err == nil {
		declared.TokenOptions, err = tokenOptions(p.AccessTokenFormat, p.RefreshRotation, p.RefreshReuseInterval)
	}
	if err == nil {
		err = declared.Check()
	}
	if err != nil {
		return project.Project{}, fmt.Errorf("project %q: %w", p.Slug, oneLine(err))
	}
	return declared, nil
}

func (c *Client) domain(limits project.Limits, secret string) (project.Client, error) {
	lifetimes, err := lifetimesOver(c.Lifetimes.domain(), c.Preset)
	if err == nil {
		err = lifetimes.Check(limits)
	}
	declared := project.Client{
		ID: c.ID, Project: c.project(), Name: c.Name, Audience: c.Audience, Scopes: c.Scopes, Claims: c.Claims, Lifetimes: lifetimes,
	}
	if err == nil {
		declared.TokenOptions, err = tokenOptions(c.AccessTokenFormat, c.RefreshRotation, c.RefreshReuseInterval)
	}
	switch {
	case err != nil:
	case c.ID == firstPartyClient:
		err = fmt.Errorf("the name belongs to the server's own login routes")
	case secret != "" && len(secret) < 32:
		err = fmt.Errorf("secret: %d bytes are below the limit of 32", len(secret))
	default:
		err = errors.Join(declared.Check(), identity.CheckClaims(c.Claims))
	}
	if err != nil {
		return project.Client{}, fmt.Errorf("client %q: %w", c.ID, oneLine(err))
	}
	if secret != "" {
		declared.SecretHash = project.HashSecret(secret)
	}
	return declared, nil
}

// oneLine puts several errors that were joined onto one line.
func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

func (c *Client) project() string {
	if c.Project == "" {
		return defaultProject
	}
	return c.Project
}

// serverLifetimes are the server's own settings, over its preset.
func (s *Settings) serverLifetimes() (project.Lifetimes, error) {
	l, limits := s.Lifetimes, s.Limits.domain()
	own := project.Lifetimes{
		Access: time.Duration(l.AccessToken), Refresh: time.Duration(l.RefreshToken), RefreshAbsolute: time.Duration(l.RefreshAbsolute),
	}
	lifetimes, err := lifetimesOver(own, s.Preset)
	if err != nil {
		return project.Lifetimes{}, err
	}
	_, absolute := limits.Refresh(cmp.Or(lifetimes.RefreshAbsolute, project.Defaults.RefreshAbsolute))
	effective := project.Lifetimes{Refresh: lifetimes.Refresh, RefreshAbsolute: absolute}
	if err = lifetimes.Check(limits); err == nil {
		err = effective.Check(limits)
	}
	if err != nil {
		return project.Lifetimes{}, fmt.Errorf("lifetimes: %w", err)
	}
	return lifetimes, nil
}

// checkTenancy refuses what can be refused without resolving placeholders.
func (s *Settings) checkTenancy() error {
	if err := s.checkLevels(); err != nil {
		return err
	}
	for i := range s.Projects {
		if err := s.checkProject(i); err != nil {
			return err
		}
	}
	for i := range s.Clients {
		if err := s.checkClient(i); err != nil {
			return err
		}
	}
	return nil
}

// checkLevels refuses limits and server lifetimes that contradict each other.
func (s *Settings) checkLevels() error {
	if err := s.Limits.domain().Check(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	_, err := s.serverLifetimes()
	return err
}

func (s *Settings) checkProject(i int) error {
	p := &s.Projects[i]
	if slices.ContainsFunc(s.Projects[:i], func(o Project) bool { return o.Slug == p.Slug }) {
		return fmt.Errorf("project %q: it is there twice", p.Slug)
	}
	_, err := p.domain(s.Limits.domain())
	return err
}

func (s *Settings) checkClient(i int) error {
	c := &s.Clients[i]
	if slices.ContainsFunc(s.Clients[:i], func(o Client) bool { return o.ID == c.ID }) {
		return fmt.Errorf("client %q: it is there twice", c.ID)
	}
	_, err := c.domain(s.Limits.domain(), "")
	return err
}

// checkProjects refuses users and clients of projects that are not declared, and audiences that the server does not have. It is asked
// once everything is parsed.
func (s *Settings) checkProjects() error {
	known := func(slug string) bool {
		return slug == defaultProject || slices.ContainsFunc(s.Projects, func(p Project) bool { return p.Slug == slug })
	}
	for i := range s.Users {
		if u := &s.Users[i]; !known(u.project()) {
			return fmt.Errorf("user %q: project %q is not declared; add `project %s` to the global option", u.Name, u.project(), u.project())
		}
	}
	for i := range s.Clients {
		if c := &s.Clients[i]; !known(c.project()) {
			return fmt.Errorf("client %q: project %q is not declared; add `project %s` to the global option", c.ID, c.project(), c.project())
		}
		if err := s.checkWords("audience", s.Clients[i].Audience); err != nil {
			return fmt.Errorf("client %q: %w", s.Clients[i].ID, err)
		}
	}
	for i := range s.Projects {
		if err := s.checkWords("audiences", s.Projects[i].Audiences); err != nil {
			return fmt.Errorf("project %q: %w", s.Projects[i].Slug, err)
		}
	}
	return nil
}

func (s *Settings) checkWords(setting string, words []string) error {
	for _, word := range words {
		if !slices.Contains(s.audiences(), word) {
			return fmt.Errorf("%s: %q is not among the server's audiences (%s)", setting, word, strings.Join(s.audiences(), " "))
		}
	}
	return nil
}
