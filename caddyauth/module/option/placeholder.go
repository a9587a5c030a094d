package option

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// HasPlaceholder reports whether a value is known only once the configuration is provisioned.
func HasPlaceholder(value string) bool { return strings.Contains(value, "{") }

// Resolver replaces placeholders when a configuration is provisioned and never before, so that
// adapted configurations hold no secret.
type Resolver struct{ replacer *caddy.Replacer }

// NewResolver returns a Resolver for the placeholders that are known outside requests.
func NewResolver() Resolver { return Resolver{caddy.NewReplacer()} }

// Text resolves the value of a setting. A placeholder that is unknown or empty is an error, which
// names the setting.
func (r Resolver) Text(setting, value string) (string, error) {
	out, err := r.replacer.ReplaceOrErr(value, true, true)
	if err != nil {
		return "", fmt.Errorf("%s: %w", setting, err)
	}
	return out, nil
}

// List resolves all values of a setting.
func (r Resolver) List(setting string, values []string) ([]string, error) {
	out := make([]string, len(values))
	for i, v := range values {
		var err error
		if out[i], err = r.Text(setting, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}
