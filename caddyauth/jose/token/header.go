package token

import (
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// maxKeyID is the length in bytes of the longest `kid` that is looked up.
const maxKeyID = 256

var algorithms = keyring.Algorithms()

// header is what a protected header says that matters here. `jku`, `jwk`, `x5u`, `x5c` and whatever
// else it holds is ignored: a token does not bring its own key.
type header struct {
	alg, kid string
	typ      string // empty when absent
}

// headerNames are the names that no other name may equal but for case.
var headerNames = map[string]bool{
	"alg": true, "kid": true, "typ": true, "cty": true, "crit": true, "b64": true, "enc": true, "zip": true,
	"jku": true, "jwk": true, "x5u": true, "x5c": true, "x5t": true,
}

func (s *scratch) header(text []byte) (header, error) {
	if err := s.scan(text, maxHeaderDepth, none); err != nil {
		return header{}, refuse(Malformed, "header: "+err.Error())
	}
	if err := checkFolding(s.members, func(name string) bool { return headerNames[name] }); err != nil {
		return header{}, refuse(Malformed, "header: "+err.Error())
	}
	var h header
	for i := range s.members {
		if err := h.take(&s.members[i]); err != nil {
			return header{}, err
		}
	}
	return h, h.check()
}

func (h *header) take(m *member) (err error) {
	switch string(m.name) {
	case "alg":
		h.alg, err = takeHeader(m)
		if err == nil && !slices.Contains(algorithms, h.alg) {
			return refuse(BadAlgorithm, "alg is not supported")
		}
	case "typ":
		h.typ, err = takeHeader(m)
	case "kid":
		h.kid, err = takeHeader(m)
	case "cty":
		return checkContent(m)
	case "crit", "b64", "enc", "zip":
		// RFC 7515 section 4.1.11, RFC 7797, RFC 7516: extensions that must be understood, and
		// encryption.
		return refuse(Malformed, "header "+string(m.name)+" is not supported")
	}
	return err
}

func (h *header) check() error {
	switch {
	case h.alg == "":
		return refuse(Malformed, "header alg is missing")
	case len(h.kid) > maxKeyID:
		return refuse(UnknownKey, "kid is longer than 256 bytes")
	}
	return nil
}

func takeHeader(m *member) (string, error) {
	if m.kind != '"' {
		return "", refuse(Malformed, "header "+string(m.name)+" is not a string")
	}
	return string(unquote(m.value)), nil
}

// checkContent refuses nested tokens (RFC 7519, section 5.2).
func checkContent(m *member) error {
	cty, err := takeHeader(m)
	if err != nil {
		return err
	}
	if t := mediaType(cty); t == "jwt" || strings.HasSuffix(t, "+jwt") {
		return refuse(Malformed, "nested tokens are not supported")
	}
	return nil
}

// mediaType makes a `typ` or `cty` comparable: case does not matter, and neither does a leading
// `application/` (RFC 7515, section 4.1.9).
func mediaType(s string) string {
	return strings.TrimPrefix(asciiLower(s), "application/")
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// findType returns which accepted type typ names.
func findType(accepted []string, typ string) (int32, bool) {
	i := slices.Index(accepted, typ)
	if i < 0 {
		i = slices.Index(accepted, mediaType(typ))
	}
	return int32(i), i >= 0
}
