package finding

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says what follows from a finding.
type Severity string

const (
	// Error marks a configuration that cannot work, although a server would start with it. `check`
	// exits with 1.
	Error Severity = "error"
	// Warning marks what is allowed and dangerous, or most likely not intended.
	Warning Severity = "warning"
	// Note marks what may be intended and cannot be decided from the configuration alone.
	Note Severity = "note"
)

// severities are all severities, in the order in which findings are sorted.
var severities = []Severity{Error, Warning, Note}

// Finding is one remark about a configuration. It holds no secret.
type Finding struct {
	Severity Severity `json:"severity"`
	Where    string   `json:"where,omitempty"` // the server, route, gate, user or option
	Text     string   `json:"text"`            // what is wrong, and what follows from it
	Hint     string   `json:"hint,omitempty"`  // what to change
}

// String returns the finding as one line.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", f.Severity)
	if f.Where != "" {
		b.WriteString(f.Where + ": ")
	}
	b.WriteString(f.Text)
	if f.Hint != "" {
		b.WriteString("; " + f.Hint)
	}
	return b.String()
}

// Sort sorts findings, errors first, and removes duplicates.
func Sort(found []Finding) []Finding {
	slices.SortFunc(found, func(x, y Finding) int {
		return cmp.Or(
			slices.Index(severities, x.Severity)-slices.Index(severities, y.Severity),
			cmp.Compare(x.Where, y.Where),
			cmp.Compare(x.Text, y.Text),
			cmp.Compare(x.Hint, y.Hint),
		)
	})
	return slices.Compact(found)
}

// HasError reports whether any finding is an error.
func HasError(found []Finding) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return f.Severity == Error })
}
