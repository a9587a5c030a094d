package version

import (
	"runtime"
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"
)

// ownModule is the path of this Go module.
const ownModule = "github.com/caddyauth/gateway"

// Build says what a binary was built from. An unknown value is "unknown".
type Build struct {
	Version  string `json:"version"`  // of the module; (devel) from a checkout without a tag
	Revision string `json:"revision"` // of version control, with +dirty when files were changed
	Go       string `json:"go"`
	Caddy    string `json:"caddy"`
}

// Current returns what this binary was built from.
func Current() Build {
	info, _ := debug.ReadBuildInfo()
	return fromBuildInfo(info)
}

// fromBuildInfo reads the versions from the build information. xcaddy and `go install` build this
// module as a dependency, which has a version and no revision.
func fromBuildInfo(info *debug.BuildInfo) Build {
	caddyVersion, _ := caddy.Version()
	b := Build{
		Version:  "unknown",
		Revision: "unknown",
		Go:       runtime.Version(),
		Caddy:    caddyVersion,
	}
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
	return b.withRevision(info.Settings)
}

// withRevision adds the revision of a build from a checkout.
func (b Build) withRevision(settings []debug.BuildSetting) Build {
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
