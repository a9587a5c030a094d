// Package device answers devices without a keyboard or a browser (RFC 8628): where they ask for
// codes, and the pages on which a person types the short one in and decides.
package device
