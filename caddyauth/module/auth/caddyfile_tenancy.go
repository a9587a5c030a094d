package auth

import (
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

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
	if err := oneArg(d, &p.Slug); err != nil {
		return err
	}
	if err := at(d, s.checkProject(len(s.Projects)-1)); err != nil {
		return err
	}
	return block(d, func() error {
		if err := p.unmarshalOption(d); err != nil {
			return err
		}
		return at(d, s.checkProject(len(s.Projects)-1)) // line by line, so that the error names the line
	})
}

func (p *Project) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch word := d.Val(); word {
	case "name":
		return oneArg(d, &p.Name)
	case "audiences":
		return someArgs(d, &p.Audiences)
	case "preset":
		return oneArg(d, &p.Preset)
	case "lifetimes":
		return p.Lifetimes.unmarshal(d)
	case "refresh_window", "refresh_check":
		return unmarshalDuration(d, p.durations())
	case "access_token_format":
		return oneArg(d, &p.AccessTokenFormat)
	case "refresh_rotation":
		return oneArg(d, &p.RefreshRotation)
	case "refresh_reuse_interval":
		return unmarshalReuse(d, &p.RefreshReuseInterval)
	case "revoke_refresh_on_password_change":
		p.KeepRefreshOnPasswordChange, err = optionalFlag(d, onOff, true)
		return err
	case "revoke_all_on_logout":
		p.RevokeAllOnLogout, err = optionalFlag(d, flagOrOff, false)
		return err
	default:
		return d.Errf("project: unrecognized option %q", word)
	}
}

func (p *Project) durations() []durationSetting {
	return []durationSetting{
		{"refresh_window", &p.RefreshWindow, 0, time.Second, 24 * time.Hour},
		{"refresh_check", &p.RefreshCheck, 0, time.Second, 24 * time.Hour},
	}
}

// unmarshal parses:
//
//	lifetimes {
//		access_token     <duration>
//		refresh_token    <duration>
//		refresh_absolute <duration>
//	}
func (l *OwnLifetimes) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return block(d, func() error { return unmarshalDuration(d, l.durations()) })
}

// durations hold the widest limits; those of the configuration are asked when the level is whole.
func (l *OwnLifetimes) durations() []durationSetting {
	return []durationSetting{
		{"access_token", &l.AccessToken, 0, minLifetime, maxLifetime},
		{"refresh_token", &l.RefreshToken, 0, minLifetime, 10 * maxLifetime},
		{"refresh_absolute", &l.RefreshAbsolute, 0, minLifetime, 10 * maxLifetime},
	}
}

// unmarshalClient parses:
//
//	client <id> {
//		project                <slug>
//		name                   <text>
//		secret                 <text>
//		access_token_format    jwt|opaque
//		refresh_rotation       on|off
//		refresh_reuse_interval <duration>
//		audience               <words...>
//		scopes                 <words...>
//		claim                  <name> <values...>
//		preset                 <name>
//		lifetimes              {...}
//	}
func (s *Settings) unmarshalClient(d *caddyfile.Dispenser) error {
	s.Clients = append(s.Clients, Client{})
	c := &s.Clients[len(s.Clients)-1]
	if err := oneArg(d, &c.ID); err != nil {
		return err
	}
	if err := at(d, s.checkClient(len(s.Clients)-1)); err != nil {
		return err
	}
	return block(d, func() error {
		if err := c.unmarshalOption(d); err != nil {
			return err
		}
		return at(d, s.checkClient(len(s.Clients)-1))
	}, "claim")
}

func (c *Client) unmarshalOption(d *caddyfile.Dispenser) error {
	texts := map[string]*string{
		"project": &c.Project, "name": &c.Name, "access_token_format": &c.AccessTokenFormat, "refresh_rotation": &c.RefreshRotation, "preset": &c.Preset,
	}
	lists := map[string]*[]string{"audience": &c.Audience, "scopes": &c.Scopes}
	word := d.Val()
	switch {
	case texts[word] != nil:
		return oneArg(d, texts[word])
	case lists[word] != nil:
		return someArgs(d, lists[word])
	}
	switch word {
	case "secret":
		return oneSecret(d, &c.Secret)
	case "lifetimes":
		return c.Lifetimes.unmarshal(d)
	case "claim":
		return unmarshalClaim(d, &c.Claims)
	case "refresh_reuse_interval":
		return unmarshalReuse(d, &c.RefreshReuseInterval)
	}
	return d.Errf("client: unrecognized option %q", word)
}

// unmarshalLimits parses:
//
//	limits {
//		access_token  <shortest> <longest>
//		refresh_token <shortest> <longest>
//	}
func (s *Settings) unmarshalLimits(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return block(d, func() error {
		var err error
		switch word := d.Val(); word {
		case "access_token":
			err = twoDurations(d, &s.Limits.MinAccessToken, &s.Limits.MaxAccessToken)
		case "refresh_token":
			err = twoDurations(d, &s.Limits.MinRefreshToken, &s.Limits.MaxRefreshToken)
		default:
			err = d.Errf("limits: unrecognized option %q", word)
		}
		if err != nil {
			return err
		}
		return at(d, s.checkTenancy())
	})
}

func twoDurations(d *caddyfile.Dispenser, least, utmost *Duration) error {
	word := d.Val()
	texts := d.RemainingArgs()
	if len(texts) != 2 {
		return d.Errf("limits: %s: it takes two durations, the shortest and the longest, not %d", word, len(texts))
	}
	for i, into := range []*Duration{least, utmost} {
		value, err := parseDuration(d, "limits: "+word, texts[i], "15m or 30d")
		if err != nil {
			return err
		}
		if value == 0 {
			return d.Errf("limits: %s: %q is below the limit of %s", word, texts[i], spell(minLifetime))
		}
		*into = Duration(value)
	}
	return nil
}
