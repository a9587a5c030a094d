package sqlstore

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// isText reports whether the database can hold a text. PostgreSQL takes neither a NUL nor what is not
// UTF-8, and calls a statement with either an error; SQLite finds nothing. Anybody can name such a
// client or project in an address, which must not look like a database that is down.
func isText(text string) bool { return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 }

// findable reports whether a row can have these values.
func findable(args []any) bool {
	return !slices.ContainsFunc(args, func(arg any) bool {
		text, ok := arg.(string)
		return ok && !isText(text)
	})
}

// keyOf is a key to look for, and empty, which no row has, for what cannot be one.
func keyOf(text string) string {
	if !isText(text) {
		return ""
	}
	return text
}
