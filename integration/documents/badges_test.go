package documents

import (
	"regexp"
	"strings"
	"testing"
)

// TestBadgesAreTrue compares the badges of README.md with the files that they stand for.
func TestBadgesAreTrue(t *testing.T) {
	readme, module := Read(t, "README.md"), Read(t, "go.mod")
	for _, badge := range []struct {
		name   string
		shown  *regexp.Regexp
		actual *regexp.Regexp
	}{
		{
			name:   "Go",
			shown:  regexp.MustCompile(`badge/Go-(\d+\.\d+)-`),
			actual: regexp.MustCompile(`(?m)^go (\d+\.\d+)\.`),
		},
		{
			name:   "Caddy",
			shown:  regexp.MustCompile(`badge/Caddy-(\d+\.\d+)-`),
			actual: regexp.MustCompile(`github\.com/caddyserver/caddy/v2 v(\d+\.\d+)\.`),
		},
	} {
		t.Run(badge.name, func(t *testing.T) {
			shown, actual := badge.shown.FindStringSubmatch(readme), badge.actual.FindStringSubmatch(module)
			if shown == nil || actual == nil || shown[1] != actual[1] {
				t.Errorf("README.md shows %q, go.mod says %q", shown, actual)
			}
		})
	}
	if !strings.Contains(readme, "badge/License-Apache--2.0-") ||
		!strings.Contains(Read(t, "LICENSE"), "Apache License") {
		t.Error("the license of README.md is not that of LICENSE")
	}
	if workflow := Read(t, ".github/workflows/ci.yml"); !strings.Contains(workflow, "run: .ci/run") {
		t.Error("the workflow of the badge does not run .ci/run")
	}
}
