package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// MAC returns the base64url of a keyed hash, by which the server knows a text again that it has
// handed out. Purposes do not share MACs with each other or with refresh tokens.
func (t Tokens) MAC(purpose, text string) string {
	return base64URL.EncodeToString(t.Secrets[0].textMAC(purpose, text))
}

// HasMAC reports whether MAC has made it, with any of the secrets.
func (t Tokens) HasMAC(purpose, text, mac string) bool {
	given, err := base64URL.DecodeString(mac)
	if err != nil {
		return false
	}
	for _, s := range t.Secrets {
		if hmac.Equal(given, s.textMAC(purpose, text)) {
			return true
		}
	}
	return false
}

func (s Secret) textMAC(purpose, text string) []byte {
	h := hmac.New(sha256.New, s.Key)
	var number [8]byte
	for _, part := range []string{"text", purpose, text} {
		binary.BigEndian.PutUint64(number[:], uint64(len(part)))
		h.Write(number[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}
