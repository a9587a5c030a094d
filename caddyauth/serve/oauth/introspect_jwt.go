package oauth

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// introspectionType is the media type of a signed answer, and its `typ` without `application/` (RFC
// 9701, section 5).
const introspectionType = "token-introspection+jwt"

// signed is an answer that is a JWT.
type signed struct{ kind, text string }

// write answers with the JWT.
func (s signed) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/"+s.kind)
	h.Set("Content-Length", strconv.Itoa(len(s.text)))
	_, _ = w.Write([]byte(s.text)) // it fails only when the client has gone
}

// introspected is the answer in the form that the client has asked for: JSON, or a JWT (RFC 9701),
// which is signed as its ID tokens are. Clients that say nothing expect RS256 for both (section 6).
// About a token that is not active, answer is nil.
func (c *call) introspected(answer members) (any, error) {
	if answer == nil {
		c.event.Result = inactive
		answer = nothing
	}
	if !c.acceptsJWT() {
		return answer, nil
	}
	key, err := c.AnswerKey(c.r.Context(), c.client.SignsIDTokenWith(), c.now)
	if err != nil {
		return nil, unavailable(err)
	}
	raw, err := token.Sign(key, introspectionType, map[string]any{
		"iss":                 c.Issuer,
		"aud":                 c.client.ID,
		"iat":                 c.now.Unix(),
		"token_introspection": map[string]any(answer),
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return signed{introspectionType, raw}, nil
}

func (c *call) acceptsJWT() bool { return accepts(c.r.Header, "application/"+introspectionType) }

// accepts reports whether the header Accept names the media type and does not exclude it. Ranges do
// not count: JSON is what everyone else wants (RFC 9701, section 4).
func accepts(h http.Header, mediaType string) bool {
	return slices.ContainsFunc(strings.Split(strings.Join(h.Values("Accept"), ","), ","), func(word string) bool {
		t, params, err := mime.ParseMediaType(word)
		q, bad := strconv.ParseFloat(params["q"], 64)
		return err == nil && t == mediaType && (bad != nil || q > 0)
	})
}
