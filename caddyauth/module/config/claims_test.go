package config

import (
	"encoding/json"
	"testing"
)

// TestDeclaredClaimsKeepTheirDigits: a number beyond 2^53 would be another one as a float64.
func TestDeclaredClaimsKeepTheirDigits(t *testing.T) {
	const text = `{"name":"x","claims":{"level":12345678901234567890,"list":[{"n":9007199254740993}]}}`
	for name, into := range map[string]any{"user": new(User), "client": new(Client)} {
		t.Run(name, func(t *testing.T) {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatal(err)
			}
			var claims Claims
			switch owner := into.(type) {
			case *User:
				claims = owner.Claims
			case *Client:
				claims = owner.Claims
			}
			got, err := json.Marshal(claims)
			want := `{"level":12345678901234567890,"list":[{"n":9007199254740993}]}`
			if err != nil || string(got) != want {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}
