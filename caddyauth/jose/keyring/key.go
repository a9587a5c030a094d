package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v2/jws"
)

// ErrBadSignature is returned for every signature that does not verify,
// whatever is wrong with it.
var ErrBadSignature = errors.New("signature does not verify")

// ErrCannotSign is returned when a key that can only verify is asked to sign.
var ErrCannotSign = errors.New("key cannot sign: it has no private part")

// maxIDLength bounds a key id, in bytes.
const maxIDLength = 200

// Key is one key of a ring, pinned to one algorithm. It is immutable and safe
// for concurrent use. It prints as its id and algorithm, whatever the verb.
type Key struct {
	id      string
	alg     *algorithm
	created time.Time

	public  crypto.PublicKey // nil for HMAC
	private crypto.Signer    // nil for HMAC and for keys that only verify
	secret  []byte           // HMAC only

	verifier      jws.Verifier // nil for HMAC, like signer
	signer        jws.Signer
	macs          *sync.Pool // HMAC only: of hash.Hash, keyed with the secret
	signatureSize int
}

// newSecretKey makes an HMAC key of a secret that is long enough.
func newSecretKey(id string, alg *algorithm, secret []byte, created time.Time) (*Key, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if len(secret) < alg.minSecret {
		return nil, fmt.Errorf("secret is %d bytes, %s needs at least %d", len(secret), alg.name, alg.minSecret)
	}
	k := &Key{id: id, alg: alg, created: created, secret: secret, signatureSize: alg.hash.Size()}
	return k.prepare()
}

// newPublicKey makes a key that verifies.
func newPublicKey(id string, alg *algorithm, public crypto.PublicKey, created time.Time) (*Key, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	size, err := alg.check(public)
	if err != nil {
		return nil, err
	}
	k := &Key{id: id, alg: alg, created: created, public: public, signatureSize: size}
	return k.prepare()
}

// newPrivateKey makes a key that signs and verifies.
func newPrivateKey(id string, alg *algorithm, private crypto.Signer, created time.Time) (*Key, error) {
	k, err := newPublicKey(id, alg, private.Public(), created)
	if err != nil {
		return nil, err
	}
	if r, ok := private.(*rsa.PrivateKey); ok {
		if err := r.Validate(); err != nil {
			return nil, errors.New("RSA private key is inconsistent")
		}
	}
	k.private = private
	return k, nil
}

// prepare looks the algorithm's verifier and signer up once, so that neither
// verifying nor signing does.
func (k *Key) prepare() (*Key, error) {
	if k.secret != nil {
		k.macs = &sync.Pool{New: func() any { return hmac.New(k.alg.hash.New, k.secret) }}
		return k, nil
	}
	var err error
	if k.verifier, err = jws.NewVerifier(k.alg.jwa); err != nil {
		return nil, err
	}
	if k.signer, err = jws.NewSigner(k.alg.jwa); err != nil {
		return nil, err
	}
	return k, nil
}

// checkID refuses ids that cannot stand in a token's header and in a log line.
func checkID(id string) error {
	if id == "" {
		return errors.New("key id is empty")
	}
	if len(id) > maxIDLength {
		return fmt.Errorf("key id is %d bytes, at most %d are allowed", len(id), maxIDLength)
	}
	if !utf8.ValidString(id) {
		return errors.New("key id is not valid UTF-8")
	}
	for _, r := range id {
		if r < ' ' || r == 0x7f {
			return errors.New("key id holds a control character")
		}
	}
	return nil
}

// ID returns the key id, the `kid` of tokens (RFC 7515 section 4.1.4).
func (k *Key) ID() string { return k.id }

// Algorithm returns the name of the one algorithm the key is used with, such
// as ES256.
func (k *Key) Algorithm() string { return k.alg.name }

// Created returns when the key was generated; it is zero for keys that come
// from files and strings.
func (k *Key) Created() time.Time { return k.created }

// CanSign reports whether the key has a secret or a private part.
func (k *Key) CanSign() bool { return k.private != nil || k.secret != nil }

// Symmetric reports whether the key is an HMAC secret, which is never published.
func (k *Key) Symmetric() bool { return k.secret != nil }

// Verify checks a signature over the signing input, which is the first two
// segments of a compact token with the dot between them (RFC 7515 section 5.2).
// The error is [ErrBadSignature] or nil.
func (k *Key) Verify(signingInput, signature []byte) error {
	if len(signature) != k.signatureSize {
		return ErrBadSignature
	}
	switch {
	case k.secret != nil:
		if !hmac.Equal(k.signHMAC(signingInput), signature) {
			return ErrBadSignature
		}
		return nil
	case strings.HasPrefix(k.alg.name, "PS"):
		return k.verifyPSS(signingInput, signature)
	}
	if k.verifier.Verify(signingInput, signature, k.public) != nil {
		return ErrBadSignature
	}
	return nil
}

// verifyPSS demands a salt as long as the hash (RFC 7518 section 3.5); jwx takes
// one of any length.
func (k *Key) verifyPSS(signingInput, signature []byte) error {
	public, ok := k.public.(*rsa.PublicKey)
	if !ok {
		return ErrBadSignature
	}
	h := k.alg.hash.New()
	h.Write(signingInput)
	strict := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	if rsa.VerifyPSS(public, k.alg.hash, h.Sum(nil), signature, &strict) != nil {
		return ErrBadSignature
	}
	return nil
}

// Sign signs the signing input of a compact token and returns the bare
// signature (RFC 7515 section 5.1). It returns [ErrCannotSign] for a key that
// only verifies.
func (k *Key) Sign(signingInput []byte) ([]byte, error) {
	if k.secret != nil {
		return k.signHMAC(signingInput), nil
	}
	if k.private == nil {
		return nil, ErrCannotSign
	}
	return k.signer.Sign(signingInput, k.private)
}

// SignOnce is Sign for a signing input that holds at least 128 random bits, so that no other
// signature is of the same one. The nonce of an ECDSA signature then follows from the key and the
// input (RFC 6979, which RFC 8725, section 3.2, recommends). That takes four fifths of the time of a
// nonce that is random as well; what the latter is for besides, a processor that errs in one of two
// signatures of the same input, cannot happen.
func (k *Key) SignOnce(signingInput []byte) ([]byte, error) {
	if private, ok := k.private.(*ecdsa.PrivateKey); ok {
		return k.signer.Sign(signingInput, deterministic{private})
	}
	return k.Sign(signingInput)
}

// deterministic is a private key without random nonces.
type deterministic struct{ *ecdsa.PrivateKey }

// Sign implements crypto.Signer.
func (d deterministic) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return d.PrivateKey.Sign(nil, digest, opts)
}

// signHMAC keeps the HMAC for the next signature, and with it what the hash made
// of the secret (FIPS 198-1 section 6). jwx keys a new one each time, which takes
// as long as signing a whole token with it, and again as long to verify one.
func (k *Key) signHMAC(signingInput []byte) []byte {
	mac := k.macs.Get().(hash.Hash)
	mac.Write(signingInput)
	signature := mac.Sum(nil)
	mac.Reset()
	k.macs.Put(mac)
	return signature
}

// Equal reports whether both keys have the same id, algorithm and key material,
// so that what one verified the other would verify too. Having the private part
// or not makes no difference, and neither does the creation time.
func (k *Key) Equal(other *Key) bool {
	if k == other {
		return true
	}
	if k == nil || other == nil || k.id != other.id || k.alg != other.alg {
		return false
	}
	if k.secret != nil {
		return hmac.Equal(k.secret, other.secret)
	}
	return samePublic(k.public, other.public)
}

// samePublic compares two public keys of any kind.
func samePublic(a, b crypto.PublicKey) bool {
	switch a := a.(type) {
	case *rsa.PublicKey:
		return a.Equal(b)
	case *ecdsa.PublicKey:
		return a.Equal(b)
	case ed25519.PublicKey:
		return a.Equal(b)
	}
	return false
}

// Format writes the id and algorithm for every verb, because the default of the
// fmt package would print a secret.
func (k *Key) Format(f fmt.State, _ rune) {
	if k == nil {
		_, _ = io.WriteString(f, "no key")
		return
	}
	_, _ = fmt.Fprintf(f, "key %q (%s)", k.id, k.alg.name)
}
