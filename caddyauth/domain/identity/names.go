package identity

import (
	"errors"
	"fmt"

	"golang.org/x/text/secure/precis"
)

// maxName is the longest account name, in bytes, before and after it is made canonical.
const maxName = 256

// ErrBadName says that a text cannot be an account name.
var ErrBadName = errors.New("not a valid account name")

// CanonicalName returns the form under which an account is found, counted and compared: the
// UsernameCaseMapped profile of RFC 8265, section 3.3 (full-width letters made narrow, lower case,
// NFC). A text that the profile does not allow (empty, with spaces or control characters, mixed
// writing directions), that is longer than 256 bytes, or that has no stable form is ErrBadName.
func CanonicalName(s string) (string, error) {
	once, err := mapName(s)
	if err != nil {
		return "", err
	}
	// The profile is not idempotent for every text (RFC 8265, section 3.3.3, wants it applied until it
	// is). A name whose form depends on how often it was mapped is refused.
	twice, err := mapName(once)
	if err != nil || twice != once {
		return "", fmt.Errorf("%w: it has no stable form", ErrBadName)
	}
	return once, nil
}

func mapName(s string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("%w: it is empty", ErrBadName)
	}
	if len(s) > maxName {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrBadName, maxName)
	}
	name, err := precis.UsernameCaseMapped.String(s)
	if err != nil {
		return "", fmt.Errorf("%w: not allowed by RFC 8265", ErrBadName)
	}
	if len(name) > maxName {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrBadName, maxName)
	}
	return name, nil
}
