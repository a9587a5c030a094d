package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/module/option"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// resolveReturnTo sets the origins and the page to which a sign-in may lead.
func (s *Settings) resolveReturnTo(r option.Resolver, v *Server) error {
	values, err := r.List("return_to", s.ReturnTo)
	if err != nil {
		return err
	}
	if base := v.PublicURL; base != nil {
		own, err := weburl.CanonicalOrigin(base.Scheme + "://" + base.Host)
		if err != nil {
			return fmt.Errorf("public_url: %q: %w", base, err)
		}
		v.ReturnTo = append(v.ReturnTo, own)
	}
	for _, value := range values {
		origin, err := ParseOrigin("return_to", value)
		if err != nil {
			return err
		}
		if !slices.Contains(v.ReturnTo, origin) {
			v.ReturnTo = append(v.ReturnTo, origin)
		}
	}
	v.Home, err = r.Text("home", s.Home)
	return err
}

func (s *Settings) unmarshalHome(d *caddyfile.Dispenser) error {
	if err := option.One(d, &s.Home); err != nil {
		return err
	}
	return option.At(d, s.validateHome())
}

// validateHome refuses what cannot be the address of a page. It resolves no placeholder.
func (s *Settings) validateHome() error {
	isPath := strings.HasPrefix(s.Home, "/") && !strings.HasPrefix(s.Home, "//")
	if s.Home == "" || option.HasPlaceholder(s.Home) || isPath {
		return nil
	}
	u, err := url.Parse(s.Home)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return fmt.Errorf("home: %q is neither an http or https URL nor a path that begins with one slash", s.Home)
	}
	return nil
}

func (s *Settings) unmarshalReturnTo(d *caddyfile.Dispenser) error {
	var values []string
	if err := option.Some(d, &values); err != nil {
		return err
	}
	for _, v := range values {
		if option.HasPlaceholder(v) {
			continue
		}
		if _, err := ParseOrigin("return_to", v); err != nil {
			return option.At(d, err)
		}
	}
	s.ReturnTo = append(s.ReturnTo, values...)
	return nil
}
