package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
)

// exactNumber is as far as whole numbers keep their digits: Caddy reads a configuration into float64.
const exactNumber = 1 << 53

// validateClaims refuses declared claims that nobody may have, and numbers that would become others.
func validateClaims(claims map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if n, lost := inexact(claims[name]); lost {
			return fmt.Errorf("claims: %q: the number %v is not below %d and may lose digits; write it as text, "+
				"or set it through the API", name, n, exactNumber)
		}
	}
	return identity.ValidateClaims(claims)
}

// inexact finds a number that loses digits when it is read into float64.
func inexact(value any) (number any, lost bool) {
	switch v := value.(type) {
	case json.Number:
		f, err := v.Float64()
		return v, err != nil || f >= exactNumber || f <= -exactNumber
	case float64:
		return v, v >= exactNumber || v <= -exactNumber
	case []any:
		for _, element := range v {
			if number, lost = inexact(element); lost {
				return number, true
			}
		}
	case map[string]any:
		for _, element := range v {
			if number, lost = inexact(element); lost {
				return number, true
			}
		}
	}
	return nil, false
}
