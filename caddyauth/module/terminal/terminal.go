package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Printable returns text as it is, or quoted if it holds characters that a terminal does not print.
func Printable(text string) string {
	quoted := strconv.Quote(text)
	notPrinted := func(c rune) bool { return !strconv.IsPrint(c) }
	if quoted != `"`+text+`"` && strings.ContainsFunc(text, notPrinted) {
		return quoted
	}
	return text
}

// Columns writes rows of two columns and aligns the second one.
func Columns(w io.Writer, rows [][2]string) {
	width := 0
	for _, row := range rows {
		width = max(width, len(row[0]))
	}
	for _, row := range rows {
		fmt.Fprintf(w, "  %-*s  %s\n", width, row[0], row[1])
	}
}

// JSON writes a value as indented JSON.
func JSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}
