package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	agefile "filippo.io/age" // the package has a function named age
)

// ErrSealedForm is wrapped by the error of [SecretRing.OpenStream] about what
// [SecretRing.SealStream] of this release did not write.
var ErrSealedForm = errors.New("the file is not sealed by this version of caddyauth")

const (
	labelStream = "seal stream v1"

	// streamStanza names our part of the header of an age file, with the version
	// of that part: its arguments are the fingerprints of all secrets of the ring,
	// its body is the file's key, sealed with the first secret.
	streamStanza   = "caddyauth/1"
	stanzaOfAnyAge = "caddyauth/"
)

// SealStream returns a writer whose content is encrypted into dst as an age file
// (age-encryption.org/v1) for this ring and every ring that has the same secrets.
// The file is complete when the writer was closed without an error.
func (s *SecretRing) SealStream(dst io.Writer) (io.WriteCloser, error) {
	return agefile.Encrypt(dst, streamKey{s})
}

// OpenStream returns what SealStream wrote. Every byte that the reader returns is
// authenticated; only io.EOF says that the file was not cut off. The error wraps
// [ErrWrongSecret] when the ring lacks a secret that the sealing ring had, and
// [ErrSealedForm] when the file has another form.
func (s *SecretRing) OpenStream(src io.Reader) (io.Reader, error) {
	r, err := agefile.Decrypt(src, streamKey{s})
	switch {
	case errors.Is(err, ErrWrongSecret), errors.Is(err, ErrSealedForm):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrSealedForm, err)
	}
	return r, nil
}

// streamKey wraps and unwraps the key of an age file with a key derived from the
// ring's secrets.
type streamKey struct{ ring *SecretRing }

// Wrap implements [agefile.Recipient].
func (k streamKey) Wrap(fileKey []byte) ([]*agefile.Stanza, error) {
	first := k.ring.entries[0]
	aead, err := first.streamAEAD()
	if err != nil {
		return nil, err
	}
	stanza := &agefile.Stanza{Type: streamStanza, Body: aead.Seal(nil, nil, fileKey, []byte(streamStanza))}
	for _, e := range k.ring.entries {
		// A stanza's arguments are printable ASCII without spaces, which an id need not be.
		stanza.Args = append(stanza.Args, base64.RawURLEncoding.EncodeToString([]byte(e.fingerprint())))
	}
	return []*agefile.Stanza{stanza}, nil
}

// Unwrap implements [agefile.Identity].
func (k streamKey) Unwrap(stanzas []*agefile.Stanza) ([]byte, error) {
	stanza := stanzas[0]
	if len(stanzas) != 1 || stanza.Type != streamStanza || len(stanza.Args) == 0 {
		return nil, unknownStanza(stanza.Type)
	}
	fingerprints := make([]string, len(stanza.Args))
	for i, arg := range stanza.Args {
		text, err := base64.RawURLEncoding.DecodeString(arg)
		if err != nil {
			return nil, unknownStanza(stanza.Type)
		}
		fingerprints[i] = string(text)
	}

	// What the data holds was made with any of the sealing ring's secrets, so all are needed here.
	for _, f := range fingerprints {
		if !k.ring.Matches(f) {
			id, _, _ := strings.Cut(f, ":")
			return nil, fmt.Errorf("the secret %q of the sealing ring is not in this one: %w", clip(id), ErrWrongSecret)
		}
	}
	for _, e := range k.ring.entries {
		if e.fingerprint() != fingerprints[0] {
			continue
		}
		aead, err := e.streamAEAD()
		if err != nil {
			return nil, err
		}
		fileKey, err := aead.Open(nil, nil, stanza.Body, []byte(streamStanza))
		if err != nil {
			return nil, fmt.Errorf("with secret %q: %w", clip(e.id), ErrWrongSecret)
		}
		return fileKey, nil
	}
	return nil, ErrWrongSecret
}

func unknownStanza(name string) error {
	if strings.HasPrefix(name, stanzaOfAnyAge) {
		return fmt.Errorf("%w: it has the form %q, this release knows %q", ErrSealedForm, clip(name), streamStanza)
	}
	return fmt.Errorf("%w: the age file is encrypted for another recipient", ErrSealedForm)
}

// streamAEAD seals keys of files.
func (e secretEntry) streamAEAD() (cipher.AEAD, error) {
	block, err := aes.NewCipher(derive(e.secret, labelStream))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
