package jwtauth

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// checkApps refuses applications of a gate that no signed-in browser passes.
func (j *JWTAuth) checkApps() error {
	switch {
	case len(j.Apps) == 0:
		return nil
	case j.Mode == option.Off:
		return errors.New("app: `jwt_auth off` lets everybody pass and names no application")
	case !slices.Contains(j.Audiences, "web"):
		return fmt.Errorf("app %q: browsers that have signed in pass gates with the audience web alone", j.Apps[0].Name)
	}
	return nil
}

// nameApps adds the applications that the gate names to the start page of the server.
func (j *JWTAuth) nameApps(r option.Resolver) error {
	for _, app := range j.Apps {
		for _, text := range []*string{&app.Name, &app.URL, &app.Icon} {
			resolved, err := r.Text("app", *text)
			if err != nil {
				return err
			}
			*text = resolved
		}
		named, err := config.ParseApplication(app.Name, app.URL, app.Icon)
		if err != nil {
			return err
		}
		if err := j.gates.Launcher.Add(named, j); err != nil {
			return err
		}
	}
	return nil
}
