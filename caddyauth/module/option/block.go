package option

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Block reads the options of a block and calls read for each. A duplicate option is refused unless
// it is repeatable: one of the two values would be lost silently.
func Block(d *caddyfile.Dispenser, read func() error, repeatable ...string) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		if seen[word] {
			return d.Errf("duplicate option %q", word)
		}
		seen[word] = !slices.Contains(repeatable, word)
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}
