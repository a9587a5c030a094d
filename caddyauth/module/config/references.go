package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// validateReferences refuses users and clients of projects that are not declared, and audiences
// that the server does not have. It is applied once everything is parsed.
func (s *Settings) validateReferences() error {
	known := func(slug string) bool {
		return slug == project.Default ||
			slices.ContainsFunc(s.Projects, func(p Project) bool { return p.Slug == slug })
	}
	for i := range s.Users {
		if u := &s.Users[i]; !known(u.project()) {
			return undeclared("user", u.Name, u.project())
		}
	}
	for i := range s.Clients {
		if c := &s.Clients[i]; !known(c.project()) {
			return undeclared("client", c.ID, c.project())
		}
		if err := s.validateWords("audience", s.Clients[i].Audience); err != nil {
			return fmt.Errorf("client %q: %w", s.Clients[i].ID, err)
		}
	}
	for i := range s.Projects {
		if err := s.validateWords("audiences", s.Projects[i].Audiences); err != nil {
			return fmt.Errorf("project %q: %w", s.Projects[i].Slug, err)
		}
	}
	if r := s.Registration; r != nil {
		if err := s.validateWords("audience", r.Audience); err != nil {
			return fmt.Errorf("registration: %w", err)
		}
	}
	if m := s.ClientMetadata; m != nil {
		if err := s.validateWords("audience", m.Audience); err != nil {
			return fmt.Errorf("client_metadata: %w", err)
		}
	}
	return nil
}

func undeclared(kind, name, slug string) error {
	return fmt.Errorf("%s %q: project %q is not declared; add `project %s` to the global option",
		kind, name, slug, slug)
}

func (s *Settings) validateWords(setting string, words []string) error {
	for _, word := range words {
		if !slices.Contains(s.audiences(), word) {
			return fmt.Errorf("%s: %q is not among the server's audiences (%s)",
				setting, word, strings.Join(s.audiences(), " "))
		}
	}
	return nil
}

// oneLine puts several errors that were joined onto one line.
func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// resolveTenants sets the lifetimes and options of the server, and the declared projects and
// clients.
func (s *Settings) resolveTenants(r option.Resolver, v *Server) (err error) {
	if err = s.validateReferences(); err != nil {
		return err
	}
	if v.Lifetimes, err = s.serverLifetimes(); err != nil {
		return err
	}
	if v.TokenOptions, err = s.tokenOptions(); err != nil {
		return err
	}

	for i := range s.Projects {
		declared, err := s.Projects[i].domain(v.Limits)
		if err != nil {
			return err
		}
		v.Projects = append(v.Projects, declared)
	}
	for i := range s.Clients {
		declared, err := s.Clients[i].resolve(r, v.Limits)
		if err == nil {
			err = validateOwnIssuer(declared, v.Issuer)
		}
		if err != nil {
			return err
		}
		v.Clients = append(v.Clients, declared)
	}
	return nil
}
