package auth

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// severity says what follows from a finding.
type severity string

const (
	// severe is a configuration that cannot work, though a server would start with it: `check` ends with exit code 1.
	severe severity = "error"
	// warned is what is allowed and dangerous, or most likely not meant.
	warned severity = "warning"
	// noted is what may be meant, and cannot be decided from the configuration alone.
	noted severity = "note"
)

// finding is one remark about a configuration. Nothing in it is a secret.
type finding struct {
	Severity severity `json:"severity"`
	Where    string   `json:"where,omitempty"` // the server, route, gate, user or option
	Text     string   `json:"text"`            // what is wrong, and what follows from it
	Hint     string   `json:"hint,omitempty"`  // what to change
}

// configChecks are what `check` asks of a provisioned configuration. Each stands in a file of its own concern, reads the
// configuration, and writes nothing. Findings may come twice; they are sorted, and printed once.
var configChecks = []func(a *App, ctx caddy.Context) []finding{
	(*App).findUnguarded,
	(*App).findGates,
	(*App).findUsers,
	(*App).findGateIdentity,
	(*App).findHashKinds,
	(*App).findRewritten,
	(*App).findBeside,
	(*App).findOpenFiles,
	(*App).findSignIn,
}

// findings runs all checks.
func (a *App) findings(ctx caddy.Context) (found []finding) {
	for _, check := range configChecks {
		found = append(found, check(a, ctx)...)
	}
	slices.SortFunc(found, func(x, y finding) int {
		return cmp.Or(slices.Index(severities, x.Severity)-slices.Index(severities, y.Severity),
			cmp.Compare(x.Where, y.Where), cmp.Compare(x.Text, y.Text), cmp.Compare(x.Hint, y.Hint))
	})
	return slices.Compact(found)
}

var severities = []severity{severe, warned, noted}

// failed reports whether any finding is an error.
func failed(found []finding) bool {
	return slices.ContainsFunc(found, func(f finding) bool { return f.Severity == severe })
}

// String is the finding as one line.
func (f finding) String() string {
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

// printFindings prints one line for each finding, and `ok` unless one is an error.
func printFindings(w io.Writer, found []finding) {
	for _, f := range found {
		fmt.Fprintln(w, f)
	}
	if !failed(found) {
		fmt.Fprintln(w, "ok")
	}
}

// printFindingsJSON prints one object for programs.
func printFindingsJSON(w io.Writer, found []finding) error {
	if found == nil {
		found = []finding{} // [] for readers that do not expect null
	}
	return encodeJSON(w, struct {
		OK       bool      `json:"ok"`
		Findings []finding `json:"findings"`
	}{!failed(found), found})
}

// encodeJSON prints a value as JSON with indents.
func encodeJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}
