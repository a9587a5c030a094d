// Package device owns the requests of devices without a keyboard or a browser (RFC 8628): the code
// that the device polls with, the short one that a person types in elsewhere, and what they decided.
package device
