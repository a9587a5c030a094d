package authorization

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Parameters are those of a request as they arrived, each with all of its values. One without a value
// counts as absent (RFC 6749, section 3.1).
type Parameters url.Values

// values are those of one parameter that are not empty.
func (p Parameters) values(name string) []string {
	var values []string
	for _, v := range p[name] {
		if v != "" {
			values = append(values, v)
		}
	}
	return values
}

// Get returns the value of a parameter; "" when it is absent or repeated.
func (p Parameters) Get(name string) string {
	if values := p.values(name); len(values) == 1 && len(p[name]) == 1 {
		return values[0]
	}
	return ""
}

// repeated returns the name of a parameter that must not be repeated and is; "" when there is none.
// RFC 8707, section 2, allows it for `resource` alone.
func (p Parameters) repeated() string {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if len(p[name]) > 1 && name != "resource" {
			return name
		}
	}
	return ""
}

// damaged returns the name of a parameter with a value that no text should have: a control character,
// or bytes that are not UTF-8.
func (p Parameters) damaged() string {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		for _, value := range p[name] {
			if isDamaged(value) {
				return name
			}
		}
	}
	return ""
}

func isDamaged(value string) bool {
	return !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl)
}

// words are the words of a list that is separated by spaces, each once.
func words(text string) []string {
	var list []string
	for word := range strings.SplitSeq(text, " ") {
		if word != "" && !slices.Contains(list, word) {
			list = append(list, word)
		}
	}
	return list
}

// responseMode is how the client wants to be answered. Of a request object, which is refused, the
// mode is read nevertheless: the refusal goes where the client listens.
func (p Parameters) responseMode() string {
	if mode := p.Get("response_mode"); mode != "" {
		return mode
	}
	return requestedMode(p.Get("request"))
}

// requestedMode reads `response_mode` out of an unverified request object; "" when it has none.
func requestedMode(object string) string {
	parts := strings.Split(object, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims map[string]any // a struct would take other spellings
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	mode, _ := claims["response_mode"].(string)
	return mode
}
