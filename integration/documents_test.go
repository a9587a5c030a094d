package integration

import (
	"fmt"
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

// TestDocumentedCaddyfilesAdapt adapts every Caddyfile that a document shows. One that shows an option alone is put where the
// option belongs.
func TestDocumentedCaddyfilesAdapt(t *testing.T) {
	adaptedBlocks := 0
	for name, text := range documents.All(t) {
		for i, m := range caddyfileBlock.FindAllStringSubmatch(text, -1) {
			if syntaxWord.MatchString(m[1]) {
				continue
			}
			adaptedBlocks++
			t.Run(fmt.Sprintf("%s/%d", name, i+1), func(t *testing.T) {
				_, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(completed(m[1])), map[string]any{"filename": "Caddyfile"})
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

// completed puts an option of the global option `auth`, or that option itself, into a whole Caddyfile.
func completed(block string) string {
	indented := "\t" + strings.ReplaceAll(strings.TrimSuffix(block, "\n"), "\n", "\n\t") + "\n"
	switch word, _, _ := strings.Cut(block, " "); word {
	case "auth":
		return "{\n" + indented + "}\n"
	case "keys":
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
