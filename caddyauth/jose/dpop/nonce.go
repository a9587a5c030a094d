package dpop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// NonceLabel is the label under which the keys of Nonces are derived from the server's secret.
const NonceLabel = "dpop nonces v1"

const (
	// nonceStep is for how long one nonce is given out, and NonceAge for how long it is taken.
	nonceStep = time.Minute
	// NonceAge is how old a nonce may be.
	NonceAge = 5 * time.Minute

	nonceTime = 8  // bytes of the time
	nonceMAC  = 16 // bytes of the MAC
	nonceText = (nonceTime + nonceMAC) * 8 / 6
)

// Nonces makes and knows the nonces of a server (RFC 9449, sections 8 and 9): the base64url of a
// time and its MAC. Nothing is stored, and all nodes that have the server's secret know each
// other's.
type Nonces struct {
	// Keys are those of the MAC: the first makes nonces, all of them verify. At least one is
	// required.
	Keys []keyring.Subkey
}

// Current returns the nonce to give out. It is the same for a minute, so that a client seldom has
// to take a new one.
func (n *Nonces) Current(now time.Time) string {
	var b [nonceTime + nonceMAC]byte
	binary.BigEndian.PutUint64(b[:], uint64(now.Truncate(nonceStep).Unix()))
	copy(b[nonceTime:], nonceSum(n.Keys[0], b[:nonceTime]))
	return strict.EncodeToString(b[:])
}

// Good reports whether a nonce was made by this server and is not too old.
func (n *Nonces) Good(nonce string, now time.Time) bool {
	if len(nonce) != nonceText {
		return false
	}
	b, err := strict.DecodeString(nonce)
	if err != nil || len(b) != nonceTime+nonceMAC {
		return false
	}
	for _, key := range n.Keys {
		if hmac.Equal(nonceSum(key, b[:nonceTime]), b[nonceTime:]) {
			made := time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
			return now.Sub(made) <= NonceAge && made.Sub(now) <= MaxAhead
		}
	}
	return false
}

func nonceSum(key keyring.Subkey, made []byte) []byte {
	h := hmac.New(sha256.New, key.Key)
	h.Write(made)
	return h.Sum(nil)[:nonceMAC]
}
