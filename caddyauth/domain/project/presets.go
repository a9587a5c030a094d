package project

import (
	"fmt"
	"slices"
	"strings"
)

// preset is a named set of lifetimes.
type preset struct {
	name      string
	lifetimes Lifetimes
}

var presets = []preset{
	{"high_security", Lifetimes{Access: Defaults.Access / 3, Refresh: day / 3, RefreshAbsolute: day}},
	{"standard", Lifetimes{
		Access:          Defaults.Access,
		Refresh:         Defaults.Refresh,
		RefreshAbsolute: Defaults.RefreshAbsolute,
	}},
	{"convenient", Lifetimes{Access: Defaults.Access * 4, Refresh: 90 * day, RefreshAbsolute: year}},
	{"api_only", Lifetimes{Access: Defaults.Access, Refresh: None}},
	{"production", Lifetimes{Access: day, Refresh: 90 * day, RefreshAbsolute: year}},
	{Development, Lifetimes{Access: 30 * day, Refresh: 180 * day, RefreshAbsolute: year}},
}

// Development is the preset for a developer's own machine: no public server should have lifetimes
// as long.
const Development = "development"

// Presets returns the names of all presets.
func Presets() []string {
	names := make([]string, len(presets))
	for i, p := range presets {
		names[i] = p.name
	}
	return names
}

// Preset returns the lifetimes of a preset: high_security (5m, idle 8h, absolute 24h), standard
// (the defaults), convenient (1h, idle 90d, absolute 1y), api_only (15m, no refresh tokens),
// production (24h, idle 90d, absolute 1y) or development (30d, idle 180d, absolute 1y). What is set
// beside it goes over it: own.Over(preset).
func Preset(name string) (Lifetimes, error) {
	i := slices.IndexFunc(presets, func(p preset) bool { return p.name == name })
	if i < 0 {
		return Lifetimes{}, fmt.Errorf("preset: %q is unknown, want one of %s", name, strings.Join(Presets(), ", "))
	}
	return presets[i].lifetimes, nil
}
