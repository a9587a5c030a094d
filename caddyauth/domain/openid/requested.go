package openid

import (
	"encoding/json"
	"maps"
	"slices"
)

// The members of the parameter `claims` (OpenID Connect Core, section 5.5).
const (
	InUserInfo = "userinfo"
	InIDToken  = "id_token"
)

// Requested returns the names of the claims that the parameter `claims` asks for in one of its
// members, in order. The parameter is as it was accepted; any other text asks for nothing.
func Requested(claims, member string) []string {
	var members map[string]json.RawMessage
	if claims == "" || json.Unmarshal([]byte(claims), &members) != nil {
		return nil
	}
	var requests map[string]json.RawMessage
	if json.Unmarshal(members[member], &requests) != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(requests))
}
