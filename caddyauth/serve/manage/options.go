package manage

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// Levels at which an option can be set, as the API names them.
const (
	fromClient  = "client"
	fromProject = "project"
	fromServer  = "server"
	fromDefault = "default"
)

// tokenOptionsBody are the token options in force. The reuse interval is in seconds; null where no
// level sets one, which is 10, and 0 for sign-ins by the login API.
type tokenOptionsBody struct {
	AccessTokenFormat string `json:"access_token_format"`
	RefreshRotation   bool   `json:"refresh_rotation"`
	ReuseInterval     *int64 `json:"refresh_reuse_interval"`
}

// tokenSources says at which level each token option in force is set.
type tokenSources struct {
	AccessTokenFormat string `json:"access_token_format"`
	RefreshRotation   string `json:"refresh_rotation"`
	ReuseInterval     string `json:"refresh_reuse_interval"`
}

// projectSources says it of a project's options.
type projectSources struct {
	tokenSources
	RevokeRefreshOnPasswordChange string `json:"revoke_refresh_on_password_change"`
	RevokeAllOnLogout             string `json:"revoke_all_on_logout"`
}

// levelOf returns the first level that sets an option. The values are the client's, the project's
// and the server's.
func levelOf[T comparable](client, project, server T) string {
	var unset T
	switch {
	case client != unset:
		return fromClient
	case project != unset:
		return fromProject
	case server != unset:
		return fromServer
	}
	return fromDefault
}

func showTokenOptions(o project.TokenOptions) tokenOptionsBody {
	body := tokenOptionsBody{
		AccessTokenFormat: cmp.Or(o.AccessTokenFormat, project.JWT),
		RefreshRotation:   o.RefreshRotation.Or(true),
	}
	if o.RefreshReuseInterval != 0 {
		reuse := int64(o.Reuse(0) / time.Second)
		body.ReuseInterval = &reuse
	}
	return body
}

func tokenSourcesOf(client, project, server project.TokenOptions) tokenSources {
	return tokenSources{
		AccessTokenFormat: levelOf(client.AccessTokenFormat, project.AccessTokenFormat, server.AccessTokenFormat),
		RefreshRotation:   levelOf(client.RefreshRotation, project.RefreshRotation, server.RefreshRotation),
		ReuseInterval: levelOf(client.RefreshReuseInterval, project.RefreshReuseInterval,
			server.RefreshReuseInterval),
	}
}

// editTokenOptions takes over what a body says about tokens; null inherits again.
func (o *object) editTokenOptions(into *project.TokenOptions) {
	if !o.null("access_token_format") {
		o.text("access_token_format", &into.AccessTokenFormat)
	} else {
		into.AccessTokenFormat = ""
	}
	o.optionalFlag("refresh_rotation", &into.RefreshRotation)
	const reuse = "refresh_reuse_interval"
	o.seconds(reuse, &into.RefreshReuseInterval, 0, project.MaxReuseInterval)
	if _, there := o.members[reuse]; there && into.RefreshReuseInterval == 0 && !o.null(reuse) {
		into.RefreshReuseInterval = project.None
	}
}

// null reports whether a member is there and null.
func (o *object) null(name string) bool {
	raw, there := o.take(name)
	return there && string(raw) == "null"
}

// optionalFlag takes true or false, or null to inherit.
func (o *object) optionalFlag(name string, into *project.Switch) {
	raw, there := o.take(name)
	switch {
	case !there:
	case string(raw) == "null":
		*into = project.Inherit
	default:
		var on bool
		if json.Unmarshal(raw, &on) != nil {
			o.fail(invalid("%s: it must be true, false or null", name))
			return
		}
		*into = project.SwitchOf(on)
	}
}
