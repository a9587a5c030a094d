package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddyauth/gateway/caddyauth/module/authserver"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/jwtauth"
	"github.com/caddyauth/gateway/integration/documents"
)

// rule separates, in a golden file, what is read from what must come out.
const rule = "----------\n"

// golden is one file of testdata.
type golden struct{ path, name, input, want string }

func goldens(t *testing.T, folder string) []golden {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.caddyfiletest"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files in %s: %v", folder, err)
	}
	all := make([]golden, len(paths))
	for i, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		input, want, found := strings.Cut(string(text), rule)
		if !found {
			t.Fatalf("%s: no line %q", path, strings.TrimSpace(rule))
		}
		all[i] = golden{path, strings.TrimSuffix(filepath.Base(path), ".caddyfiletest"), input, want}
	}
	return all
}

// is compares what came out with what the file expects.
func (g golden) is(t *testing.T, got string) {
	t.Helper()
	if *documents.Update {
		if err := os.WriteFile(g.path, []byte(g.input+rule+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != g.want {
		t.Errorf("%s\ngot:\n%s\nwant:\n%s", g.path, got, g.want)
	}
}

// namesLine is how an error says where it is.
var namesLine = regexp.MustCompile(`Caddyfile:[1-9][0-9]*`)

func TestAdapt(t *testing.T) {
	for _, g := range goldens(t, "adapt") {
		t.Run(g.name, func(t *testing.T) {
			formatted(t, g)
			adapted, err := adapt(g.input)
			fails := strings.HasPrefix(g.name, "error_")
			switch {
			case err != nil && !fails:
				t.Fatal(err)
			case err == nil && fails:
				t.Fatal("it was taken")
			case err != nil:
				if !namesLine.MatchString(err.Error()) {
					t.Errorf("the error names no line: %v", err)
				}
				g.is(t, err.Error()+"\n")
			default:
				g.is(t, indented(t, adapted))
			}
		})
	}
}

// formatted demands that a file is written as `caddy fmt` would.
func formatted(t *testing.T, g golden) {
	t.Helper()
	_, warnings, _ := caddyconfig.GetAdapter("caddyfile").
		Adapt([]byte(g.input), map[string]any{"filename": "Caddyfile"})
	for _, w := range warnings {
		t.Errorf("%s:%d: %s", g.path, w.Line, w.Message)
	}
}

func indented(t *testing.T, adapted []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, adapted, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

// TestAdaptKnowsEveryWord holds the golden files against the syntax that the parser's comments
// promise: each option of each block must stand in a file that adapts.
func TestAdaptKnowsEveryWord(t *testing.T) {
	var files []string
	for _, pattern := range []string{"config/*.go", "*/caddyfile.go"} {
		found, err := filepath.Glob("../caddyauth/module/" + pattern)
		if err != nil || len(found) < 2 {
			t.Fatalf("the parser's files: %q, %v", found, err)
		}
		files = append(files, found...)
	}
	var promised []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		promised = append(promised, promisedWords(string(source))...)
	}
	seen := make(map[string]bool)
	for _, g := range goldens(t, "adapt") {
		if !strings.HasPrefix(g.name, "error_") {
			for _, word := range words(strings.Split(g.input, "\n")) {
				seen[word] = true
			}
		}
	}
	if len(promised) < 65 {
		t.Fatalf("only %d options were found in the comments: %q", len(promised), promised)
	}
	for _, word := range promised {
		if !seen[word] {
			t.Errorf("no golden file has %q", word)
		}
	}
}

// promisedWords are the options of the syntax blocks in comments, each behind the word of its
// block.
func promisedWords(source string) []string {
	var all, block []string
	for line := range strings.Lines(source) {
		if text, ok := strings.CutPrefix(line, "//\t"); ok {
			block = append(block, strings.TrimRight(text, "\n"))
			continue
		}
		all = append(all, words(block)...)
		block = nil
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// alternatives are the words of which an option takes one; each of them counts as an option of its
// own.
var alternatives = regexp.MustCompile(`^(mode|forward_preset|from|login|require|access_token_format|` +
	`refresh_rotation|revoke_refresh_on_password_change|revoke_all_on_logout) `)

// words lists the options of Caddyfile text as `block option`, and for some options as `block
// option value`.
func words(lines []string) []string {
	var all, blocks []string
	for _, line := range lines {
		line = strings.TrimSpace(line)
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if fields[0] == "}" {
			blocks = blocks[:max(0, len(blocks)-1)]
			continue
		}
		if len(blocks) > 0 {
			option := blocks[len(blocks)-1] + " " + fields[0]
			all = append(all, option)
			if alternatives.MatchString(line) {
				all = append(all, values(option, line)...)
			}
		}
		if strings.HasSuffix(line, "{") {
			blocks = append(blocks, fields[0])
		}
	}
	return all
}

// values are the literal words behind an option, apart from what stands for any value.
func values(option, line string) []string {
	var all []string
	for _, value := range regexp.MustCompile(`[|\s]+`).Split(line, -1)[1:] {
		if regexp.MustCompile(`^[a-z_]+$`).MatchString(value) {
			all = append(all, option+" "+value)
		}
	}
	return all
}

// TestAdaptKnowsEverySetting holds the golden files against the configuration structs: each JSON
// member must come out somewhere.
func TestAdaptKnowsEverySetting(t *testing.T) {
	var out strings.Builder
	for _, g := range goldens(t, "adapt") {
		if !strings.HasPrefix(g.name, "error_") {
			out.WriteString(g.want)
		}
	}
	for _, name := range members(reflect.TypeFor[config.Settings](), reflect.TypeFor[jwtauth.JWTAuth](),
		reflect.TypeFor[authserver.AuthServer]()) {
		if !strings.Contains(out.String(), `"`+name+`":`) {
			t.Errorf("no golden file makes the JSON member %q", name)
		}
	}
}

// members lists the JSON names of structs and of the structs in them.
func members(types ...reflect.Type) []string {
	var all []string
	for _, typ := range types {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			continue
		}
		for field := range typ.Fields() {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
				all = append(all, name)
				all = append(all, members(field.Type)...)
			}
		}
	}
	return all
}

// TestRefused holds the words with which a configuration that adapts is refused when it is loaded.
// A file may say `# env NAME=value` for the environment, `# names <text>` for what the error must
// name, and `# secret <text>` for what it must not hold.
func TestRefused(t *testing.T) {
	for _, g := range goldens(t, "refused") {
		t.Run(g.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("XDG_DATA_HOME", dir)
			formatted(t, g)
			for line := range strings.Lines(g.input) {
				if pair, ok := strings.CutPrefix(strings.TrimSpace(line), "# env "); ok {
					name, value, _ := strings.Cut(pair, "=")
					t.Setenv(name, value)
				}
			}
			err := validate(g.input)
			if err == nil {
				t.Fatal("it was taken")
			}
			g.is(t, lastModule.ReplaceAllString(err.Error(), "")+"\n")
			g.checkWords(t, err.Error())
			if left := files(t, dir); len(left) > 0 {
				t.Errorf("a refused configuration left %q", left)
			}
		})
	}
}

// lastModule is what Caddy says before the module that refused; with several apps it is not the
// same each time, as it loads them in any order.
var lastModule = regexp.MustCompile(`^.*provision `)

func (g golden) checkWords(t *testing.T, message string) {
	t.Helper()
	named := false
	for line := range strings.Lines(g.input) {
		line = strings.TrimSpace(line)
		if word, ok := strings.CutPrefix(line, "# names "); ok {
			named = true
			if !strings.Contains(message, word) {
				t.Errorf("the error does not name %s: %s", word, message)
			}
		}
		if secret, ok := strings.CutPrefix(line, "# secret "); ok && strings.Contains(message, secret) {
			t.Errorf("the error holds a secret: %s", message)
		}
	}
	if !named {
		t.Errorf("%s: say what the error must name", g.path)
	}
	if strings.Contains(message, "\n") {
		t.Errorf("the error is more than a line: %q", message)
	}
}

// validate does what `caddy validate` does.
func validate(text string) error {
	adapted, err := adapt(text)
	if err != nil {
		return err
	}
	var cfg *caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapted, &cfg); err != nil {
		return err
	}
	return caddy.Validate(cfg)
}

// files lists all files below dir.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
