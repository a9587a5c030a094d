package sqlstore

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// exportFormat is the version of the form of an export: lines of JSON. First the head; then of each
// table its name and columns, and a list of values for each row; last the number of rows.
const exportFormat = 1

// ErrExportForm is wrapped by the error of Import for a format that this release does not know.
var ErrExportForm = errors.New("this release cannot read the export")

// ErrExportDamaged is wrapped by the error of Import for an export that is damaged or incomplete.
var ErrExportDamaged = errors.New("the export is damaged")

// ErrNotEmpty is wrapped by the error of Import for a store that has been used.
var ErrNotEmpty = errors.New("the store is not empty")

// exportedTable is a table of the schema. All of its rows are exported.
type exportedTable struct {
	name string

	// conflict is the ON CONFLICT clause for rows that a migration has inserted already.
	conflict string

	// order is the order in which rows are read, if it matters.
	order string
}

// exportedTables are all tables of the schema, each after those that it refers to. A migration that
// creates a table adds it here.
var exportedTables = []exportedTable{
	{name: "meta", conflict: ` ON CONFLICT (name) DO NOTHING`}, // `schema` is the target's own
	{name: "counter", conflict: ` ON CONFLICT (name) DO UPDATE SET
		value = CASE WHEN counter.value < excluded.value THEN excluded.value ELSE counter.value END`},
	{name: "key"},
	{name: "project"},
	{name: "client"},
	{name: "registration"},
	{name: "account"},
	{name: "consent"},
	{name: "api_token"},
	{name: "grants"},
	{name: "denial", order: ` ORDER BY number`},
	{name: "code"},
	{name: "pushed_request"},
	{name: "device"},
	{name: "logout_notice"},
	{name: "replay"},
	{name: "audit"},
	{name: "throttle"},
}

// madeByMigrations are the tables that have rows in an empty store.
var madeByMigrations = map[string]bool{"meta": true, "counter": true}

// TableRows is how many rows of a table were exported or imported.
type TableRows struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

type exportHead struct {
	Format int    `json:"format"`
	Schema int    `json:"schema"`
	Made   string `json:"made"` // RFC 3339, for people
}

type exportTable struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

type exportEnd struct {
	End  bool  `json:"end"`
	Rows int64 `json:"rows"`
}

// Meta returns the value of a name, empty if it has none.
func (s *Store) Meta(ctx context.Context, name string) (value string, err error) {
	db, err := s.database()
	if err != nil {
		return "", err
	}
	_, err = one(ctx, db, `SELECT value FROM meta WHERE name = $1`, []any{name}, &value)
	return value, err
}

// Export writes every row of the store as of one moment, without blocking writers. The format is
// the same for every engine. It contains hashes, seeds and sealed keys, so it is as secret as the
// database.
func (s *Store) Export(ctx context.Context, w io.Writer, now time.Time) (counts []TableRows, err error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	out := exportWriter{Encoder: json.NewEncoder(w)}
	out.SetEscapeHTML(false)
	err = db.snapshot(ctx, func(q querier) error {
		counts = nil
		err := out.Encode(exportHead{exportFormat, len(migrationNames()), now.UTC().Format(time.RFC3339)})
		if err != nil {
			return err
		}
		var all int64
		for _, table := range exportedTables {
			n, err := out.table(ctx, q, table)
			if err != nil {
				return fmt.Errorf("table %s: %w", table.name, err)
			}
			counts = append(counts, TableRows{table.name, n})
			all += n
		}
		return out.Encode(exportEnd{true, all})
	})
	return counts, err
}

type exportWriter struct{ *json.Encoder }

// table writes one table, a row at a time.
func (w exportWriter) table(ctx context.Context, q querier, table exportedTable) (n int64, err error) {
	rows, err := q.query(ctx, `SELECT * FROM `+table.name+table.order)
	if err != nil {
		return 0, failure(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, failure(err)
	}
	if err := w.Encode(exportTable{table.name, columns}); err != nil {
		return 0, err
	}
	values, places := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		places[i] = &values[i]
	}
	for ; rows.Next(); n++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := rows.Scan(places...); err != nil {
			return 0, failure(err)
		}
		for i := range values {
			values[i] = exported(values[i])
		}
		if err := w.Encode(values); err != nil {
			return 0, err
		}
	}
	return n, failure(rows.Err())
}

// exportedBytes is the form of bytes in an export; numbers and texts are plain JSON.
type exportedBytes struct {
	Bytes []byte `json:"b"`
}

// exportedText is the form of a text that JSON cannot represent.
type exportedText struct {
	Text []byte `json:"t"`
}

func exported(value any) any {
	switch v := value.(type) {
	case []byte:
		return exportedBytes{append([]byte{}, v...)} // no bytes are not null
	case string:
		if !utf8.ValidString(v) {
			return exportedText{[]byte(v)}
		}
	}
	return value
}

// imported is the reverse of exported.
func imported(text json.RawMessage) (any, error) {
	switch text[0] {
	case 'n':
		var null any
		err := json.Unmarshal(text, &null)
		return null, err
	case '"':
		var s string
		err := json.Unmarshal(text, &s)
		return s, err
	case '{':
		var v struct {
			Bytes *[]byte `json:"b"`
			Text  *[]byte `json:"t"`
		}
		switch err := json.Unmarshal(text, &v); {
		case err != nil:
			return nil, err
		case v.Bytes != nil:
			return *v.Bytes, nil
		case v.Text != nil:
			return string(*v.Text), nil
		}
	default:
		var n int64
		err := json.Unmarshal(text, &n)
		return n, err
	}
	return nil, errors.New("unknown kind of value")
}

// Import puts what Export wrote into the store, in one transaction: all of it or nothing. The store
// must be empty (no server has used it), unless replace deletes everything in it. Counters continue
// above those of both. Nothing else may use the store: open it with OpenAlone.
func (s *Store) Import(ctx context.Context, r io.Reader, replace bool) (counts []TableRows, err error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	in := &exportReader{lines: bufio.NewReaderSize(r, 1<<16)}
	if err := in.head(); err != nil {
		return nil, err
	}
	err = db.load(ctx, func(t tx) error {
		if in.renumber, err = prepareTables(ctx, t, replace); err != nil {
			return err
		}
		if counts, err = in.tables(ctx, t); err == nil {
			err = checkNames(ctx, t)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}

// prepareTables checks that the store is empty, or empties it; replaced reports that it was not
// empty.
func prepareTables(ctx context.Context, t tx, replace bool) (replaced bool, err error) {
	for i := len(exportedTables) - 1; i >= 0; i-- { // a table before those that it refers to
		name := exportedTables[i].name
		if madeByMigrations[name] {
			continue
		}
		var n int
		used, err := one(ctx, t, `SELECT 1 FROM `+name+` LIMIT 1`, nil, &n)
		switch {
		case err != nil:
			return false, err
		case used && !replace:
			return false, fmt.Errorf("%w: its table %s has rows, so a server has used it", ErrNotEmpty, name)
		case used:
			replaced = true
			if _, err := t.exec(`DELETE FROM ` + name); err != nil {
				return false, err
			}
		}
	}
	_, err = t.exec(`DELETE FROM meta WHERE name <> 'schema'`)
	return replaced, err
}

// exportReader reads an export line by line.
type exportReader struct {
	lines *bufio.Reader

	// renumber gives denials new numbers above those that the store has given out, because other nodes
	// read only what is above the last one they saw.
	renumber bool
	number   int64 // the last one
}

// next reads one line. At the end of the file it returns none.
func (r *exportReader) next() (json.RawMessage, error) {
	line, err := r.lines.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%w, or cut off: %w", ErrExportDamaged, err)
	}
	return line, nil
}

func (r *exportReader) decode(into any) error {
	line, err := r.next()
	if err != nil {
		return err
	}
	return decodeLine(line, into)
}

func decodeLine(line json.RawMessage, into any) error {
	if err := json.Unmarshal(line, into); err != nil {
		return fmt.Errorf("%w: a line has an unexpected form", ErrExportDamaged)
	}
	return nil
}

// head refuses an export that is not of this release.
func (r *exportReader) head() error {
	var head exportHead
	if err := r.decode(&head); err != nil {
		return err
	}
	if head.Format != exportFormat {
		return fmt.Errorf("%w: it has format %d and this release knows %d", ErrExportForm, head.Format, exportFormat)
	}
	if needed := len(migrationNames()); head.Schema != needed {
		return fmt.Errorf("%w: it has schema version %d and this release needs %d; export and import with the "+
			"same release",
			ErrExportForm, head.Schema, needed)
	}
	return nil
}

// tables imports all tables, in the order of the schema, and reads up to the end of the file.
func (r *exportReader) tables(ctx context.Context, t tx) (counts []TableRows, err error) {
	var all int64
	line, err := r.next()
	if err != nil {
		return nil, err
	}
	for _, table := range exportedTables {
		if table.name == "denial" { // the counters stand
			if _, err := one(ctx, t, `SELECT value FROM counter WHERE name = 'denial'`, nil, &r.number); err != nil {
				return nil, err
			}
		}
		var n int64
		if n, line, err = r.table(ctx, t, table, line); err != nil {
			return nil, fmt.Errorf("table %s: %w", table.name, err)
		}
		counts = append(counts, TableRows{table.name, n})
		all += n
	}
	if _, err := t.exec(`UPDATE counter SET value = $1 WHERE name = 'denial'`, r.number); err != nil {
		return nil, err
	}
	return counts, r.end(line, all)
}

// end checks that nothing is missing and that the file ends there: only then is it known to be
// complete.
func (r *exportReader) end(line json.RawMessage, all int64) error {
	var end exportEnd
	if err := decodeLine(line, &end); err != nil {
		return err
	}
	if !end.End || end.Rows != all {
		return fmt.Errorf("%w: the last line says %d rows, and there are %d", ErrExportDamaged, end.Rows, all)
	}
	if _, err := r.lines.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: there is data after the end", ErrExportDamaged)
	}
	return nil
}

// importBatch is how many rows are sent to the database at once.
const importBatch = 256

// table imports one table, whose first line is given, and returns the line after its rows.
func (r *exportReader) table(ctx context.Context, t tx, table exportedTable, first json.RawMessage) (
	n int64, line json.RawMessage, err error,
) {
	columns, err := r.columns(ctx, t, table.name, first)
	if err != nil {
		return 0, nil, err
	}
	put := insertInto(table, columns)
	for rows := [][]any(nil); ; n++ {
		if line, err = r.next(); err != nil {
			return 0, nil, err
		}
		last := line[0] != '['
		if !last {
			row, err := r.row(table, columns, line)
			if err != nil {
				return 0, nil, err
			}
			rows = append(rows, row)
		}
		if last || len(rows) == importBatch {
			if err := ctx.Err(); err != nil {
				return 0, nil, err
			}
			if _, err := t.each(put, rows...); err != nil {
				return 0, nil, err
			}
			rows = rows[:0]
		}
		if last {
			return n, line, nil
		}
	}
}

// columns reads the first line of a table. Its columns must be those of the target.
func (r *exportReader) columns(ctx context.Context, t tx, table string, first json.RawMessage) ([]string, error) {
	var named exportTable
	if err := decodeLine(first, &named); err != nil {
		return nil, err
	}
	there, err := columnsOf(ctx, t, table)
	if err != nil {
		return nil, err
	}
	sorted := func(names []string) []string { return slices.Sorted(slices.Values(names)) }
	if named.Table != table || !slices.Equal(sorted(named.Columns), sorted(there)) {
		return nil, fmt.Errorf("%w: it has other tables or columns", ErrExportForm)
	}
	return named.Columns, nil
}

func insertInto(table exportedTable, columns []string) string {
	places := make([]string, len(columns))
	for i := range places {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	names, values := strings.Join(columns, ", "), strings.Join(places, ", ")
	return `INSERT INTO ` + table.name + ` (` + names + `) VALUES (` + values + `)` + table.conflict
}

// row reads one row, and gives it a new number where it needs one.
func (r *exportReader) row(table exportedTable, columns []string, line json.RawMessage) ([]any, error) {
	var texts []json.RawMessage
	if err := decodeLine(line, &texts); err != nil {
		return nil, err
	}
	if len(texts) != len(columns) {
		return nil, fmt.Errorf("%w: a row has %d values for %d columns", ErrExportDamaged, len(texts), len(columns))
	}
	row := make([]any, len(columns))
	for i, text := range texts {
		var err error
		if row[i], err = imported(text); err != nil {
			return nil, fmt.Errorf("%w: a row has a value of an unknown kind", ErrExportDamaged)
		}
		if r.renumber && table.name == "denial" && columns[i] == "number" {
			r.number++
			row[i] = r.number
		}
	}
	return row, nil
}

func columnsOf(ctx context.Context, q querier, table string) ([]string, error) {
	rows, err := q.query(ctx, `SELECT * FROM `+table+` WHERE 1 = 0`)
	if err != nil {
		return nil, failure(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, failure(err)
	}
	return columns, failure(rows.Close())
}
