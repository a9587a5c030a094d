package weburl

import (
	"net/url"
	"strings"
)

// DropParameters takes the parameters of a query that drop names out of it and leaves the rest as
// it was written. Names are compared as the most lenient application reads them: unescaped where
// they can be, without surrounding spaces, and separated by `;` as well as by `&`. dropped is what
// was taken out, as it was written.
func DropParameters(query string, drop func(name string) bool) (kept string, dropped []string) {
	return dropParameters(query, "&;", drop)
}

// DropNestedParameters is DropParameters for a query that no gate reads any more: it also drops
// what belongs to a URL that stands unescaped in a parameter.
func DropNestedParameters(query string, drop func(name string) bool) (kept string, dropped []string) {
	return dropParameters(query, "&;?", drop)
}

func dropParameters(query, separators string, drop func(name string) bool) (kept string, dropped []string) {
	var rest strings.Builder
	for start := 0; start <= len(query); {
		end := start + strings.IndexAny(query[start:], separators)
		if end < start {
			end = len(query)
		}
		part := query[start:end]
		name, _, _ := strings.Cut(part, "=")
		switch {
		case part != "" && drop(strings.TrimSpace(unescape(name))):
			dropped = append(dropped, part)
		case rest.Len() > 0 || start > 0 && len(dropped) == 0:
			rest.WriteByte(query[start-1]) // the separator before it
			fallthrough
		default:
			rest.WriteString(part)
		}
		start = end + 1
	}
	if len(dropped) == 0 {
		return query, nil
	}
	return rest.String(), dropped
}

// EscapedParameters returns the parameters that drop names and that show only when a text is
// unescaped, once or several times, as URLs in a parameter of another do.
func EscapedParameters(text string, drop func(name string) bool) (found []string) {
	for range levels {
		if !strings.Contains(text, "%") {
			break
		}
		text = unescape(text)
		_, here := dropParameters(text, "&;?#", drop)
		found = append(found, here...)
	}
	return found
}

// DropParametersIn is DropNestedParameters for the query of a URL or path as it stands in a
// request: what follows the first `?`. A request has no fragment, so a `#` is a sign like any
// other.
func DropParametersIn(uri string, drop func(name string) bool) string {
	before, query, found := strings.Cut(uri, "?")
	if !found {
		return uri
	}
	kept, dropped := DropNestedParameters(query, drop)
	switch {
	case len(dropped) == 0:
		return uri
	case kept == "":
		return before
	}
	return before + "?" + kept
}

// unescape decodes what can be decoded and leaves a `%` that begins no escape.
func unescape(name string) string {
	if !strings.ContainsAny(name, "%+") {
		return name
	}
	if decoded, err := url.QueryUnescape(name); err == nil {
		return decoded
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '+':
			b.WriteByte(' ')
		case c == '%' && i+2 < len(name):
			if decoded, err := url.QueryUnescape(name[i : i+3]); err == nil {
				b.WriteString(decoded)
				i += 2
				continue
			}
			fallthrough
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
