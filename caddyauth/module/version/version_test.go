package version

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestBuildIsReadFromWhatTheLinkerLeft(t *testing.T) {
	caddyVersion, _ := caddy.Version()
	other := debug.Module{Path: "example.com/other", Version: "v9.9.9"}
	for _, c := range []struct {
		name              string
		info              *debug.BuildInfo
		version, revision string
	}{
		{"nothing", nil, "unknown", "unknown"},
		{"a checkout", &debug.BuildInfo{
			Main: debug.Module{Path: ownModule, Version: "(devel)"}, Deps: []*debug.Module{&other},
			Settings: []debug.BuildSetting{
				{Key: "vcs.revision", Value: "abc123"}, {Key: "vcs.modified", Value: "false"},
			},
		}, "(devel)", "abc123"},
		{"a changed checkout", &debug.BuildInfo{
			Main: debug.Module{Path: ownModule, Version: "v1.2.3+dirty"},
			Settings: []debug.BuildSetting{
				{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "abc123"},
			},
		}, "v1.2.3+dirty", "abc123+dirty"},
		{"xcaddy", &debug.BuildInfo{
			Main:     debug.Module{Path: "caddy", Version: "(devel)"},
			Deps:     []*debug.Module{&other, {Path: ownModule, Version: "v1.2.3"}},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "of another repository"}},
		}, "v1.2.3", "unknown"},
		{"xcaddy with a replacement", &debug.BuildInfo{
			Main: debug.Module{Path: "caddy"},
			Deps: []*debug.Module{
				{
					Path:    ownModule,
					Version: "v1.2.3",
					Replace: &debug.Module{Path: "example.com/fork", Version: "v1.2.4"},
				},
			},
		}, "v1.2.4", "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := Build{Version: c.version, Revision: c.revision, Go: runtime.Version(), Caddy: caddyVersion}
			if got := fromBuildInfo(c.info); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}
