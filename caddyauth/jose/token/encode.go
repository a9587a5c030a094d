package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// appendValue writes v as JSON: objects by sorted names, numbers without loss, lists and objects at
// most depth deep.
func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return appendString(dst, v)
	case Number:
		return appendNumber(dst, v)
	case json.Number:
		return appendNumber(dst, Number(v))
	case float64:
		return appendFloat(dst, v)
	case []string:
		return appendList(dst, v, depth)
	case []any:
		return appendList(dst, v, depth)
	case map[string]any:
		return appendMap(dst, v, depth)
	}
	return appendInteger(dst, v)
}

func appendString(dst []byte, s string) ([]byte, error) {
	if verbatim(s) {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"'), nil
	}
	dst, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		return dst, errors.New("a text is not valid UTF-8")
	}
	return dst, nil
}

// verbatim reports whether s stands in JSON as it is, which nearly every claim does.
func verbatim(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return true
}

// few is room for the names of most objects, so that sorting them needs no memory of its own.
type few [8]string

// sortedNames appends the names of m to names, in order.
func sortedNames(names []string, m map[string]any) []string {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func appendNumber(dst []byte, n Number) ([]byte, error) {
	text, err := n.MarshalJSON()
	return append(dst, text...), err
}

func appendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, errors.New("a number is not finite")
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64), nil
}

func appendInteger(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case uint:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case uint32:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case uint64:
		return strconv.AppendUint(dst, v, 10), nil
	}
	return dst, fmt.Errorf("a value of type %T is not written", v)
}

func appendList[E any](dst []byte, list []E, depth int) ([]byte, error) {
	if depth == 0 {
		return dst, errTooDeep
	}
	dst = append(dst, '[')
	var err error
	for i, element := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(dst, element, depth-1); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendMap(dst []byte, m map[string]any, depth int) ([]byte, error) {
	if depth == 0 {
		return dst, errTooDeep
	}
	dst = append(dst, '{')
	var room few
	var err error
	for i, name := range sortedNames(room[:0], m) {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendString(dst, name); err != nil {
			return dst, err
		}
		dst = append(dst, ':')
		if dst, err = appendValue(dst, m[name], depth-1); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}
