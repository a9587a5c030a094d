package documents

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPerformanceIsDocumented renders the table of README.md from what bench/run.sh wrote into
// bench/RESULTS.md.
func TestPerformanceIsDocumented(t *testing.T) {
	results := Read(t, "bench/RESULTS.md")
	var b strings.Builder
	b.WriteString("| one request | throughput by the base | CPU |\n| --- | --- | --- |\n")
	for _, row := range []struct{ name, part, arm string }{
		{"base: `reverse_proxy`, four headers from constants", "hot", "same bytes, four headers from constants"},
		{"gate, one ES256 token", "hot", "gate, one ES256 token, four claims forwarded"},
		{"gate, 10,000 ES256 tokens in turn", "hot", "gate, 10000 ES256 tokens in turn"},
		{"gate, every token new, ES256", "cold", "gate, every token new, ES256"},
		{"`forward_auth` to an authenticator that does nothing", "peers", "forward_auth to a no-op"},
	} {
		ratio := span(t, results, row.part, row.arm, "x headers", 2)
		cpu := span(t, results, row.part, row.arm, "CPU us/request", 0)
		fmt.Fprintf(&b, "| %s | %s | %s µs |\n", row.name, ratio, cpu)
	}
	Compare(t, "README.md", "performance", b.String())
}

// span says between which values the runs of one part have a column of one arm.
func span(t *testing.T, results, part, arm, column string, decimals int) string {
	t.Helper()
	var values []float64
	for _, run := range regexp.MustCompile(`(?s)<!-- begin \d\.`+part+`\.\d+ -->\n(.*?)<!-- end`).
		FindAllStringSubmatch(results, -1) {
		_, table, _ := strings.Cut(run[1], "\n| arm |")
		header, _, _ := strings.Cut(table, "\n")
		index := slices.Index(cells("| arm |"+header), column)
		_, row, found := strings.Cut(table, "\n| "+arm+" |")
		row, _, _ = strings.Cut(row, "\n")
		if index < 0 || !found {
			t.Fatalf("bench/RESULTS.md: a run of %q has no %q of %q", part, column, arm)
		}
		value, err := strconv.ParseFloat(cells("| " + arm + " |" + row)[index], 64)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	if len(values) == 0 {
		t.Fatalf("bench/RESULTS.md has no run of %q", part)
	}
	least := strconv.FormatFloat(slices.Min(values), 'f', decimals, 64)
	most := strconv.FormatFloat(slices.Max(values), 'f', decimals, 64)
	if least == most {
		return least
	}
	return least + " to " + most
}

// cells returns the cells of a row of a table.
func cells(row string) []string {
	all := strings.Split(strings.Trim(row, "| "), "|")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}
