package clientauth

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// parseBasic reads `Basic base64(id:secret)`, where id and secret were encoded as in a form before
// (RFC 6749, section 2.3.1). The secret may be empty.
func parseBasic(line string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(line, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimLeft(encoded, " "))
	if err != nil {
		return "", "", false
	}
	first, second, found := strings.Cut(string(text), ":")
	id, errID := url.QueryUnescape(first)
	secret, errSecret := url.QueryUnescape(second)
	return id, secret, found && errID == nil && errSecret == nil
}
