package clients

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// attribute is one attribute of a distinguished name: its type as an OID, and its value.
type attribute struct{ kind, value string }

// attributeTypes are the OIDs of the short names (RFC 4514, section 3; RFC 4519; RFC 2985), in upper
// case.
var attributeTypes = map[string]string{
	"CN":           "2.5.4.3",
	"SERIALNUMBER": "2.5.4.5",
	"C":            "2.5.4.6",
	"L":            "2.5.4.7",
	"ST":           "2.5.4.8",
	"STREET":       "2.5.4.9",
	"O":            "2.5.4.10",
	"OU":           "2.5.4.11",
	"POSTALCODE":   "2.5.4.17",
	"UID":          "0.9.2342.19200300.100.1.1",
	"DC":           "0.9.2342.19200300.100.1.25",
	"EMAILADDRESS": "1.2.840.113549.1.9.1",

	"ORGANIZATIONIDENTIFIER": "2.5.4.97",
}

var dottedOID = regexp.MustCompile(`^[0-2](\.(0|[1-9][0-9]*))+$`)

func validateSubject(text string) error {
	_, err := parseSubject(text)
	return err
}

// hasSubject reports whether the subject of a certificate is the distinguished name. Types may be
// written in any case, and values are compared byte for byte: whoever signs certificates knows how it
// writes its names.
func hasSubject(cert *x509.Certificate, text string) bool {
	want, err := parseSubject(text)
	if err != nil {
		return false
	}
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawSubject, &sequence); err != nil || len(rest) > 0 {
		return false
	}
	if len(sequence) != len(want) {
		return false
	}
	for i, set := range sequence {
		if !sameAttributes(set, want[len(want)-1-i]) { // the text begins with the last one
			return false
		}
	}
	return true
}

// sameAttributes compares the attributes that have one place in a name, in any order.
func sameAttributes(set pkix.RelativeDistinguishedNameSET, want []attribute) bool {
	if len(set) != len(want) {
		return false
	}
	left := slices.Clone(want)
	for _, a := range set {
		value, ok := a.Value.(string)
		i := slices.Index(left, attribute{a.Type.String(), value})
		if !ok || i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return true
}

// parseSubject reads a distinguished name as RFC 4514 writes it: the attributes of each place, the
// last place of the certificate first. Values in hexadecimal (#04...) are refused.
func parseSubject(text string) ([][]attribute, error) {
	var name [][]attribute
	var place []attribute
	for rest := text; ; {
		a, separator, behind, err := parseAttribute(rest)
		if err != nil {
			return nil, err
		}
		place = append(place, a)
		if separator != '+' {
			name, place = append(name, place), nil
		}
		if separator == 0 {
			return name, nil
		}
		rest = behind
	}
}

// parseAttribute reads one `type=value` and what ends it: a comma, a plus, or 0 for the end.
func parseAttribute(text string) (a attribute, separator byte, rest string, err error) {
	kind, rest, ok := strings.Cut(text, "=")
	kind = strings.ToUpper(strings.Trim(kind, " "))
	if a.kind = attributeTypes[kind]; a.kind == "" && dottedOID.MatchString(kind) {
		a.kind = kind
	}
	if !ok || a.kind == "" {
		return a, 0, "", fmt.Errorf("%.70q is not the type of an attribute, such as CN=", kind)
	}
	value, separator, rest, err := parseValue(strings.TrimLeft(rest, " "))
	if err == nil && value == "" {
		err = fmt.Errorf("the attribute %s has no value", kind)
	}
	a.value = value
	return a, separator, rest, err
}

// parseValue reads a value with its escapes (RFC 4514, section 2.4). Spaces around it do not count
// unless they are escaped.
func parseValue(text string) (value string, separator byte, rest string, err error) {
	var b strings.Builder
	end := 0 // of what an unescaped space may not be cut from
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == ',' || c == '+':
			return b.String()[:end], c, text[i+1:], nil
		case c == '\\':
			octet, size := unescape(text[i+1:])
			if size == 0 {
				return "", 0, "", errors.New("a backslash is followed by nothing that it could escape")
			}
			b.WriteByte(octet)
			end, i = b.Len(), i+size
		case strings.IndexByte("\"<>;\x00", c) >= 0 || c == '#' && b.Len() == 0:
			return "", 0, "", fmt.Errorf("%q must be escaped with a backslash", c)
		default:
			b.WriteByte(c)
			if c != ' ' {
				end = b.Len()
			}
		}
	}
	return b.String()[:end], 0, "", nil
}

// unescape returns what stands behind a backslash: one special character, or two hexadecimal digits.
func unescape(text string) (octet byte, size int) {
	if text != "" && strings.IndexByte(` "#+,;<=>\`, text[0]) >= 0 {
		return text[0], 1
	}
	if len(text) >= 2 {
		if octets, err := hex.DecodeString(text[:2]); err == nil {
			return octets[0], 2
		}
	}
	return 0, 0
}
