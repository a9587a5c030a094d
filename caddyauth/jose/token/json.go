package token

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Objects nested deeper than this are refused before anything is built of them.
const (
	maxHeaderDepth = 4
	maxClaimsDepth = 16
)

// Number is a JSON number with the digits it came with, so that no large integer is rounded.
type Number string

// MarshalJSON writes the digits as they are. A Number that is not a JSON number is an error.
func (n Number) MarshalJSON() ([]byte, error) {
	v := jsontext.Value(n)
	if !v.IsValid() || v.Kind() != '0' {
		return nil, errors.New("not a JSON number")
	}
	return v, nil
}

// member is one member of a scanned object.
type member struct {
	name   []byte        // unquoted
	kind   jsontext.Kind // of the value: '"', '0', 't', 'f', 'n', '{' or '['
	value  []byte        // JSON text of a scalar
	nested any           // an object or list, built if it was wanted
	claim  claim
	keep   bool // among the token's texts or others
}

// What makes a text no acceptable JSON object. None of them says anything of what the text holds.
var (
	errNoObject  = errors.New("not a JSON object in strict form")
	errDuplicate = errors.New("duplicate member")
	errTrailing  = errors.New("something follows the object")
	errTooDeep   = errors.New("nested too deeply")
	errFolded    = errors.New("a member's name differs from another or from a known one only by case")
)

// scan reads object as RFC 8259 and RFC 7493 (I-JSON) have it: valid UTF-8, each name once, nothing
// after it. The members stand in s.members until the next scan. Nested values are built where build
// says so of the name, else only checked.
func (s *scratch) scan(object []byte, depth int, build func(name []byte) bool) error {
	clear(s.members)
	s.members, s.claims = s.members[:0], false
	s.reader = *bytes.NewBuffer(object)
	d := &s.decoder
	d.Reset(&s.reader)
	if d.PeekKind() != '{' {
		return errNoObject
	}
	if _, err := d.ReadToken(); err != nil {
		return jsonError(err)
	}
	for d.PeekKind() != '}' {
		m, err := scanMember(d, depth, build)
		if err != nil {
			return jsonError(err)
		}
		s.members = append(s.members, m)
	}
	if _, err := d.ReadToken(); err != nil {
		return jsonError(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

// every and none say which nested values are built.
func every([]byte) bool { return true }
func none([]byte) bool  { return false }

func scanMember(d *jsontext.Decoder, depth int, build func(name []byte) bool) (member, error) {
	name, err := d.ReadValue()
	if err != nil {
		return member{}, err
	}
	m := member{name: unquote(name), kind: d.PeekKind()}
	switch {
	case m.kind != '{' && m.kind != '[':
		m.value, err = d.ReadValue()
	case build(m.name):
		m.nested, err = readNested(d, depth)
	default:
		err = skipNested(d, depth)
	}
	return m, err
}

// any returns the value as Claim gives it out.
func (m *member) any() any {
	if m.kind == '{' || m.kind == '[' {
		return m.nested
	}
	return scalar(m.kind, m.value)
}

func scalar(kind jsontext.Kind, value []byte) any {
	switch kind {
	case '"':
		return string(unquote(value))
	case '0':
		return Number(value)
	case 't':
		return true
	case 'f':
		return false
	}
	return nil
}

// readNested builds the object or list that comes next.
func readNested(d *jsontext.Decoder, depth int) (any, error) {
	open, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	if d.StackDepth() > depth {
		return nil, errTooDeep
	}
	if open.Kind() == '{' {
		return readObject(d, depth)
	}
	return readList(d, depth)
}

func readObject(d *jsontext.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.PeekKind() != '}' {
		m, err := scanMember(d, depth, every)
		if err != nil {
			return nil, err
		}
		object[string(m.name)] = m.any()
	}
	_, err := d.ReadToken()
	return object, err
}

func readList(d *jsontext.Decoder, depth int) (any, error) {
	list := []any{}
	for kind := d.PeekKind(); kind != ']'; kind = d.PeekKind() {
		if kind == '{' || kind == '[' {
			v, err := readNested(d, depth)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
			continue
		}
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		list = append(list, scalar(kind, value))
	}
	_, err := d.ReadToken()
	return list, err
}

// skipNested reads over the object or list that comes next.
func skipNested(d *jsontext.Decoder, depth int) error {
	outside := d.StackDepth()
	for {
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		switch inside := d.StackDepth(); {
		case inside > depth:
			return errTooDeep
		case inside == outside:
			return nil
		}
	}
}

// jsonError replaces the decoder's errors, which quote what they read.
func jsonError(err error) error {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errDuplicate
	case errors.Is(err, errTooDeep):
		return errTooDeep
	}
	return errNoObject
}

// unquote returns the text of a valid JSON string; without escapes, that is the inside of quoted
// itself.
func unquote(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	text, _ := jsontext.AppendUnquote([]byte(nil), quoted)
	return text
}
