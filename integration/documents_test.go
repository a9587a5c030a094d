package integration

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddyauth/gateway/integration/documents"
)

var (
	// caddyfileBlock finds the Caddyfiles that documents show.
	caddyfileBlock = regexp.MustCompile("(?ms)^ *```caddyfile\n(.*?)^ *```$")
	// syntaxWord tells a description of the syntax (`issuer <text>`) from a Caddyfile.
	syntaxWord = regexp.MustCompile(`<[a-z]`)
)

// TestDocumentedCaddyfilesAdapt adapts every Caddyfile that a document shows. One that shows an
// option alone is put where the option belongs.
func TestDocumentedCaddyfilesAdapt(t *testing.T) {
	adaptedBlocks := 0
	for name, text := range documents.All(t) {
		for i, m := range caddyfileBlock.FindAllStringSubmatch(text, -1) {
			if syntaxWord.MatchString(m[1]) {
				continue
			}
			adaptedBlocks++
			t.Run(fmt.Sprintf("%s/%d", name, i+1), func(t *testing.T) {
				_, warnings, err := caddyconfig.GetAdapter("caddyfile").
					Adapt([]byte(completed(m[1])), map[string]any{"filename": "Caddyfile"})
				if err != nil {
					t.Errorf("%v\n%s", err, m[1])
				}
				for _, w := range warnings {
					t.Errorf("line %d: %s\n%s", w.Line, w.Message, m[1])
				}
			})
		}
	}
	if adaptedBlocks < 8 {
		t.Errorf("only %d Caddyfiles were found", adaptedBlocks)
	}
}

// completed puts an option of the global option `auth`, or that option itself, into a whole
// Caddyfile.
func completed(block string) string {
	indented := "\t" + strings.ReplaceAll(strings.TrimSuffix(block, "\n"), "\n", "\n\t") + "\n"
	switch word, _, _ := strings.Cut(block, " "); word {
	case "auth":
		return "{\n" + indented + "}\n"
	case "keys", "client", "user":
		return completed("auth {\n\tissuer https://auth.example.com\n" + indented + "}\n")
	}
	return block
}

// TestReadmeCaddyfileIsValid provisions the Caddyfile of the README as `caddy validate` does.
func TestReadmeCaddyfileIsValid(t *testing.T) {
	blocks := caddyfileBlock.FindStringSubmatch(documents.Read(t, "README.md"))
	if blocks == nil {
		t.Fatal("README.md shows no Caddyfile")
	}
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("ALICE_PASSWORD_HASH", "$2a$10$bhGgdX9QL4tsyw2ejbbDlObjD6DPPISgBrxS53MPqQHU45DcZlPMu")
	adapted, err := adapt(blocks[1])
	if err != nil {
		t.Fatal(err)
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err != nil {
		t.Error(err)
	}
}

// TestReadmeQuickStart runs the commands of the README's quick start against Caddyfile.example, and
// looks for the lines that the README shows as their output, in order.
func TestReadmeQuickStart(t *testing.T) {
	output := runReadme(t, "login() {", 10)
	if strings.Count(output, "X-User-Id: alice") != 2 || strings.Contains(output, "eve") {
		t.Errorf("forged headers change the answer:\n%s", output)
	}
}

// TestReadmeSecondApplication signs in to the example's OpenID Connect application as the README does.
func TestReadmeSecondApplication(t *testing.T) { runReadme(t, "auth=http://", 1) }

// runReadme runs the commands of the README that begin so against Caddyfile.example, compares the
// lines that are shown as their output, at least as many, and returns all output.
func runReadme(t *testing.T, begin string, lines int) string {
	t.Helper()
	requireProgram(t, "curl")
	bash := requireProgram(t, "bash")
	_, section, _ := strings.Cut(documents.Read(t, "README.md"), "\n```sh\n"+begin)
	script, _, found := strings.Cut(section, "\n```\n")
	if !found {
		t.Fatalf("README.md shows no commands that begin with %s", begin)
	}
	g := newGateway(t)
	g.loadExample(t)
	commands := strings.NewReplacer("localhost:8080", g.host("app"), "localhost:8081", g.host("auth"),
		"localhost:9000", g.host("legacy")).Replace(begin + script)
	output, err := exec.CommandContext(t.Context(), bash, "-c", commands).Output()
	if err != nil {
		t.Fatal(err)
	}
	if shown := compareOutput(t, script, string(output)); shown < lines {
		t.Errorf("only %d lines of output were found", shown)
	}
	return string(output)
}

// compareOutput looks for the lines that comments show, in order, and returns how many there are. A
// comment that ends with a full stop is a sentence.
func compareOutput(t *testing.T, script, output string) (shown int) {
	t.Helper()
	// Whatever is printed besides (other headers, the date) is skipped.
	printed := strings.Split(output, "\n")
	for line := range strings.Lines(script) {
		want, isOutput := strings.CutPrefix(strings.TrimSpace(line), "# ")
		if !isOutput || strings.HasSuffix(want, ".") {
			continue
		}
		shown++
		for len(printed) > 0 && strings.TrimSpace(printed[0]) != want {
			printed = printed[1:]
		}
		if len(printed) == 0 {
			t.Fatalf("the commands do not print %q, or not in this order:\n%s", want, output)
		}
		printed = printed[1:]
	}
	return shown
}
