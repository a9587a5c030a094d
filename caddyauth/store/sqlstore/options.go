package sqlstore

import (
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// tokenRow are the columns of project.TokenOptions as they are read.
type tokenRow struct {
	format       string
	fixed, reuse int64
}

func (r tokenRow) options() project.TokenOptions {
	reuse := time.Duration(r.reuse) * time.Millisecond
	if reuse < 0 {
		reuse = project.None
	}
	return project.TokenOptions{
		AccessTokenFormat:    r.format,
		RefreshRotation:      opposite(switchIn(r.fixed)),
		RefreshReuseInterval: reuse,
	}
}

// tokenOptionColumns are access_token_format, fixed_refresh and reuse_interval.
func tokenOptionColumns(o project.TokenOptions) (format string, fixed, reuse int64) {
	reuse = o.RefreshReuseInterval.Milliseconds()
	if o.RefreshReuseInterval < 0 {
		reuse = -1 // project.None is less than a millisecond
	}
	return o.AccessTokenFormat, switchColumn(opposite(o.RefreshRotation)), reuse
}

// switchIn reads the column of a project.Switch. The columns of options whose default is on hold
// the opposite, so that 1 is what earlier releases wrote for an option that was set.
func switchIn(column int64) project.Switch {
	switch column {
	case 0:
		return project.Inherit
	case 1:
		return project.On
	default:
		return project.Off
	}
}

func switchColumn(s project.Switch) int64 {
	switch s {
	case project.On:
		return 1
	case project.Off:
		return 2
	default:
		return 0
	}
}

func opposite(s project.Switch) project.Switch {
	switch s {
	case project.On:
		return project.Off
	case project.Off:
		return project.On
	default:
		return project.Inherit
	}
}
