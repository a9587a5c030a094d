package auth

import (
	"runtime"
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"
)

// ownModule is the module of this package.
const ownModule = "github.com/caddyauth/gateway"

// build says what a binary was made of. What is not known is "unknown".
type build struct {
	Version  string `json:"version"`  // of the module; (devel) from a checkout without a tag
	Revision string `json:"revision"` // of version control, with +dirty when files were changed
	Go       string `json:"go"`
	Caddy    string `json:"caddy"`
}

// buildOf reads what the linker left. xcaddy and `go install` build this module as a dependency, which has a version and no revision.
func buildOf(info *debug.BuildInfo) build {
	caddyVersion, _ := caddy.Version()
	b := build{Version: "unknown", Revision: "unknown", Go: runtime.Version(), Caddy: caddyVersion}
	if info == nil {
		return b
	}
	for _, dep := range info.Deps {
		if dep.Path == ownModule {
			b.Version = dep.Version
			if dep.Replace != nil && dep.Replace.Version != "" {
				b.Version = dep.Replace.Version
			}
		}
	}
	if info.Main.Path != ownModule {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	return b.at(info.Settings)
}

// at adds the revision of a build from a checkout.
func (b build) at(settings []debug.BuildSetting) build {
	changed := false
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if changed && b.Revision != "unknown" {
		b.Revision += "+dirty"
	}
	return b
}

// thisBuild is what this binary was made of.
func thisBuild() build {
	info, _ := debug.ReadBuildInfo()
	return buildOf(info)
}
