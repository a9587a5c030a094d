package option

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// envPlaceholder is a placeholder for an environment variable.
var envPlaceholder = regexp.MustCompile(`\{env\.([^{}]+)\}`)

// unresolved are members of the configuration in which placeholders are no placeholders.
var unresolved = []string{"claims", "rules", "forward"}

// WithMissing adds to an error about an environment variable all others that the configuration
// names and that are not set, so that not each of them takes a run. configs are what is to be
// looked through: structs or JSON values.
func WithMissing(err error, configs ...any) error {
	if err == nil || !strings.Contains(err.Error(), "{env.") {
		return err
	}
	places := make(map[string]string)
	for _, config := range configs {
		text, failed := json.Marshal(config)
		var value any
		if failed != nil || json.Unmarshal(text, &value) != nil {
			return err
		}
		findMissing(value, "", places)
	}
	var more []string
	for _, name := range slices.Sorted(maps.Keys(places)) {
		if placeholder := "{env." + name + "}"; !strings.Contains(err.Error(), placeholder) {
			more = append(more, placeholder+" ("+places[name]+")")
		}
	}
	if len(more) == 0 {
		return err
	}
	return fmt.Errorf("%w; not set, too: %s", err, strings.Join(more, ", "))
}

// findMissing notes the environment variables that a JSON value names and that are empty, each with
// the member that names it first.
func findMissing(value any, member string, places map[string]string) {
	switch v := value.(type) {
	case string:
		for _, match := range envPlaceholder.FindAllStringSubmatch(v, -1) {
			if _, noted := places[match[1]]; !noted && os.Getenv(match[1]) == "" {
				places[match[1]] = member
			}
		}
	case []any:
		for _, e := range v {
			findMissing(e, member, places)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if !slices.Contains(unresolved, name) {
				findMissing(v[name], name, places)
			}
		}
	}
}
