package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

// column is one of a table: its heading and the member of the objects that it shows.
type column struct{ title, member string }

// cellFormats format some members for tables; JSON output has the original values.
var cellFormats = map[string]func(string) string{"device": describeDevice}

// maxCellWidth is the most characters of a cell in a table, except in the last column; JSON output
// is not truncated.
const maxCellWidth = 48

func printTable(w io.Writer, items []json.RawMessage, columns []column) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	fmt.Fprintln(table, strings.Join(titles, "\t"))
	for _, item := range items {
		var members map[string]any
		if err := decodeNumbers(item, &members); err != nil {
			return err
		}
		cells := make([]string, len(columns))
		for i, c := range columns {
			value := members[c.member]
			if words, text := cellFormats[c.member], fmt.Sprint(value); words != nil && value != nil {
				value = words(text)
			}
			if cells[i] = formatValue(value); i < len(columns)-1 {
				cells[i] = truncate(cells[i])
			}
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

// printMembers prints an object, a member a line, in its own order.
func printMembers(w io.Writer, object json.RawMessage) error {
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return fmt.Errorf("the answer is not an object")
	}
	var rows [][2]string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return err
		}
		rows = append(rows, [2]string{fmt.Sprint(name), formatValue(value)})
	}
	terminal.Columns(w, rows)
	return nil
}

func decodeNumbers(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode(into)
}

// formatValue formats a value for a terminal. Control characters in untrusted values (a device, a
// name) are quoted.
func formatValue(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case json.Number:
		return v.String()
	case string:
		return formatText(v)
	case []any:
		words := make([]string, len(v))
		for i, e := range v {
			words[i] = formatValue(e)
		}
		return formatText(strings.Join(words, ","))
	}
	text, err := json.Marshal(value)
	if err != nil || string(text) == "{}" {
		return "-"
	}
	return terminal.Printable(string(text))
}

func formatText(text string) string {
	if text == "" {
		return "-"
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UTC().Format(time.RFC3339)
	}
	return terminal.Printable(text)
}

func truncate(text string) string {
	if runes := []rune(text); len(runes) > maxCellWidth {
		return string(runes[:maxCellWidth-1]) + "…"
	}
	return text
}

// printJSON prints a value as JSON with indents.
func (r *adminClient) printJSON(value any) error {
	return terminal.JSON(r.cmd.OutOrStdout(), value)
}
