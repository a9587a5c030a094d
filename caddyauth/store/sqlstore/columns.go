package sqlstore

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// columnNames are the names of a list of columns.
func columnNames(columns string) []string {
	return strings.FieldsFunc(columns, func(r rune) bool { return strings.ContainsRune(", \n\t", r) })
}

// qualified puts the name of a table before each column.
func qualified(table, columns string) string {
	return table + "." + strings.Join(columnNames(columns), ", "+table+".")
}

// assignments sets each column to its parameter, from $1 on.
func assignments(columns string) string {
	names := columnNames(columns)
	for i, name := range names {
		names[i] = fmt.Sprintf("%s = $%d", name, i+1)
	}
	return strings.Join(names, ", ")
}

// parameters are the parameters of the columns, from $1 on.
func parameters(columns string) string {
	names := columnNames(columns)
	for i := range names {
		names[i] = fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(names, ", ")
}

// changeRow sets the columns of a row if it still has a version. The parameters behind the columns
// are the time, the id and the version.
func changeRow(table, columns string) string {
	n := len(columnNames(columns))
	return fmt.Sprintf(`UPDATE %s SET %s, version = version + 1, changed = $%d WHERE id = $%d AND version = $%d`,
		table, assignments(columns), n+1, n+2, n+3)
}

// lifetimeColumns are those of clients and projects, in the order of lifetimeRow.
const lifetimeColumns = `access, refresh, refresh_absolute, code, device_code, id_token,
	own_access, own_refresh, own_refresh_absolute, own_code, own_device_code, own_id_token`

// lifetimeRow are the columns of the declared lifetimes and of those set through the API, in
// milliseconds.
type lifetimeRow [12]int64

// into are the targets of lifetimeColumns.
func (r *lifetimeRow) into() []any {
	targets := make([]any, len(r))
	for i := range r {
		targets[i] = &r[i]
	}
	return targets
}

func (r *lifetimeRow) lifetimes() (declared, own project.Lifetimes) {
	return lifetimesIn(r[:len(r)/2]), lifetimesIn(r[len(r)/2:])
}

func lifetimesIn(columns []int64) project.Lifetimes {
	d := func(i int) time.Duration { return time.Duration(columns[i]) * time.Millisecond }
	l := project.Lifetimes{
		Access:          d(0),
		Refresh:         d(1),
		RefreshAbsolute: d(2),
		Code:            d(3),
		DeviceCode:      d(4),
		IDToken:         d(5),
	}
	if l.Refresh < 0 {
		l.Refresh = project.None
	}
	return l
}

// lifetimeValues are the values of lifetimeColumns.
func lifetimeValues(declared, own project.Lifetimes) []any {
	var values []any
	for _, l := range []project.Lifetimes{declared, own} {
		idle := l.Refresh.Milliseconds()
		if l.Refresh < 0 {
			idle = -1 // project.None is less than a millisecond
		}
		values = append(values, l.Access.Milliseconds(), idle, l.RefreshAbsolute.Milliseconds(),
			l.Code.Milliseconds(), l.DeviceCode.Milliseconds(), l.IDToken.Milliseconds())
	}
	return values
}
