package caddyauth

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	verify "github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/integration/documents"
)

// caddyfileForms says how a setting is written in a Caddyfile where that is not its JSON name. A
// form with an argument is whole; another one is a word in the block of the setting that holds it.
var caddyfileForms = map[string]string{
	"Keys.Secrets":            "keys <kid:base64,...>",
	"Keys.Texts":              "secret_text",
	"Keys.Files":              "file",
	"SecretText.ID":           "keys { secret_text <kid> }",
	"SecretText.Secret":       "keys { secret_text <kid> <text> }",
	"KeyFile.ID":              "keys { file <kid> }",
	"KeyFile.Path":            "keys { file [<kid>] <path> }",
	"Trust.Issuer":            "trust <issuer>",
	"Settings.Users":          "user",
	"TrustedAssertions.Users": "assertions { user <value> <name> }",
	"User.Name":               "user <name>",
	"User.Claims":             "claim",
	"Connections.Most":        "auth_connections [<most>]",
	"Verdict.Proxy":           "auth_verdict <proxy>",
	"JWTAuth.Audiences":       "jwt_auth <audience...>",
	"JWTAuth.Issuers":         "issuer",
	"JWTAuth.Rules":           "require",
	"JWTAuth.Presets":         "forward_preset",
	"Rule.Claim":              "require <claim>",
	"Rule.Values":             "require <claim> <values...>",
	"Rule.Deny":               "deny <claim> [<values...>]",
	"Forward.Claim":           "forward <claim>",
	"Forward.Header":          "forward <claim> <header>",
	"JWTAuth.Apps":            "app",
	"App.Name":                "app <name>",
	"App.URL":                 "app <name> <url>",
	"App.Icon":                "app <name> <url> icon <url>",
	"From.Kind":               "from <kind>",
	"From.Name":               "from <kind> <name>",

	"Client.IdentityAssertions": "identity_assertion",
	"ClientAssertions.Issuer":   "client { identity_assertion <issuer> }",

	"Introspection.URL":          "introspection <url>",
	"Introspection.ClientID":     "introspection <url> <client_id>",
	"Introspection.ClientSecret": "introspection <url> <client_id> <client_secret>",

	"Settings.Scopes":                      "scope",
	"Scope.Name":                           "scope <name>",
	"Settings.Projects":                    "project",
	"Project.Slug":                         "project <slug>",
	"Settings.Clients":                     "client",
	"Client.ID":                            "client <id>",
	"Client.Claims":                        "claim",
	"Client.Secrets":                       "secret",
	"ClientSecret.Secret":                  "client { secret <text> }",
	"ClientSecret.Expires":                 "client { secret <text> <end> }",
	"Client.RedirectURIs":                  "redirect_uri",
	"Client.PostLogoutRedirectURIs":        "post_logout_redirect_uri",
	"Client.Resources":                     "resource",
	"Client.Scopes":                        "scope",
	"Registration.InitialAccessTokens":     "initial_access_token",
	"Rate.Burst":                           "registration { address_rate <burst> }",
	"Rate.Every":                           "registration { address_rate <burst> <every> }",
	"Settings.KeepRefreshOnPasswordChange": "revoke_refresh_on_password_change off",
	"Project.KeepRefreshOnPasswordChange":  "revoke_refresh_on_password_change off",
	"Limits.MinAccessToken":                "limits { access_token <shortest> }",
	"Limits.MaxAccessToken":                "limits { access_token <shortest> <longest> }",
	"Limits.MinRefreshToken":               "limits { refresh_token <shortest> }",
	"Egress.Allow":                         "egress { allow }",
	"Egress.CA":                            "egress { ca }",
	"Limits.MaxRefreshToken":               "limits { refresh_token <shortest> <longest> }",
}

func TestSettingsAreDocumented(t *testing.T) {
	s := readStructs(t, append(settingsFiles(t),
		"module/authserver/authserver.go", "module/jwtauth/jwtauth.go", "module/verdict/verdict.go",
		"module/connections/connections.go")...)
	words := literals(t, append(settingsFiles(t),
		"module/option/args.go", "module/auth/caddyfile.go", "module/jwtauth/caddyfile.go",
		"module/authserver/caddyfile.go", "module/verdict/caddyfile.go", "module/connections/connections.go")...)
	reference := documents.Read(t, "docs/caddyfile.md")
	var b strings.Builder
	for _, root := range []struct{ title, structure string }{
		{"Global option `auth`", "Settings"}, {"Directive `auth_server`", "AuthServer"},
		{"Directive `jwt_auth`", "JWTAuth"}, {"Directive `auth_verdict`", "Verdict"},
		{"Listener wrapper `auth_connections`", "Connections"},
	} {
		fmt.Fprintf(&b, "## %s\n\n| Caddyfile | JSON | what it says | default |\n| --- | --- | --- | --- |\n",
			root.title)
		for _, row := range s.rows(t, root.structure, "", "") {
			row.check(t, words, reference)
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", row.caddyfile, row.json, cell(row.text), cell(row.fallback))
		}
		b.WriteString("\n")
	}
	for name := range s {
		t.Errorf("%s has settings, but no setting holds it", name)
	}
	documents.Compare(t, "docs/reference/settings.md", "settings", strings.TrimSuffix(b.String(), "\n"))
}

// settingsFiles are the files of the global option.
func settingsFiles(t *testing.T) []string {
	files, err := filepath.Glob("module/config/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
}

// setting is one row of the table.
type setting struct {
	name, caddyfile, json string
	text, fallback        string
}

// check refuses a setting that says neither its default nor that it is required, whose words the
// Caddyfile parser does not know, or that docs/caddyfile.md does not explain.
func (s setting) check(t *testing.T, words map[string]bool, reference string) {
	if s.fallback == "" {
		t.Errorf("%s: its comment ends neither in `Default: X.` nor in `Required.`", s.name)
	}
	for word := range strings.FieldsSeq(regexp.MustCompile(`<[^>]*>|[{}\[\]]`).ReplaceAllString(s.caddyfile, "")) {
		if !words[word] {
			t.Errorf("%s: the Caddyfile parser does not know the word %q; write its form into caddyfileForms", s.name,
				word)
		}
		if !strings.Contains(reference, "`"+word) && !strings.Contains(reference, "\n### "+word) {
			t.Errorf("%s: docs/caddyfile.md does not explain `%s`", s.name, word)
		}
	}
}

// structs are the struct types with JSON members of some files, by name.
type structs map[string]*ast.StructType

func readStructs(t *testing.T, files ...string) structs {
	found := make(structs)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if structure, ok := spec.Type.(*ast.StructType); ok &&
					slices.ContainsFunc(structure.Fields.List, hasJSON) {
					found[spec.Name.Name] = structure
				}
			}
			return true
		})
	}
	return found
}

// rows takes a struct out and lists its settings and, after each that holds settings of its own,
// those.
func (s structs) rows(t *testing.T, name, path, block string) []setting {
	structure := s[name]
	if structure == nil {
		t.Fatalf("there is no struct %s", name)
	}
	delete(s, name)
	var rows []setting
	for _, field := range structure.Fields.List {
		if !hasJSON(field) {
			continue
		}
		tag := jsonName(field)
		row := setting{name: name + "." + field.Names[0].Name, json: path + tag}
		word, renamed := caddyfileForms[row.name]
		if !renamed {
			word = tag
		}
		row.caddyfile = word
		if block != "" && !strings.Contains(word, "<") {
			outer, inside := strings.CutSuffix(block, " }")
			row.caddyfile = outer + " { " + word + " }"
			if inside {
				row.caddyfile += " }"
			}
		}
		row.text, row.fallback = splitDefault(field.Doc.Text())
		inner, list := typeName(field.Type)
		_, group := s[inner]
		if _, value := field.Type.(*ast.Ident); group && value && row.fallback == "" {
			row.fallback = "each its own"
		}
		rows = append(rows, row)
		if !group {
			continue
		}
		beneath := row.json + "."
		if list {
			beneath = row.json + "[]."
		}
		rows = append(rows, s.rows(t, inner, beneath, row.caddyfile)...)
	}
	return rows
}

func hasJSON(field *ast.Field) bool { return jsonName(field) != "" && len(field.Names) == 1 }

func jsonName(field *ast.Field) string {
	if field.Tag == nil {
		return ""
	}
	tag, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	return name
}

// typeName returns the name of a field's type, without pointer and list.
func typeName(expr ast.Expr) (name string, list bool) {
	switch e := expr.(type) {
	case *ast.Ident:
		return e.Name, false
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.ArrayType:
		name, _ = typeName(e.Elt)
		return name, true
	}
	return "", false
}

var ending = regexp.MustCompile(`(?s)^(.*?)\s*(?:Default: (.+)|(Required\b.*))\.$`)

// splitDefault takes the last sentence of a comment apart from the rest.
func splitDefault(comment string) (text, fallback string) {
	comment = strings.Join(strings.Fields(comment), " ")
	m := ending.FindStringSubmatch(comment)
	if m == nil {
		return comment, ""
	}
	return m[1], m[2] + strings.ToLower(m[3])
}

// TestReasonsAreDocumented compares the table of reason codes with the codes and with what a gate
// makes of them. Each code also has a section in docs/troubleshooting.md.
func TestReasonsAreDocumented(t *testing.T) {
	data := documents.Read(t, "docs/security.md")
	documented := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([0-9]+) \\| ([a-z_-]+) \\|").
		FindAllStringSubmatch(data, -1) {
		reason := verify.Reason(row[1])
		documented[row[1]] = true
		code := gate.ErrorCode(reason)
		if code == "" {
			code = "-"
		}
		if want := strconv.Itoa(gate.Status(reason)); row[2] != want || row[3] != code {
			t.Errorf("docs/security.md says %q, want %s and %s", row[0], want, code)
		}
	}
	advice := documents.Read(t, "docs/troubleshooting.md")
	known := reasons(t, "jose/token/reason.go", "guard/gate/reason.go")
	for _, reason := range known {
		if !slices.Contains(gate.Reasons, verify.Reason(reason)) {
			t.Errorf("gate.Reasons lacks %s", reason)
		}
		if !strings.Contains(advice, "\n### "+reason+"\n\n") {
			t.Errorf("docs/troubleshooting.md has no section %q", reason)
		}
	}
	for _, reason := range known {
		if !documented[reason] {
			t.Errorf("docs/security.md lacks the reason %q", reason)
		}
		delete(documented, reason)
	}
	for reason := range documented {
		t.Errorf("docs/security.md has the reason %q, which is none of %q", reason, known)
	}
}

// reasons lists the constants of type Reason in some files.
func reasons(t *testing.T, files ...string) []string {
	var found []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !isReason(spec.Type) {
				return true
			}
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, word)
			return true
		})
	}
	return found
}

func isReason(expr ast.Expr) bool {
	if selector, ok := expr.(*ast.SelectorExpr); ok {
		return selector.Sel.Name == "Reason"
	}
	name, ok := expr.(*ast.Ident)
	return ok && name.Name == "Reason"
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// literals returns the string literals of some files.
func literals(t *testing.T, files ...string) map[string]bool {
	found := make(map[string]bool)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					found[text] = true
				}
			}
			return true
		})
	}
	return found
}
