package authorization

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// maxClaims is the longest parameter `claims`, in bytes, and the most names in it.
const (
	maxClaims     = 4 << 10
	maxClaimNames = 100
)

// ClaimsRequest is the parameter `claims` (OpenID Connect Core, section 5.5): single claims that a
// client asks for beside those of its scopes.
type ClaimsRequest struct {
	// UserInfo are those of the answer of /userinfo, IDToken those of the ID token, each by its name.
	UserInfo, IDToken map[string]ClaimRequest
}

// ClaimRequest is how one claim is asked for. The zero value asks for it as a voluntary claim.
type ClaimRequest struct {
	// Essential says that the client needs it.
	Essential bool

	// Values are the ones that would do, the preferred first. Default: any.
	Values []any
}

// errClaims says what `claims` must be.
var errClaims = errors.New("it is not a JSON object of `userinfo` and `id_token`, each with claims, and each once")

// ParseClaims reads the parameter `claims`. An empty text asks for nothing. Members that are not
// understood are ignored (section 5.5); a duplicate one, at any depth, is refused, because readers
// disagree on which one counts.
func ParseClaims(text string) (ClaimsRequest, error) {
	if text == "" {
		return ClaimsRequest{}, nil
	}
	if len(text) > maxClaims {
		return ClaimsRequest{}, fmt.Errorf("it has %d bytes, more than %d", len(text), maxClaims)
	}
	var members map[string]json.RawMessage
	if !jsontext.Value(text).IsValid() || decode([]byte(text), &members) != nil || members == nil {
		return ClaimsRequest{}, errClaims
	}
	var r ClaimsRequest
	var err error
	if r.UserInfo, err = parseClaimRequests(members["userinfo"]); err != nil {
		return ClaimsRequest{}, err
	}
	if r.IDToken, err = parseClaimRequests(members["id_token"]); err != nil {
		return ClaimsRequest{}, err
	}
	return r, nil
}

// parseClaimRequests reads one member of `claims`; null and a missing one ask for nothing.
func parseClaimRequests(text json.RawMessage) (map[string]ClaimRequest, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	var members map[string]json.RawMessage
	if decode(text, &members) != nil || members == nil {
		return nil, errClaims
	}
	if len(members) > maxClaimNames {
		return nil, fmt.Errorf("it names more than %d claims", maxClaimNames)
	}
	requests := make(map[string]ClaimRequest, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		r, err := parseClaimRequest(members[name])
		if err != nil {
			return nil, err
		}
		requests[name] = r
	}
	return requests, nil
}

// parseClaimRequest reads how one claim is asked for: null, or an object of section 5.5.1. A member in
// another spelling is one that is not understood; a struct would take it.
func parseClaimRequest(text json.RawMessage) (r ClaimRequest, err error) {
	if string(text) == "null" {
		return r, nil
	}
	var members map[string]json.RawMessage
	if decode(text, &members) != nil {
		return r, errClaims
	}
	var value any
	for _, member := range []struct {
		name string
		into any
	}{{"essential", &r.Essential}, {"values", &r.Values}, {"value", &value}} {
		if text, ok := members[member.name]; ok && decode(text, member.into) != nil {
			return ClaimRequest{}, errClaims
		}
	}
	if value != nil {
		r.Values = append([]any{value}, r.Values...)
	}
	return r, nil
}

// decode reads one JSON value and nothing behind it; numbers keep their digits.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errClaims
	}
	return nil
}

// AcceptsSubject reports whether the client takes an answer about a person. A value that it names for
// `sub` is the person that it expects, who alone may be told of (OpenID Connect Core, section 3.1.2.2).
func (r ClaimsRequest) AcceptsSubject(subject string) bool {
	return r.IDToken["sub"].accepts(subject) && r.UserInfo["sub"].accepts(subject)
}

// AcceptsACR reports whether the sign-in is of a class that the client takes: if it demands one, the
// request must fail without it (section 5.5.1.1).
func (r ClaimsRequest) AcceptsACR(acr string) bool {
	return !r.IDToken["acr"].Essential || r.IDToken["acr"].accepts(acr)
}

// accepts reports whether a text is among the values that would do. A value that is no text is met by
// none.
func (r ClaimRequest) accepts(text string) bool {
	return len(r.Values) == 0 || slices.Contains(r.Values, any(text))
}
