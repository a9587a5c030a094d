package config

import (
	"bytes"
	"encoding/json"
)

// Claims are claims of a user or client by their names. Numbers keep the digits that they have in the
// configuration that arrives here. Caddy itself reads what it loads into float64 before that, so a
// running gateway has at most 53 bits of a declared number; the API has all of them.
type Claims map[string]any

// UnmarshalJSON implements json.Unmarshaler. As a float64, a number beyond 2^53 would be another one.
func (c *Claims) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var claims map[string]any
	if err := decoder.Decode(&claims); err != nil {
		return err
	}
	*c = claims
	return nil
}
