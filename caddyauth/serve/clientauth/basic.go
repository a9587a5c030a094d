package clientauth

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// parseBasic reads `Basic base64(id:secret)`, where id and secret were encoded as in a form before
// (RFC 6749, section 2.3.1). The secret may be empty. Many clients do not encode it, and half of all
// secrets in base64 have a `+`: plain is the secret as it was sent, where that is another one.
func parseBasic(line string) (id, secret, plain string, ok bool) {
	scheme, encoded, _ := strings.Cut(line, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimLeft(encoded, " "))
	if err != nil {
		return "", "", "", false
	}
	first, second, found := strings.Cut(string(text), ":")
	id, errID := url.QueryUnescape(first)
	secret, errSecret := url.QueryUnescape(second)
	if errSecret != nil {
		secret = second
	}
	if secret != second {
		plain = second
	}
	return id, secret, plain, found && errID == nil
}
