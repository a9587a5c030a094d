package documents

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestMessagesOfTheLogAreDocumented: each message from info on has a row in docs/operations.md, at least with
// what stands before a colon or semicolon. The lines of events are put together, and have a test of their
// own.
func TestMessagesOfTheLogAreDocumented(t *testing.T) {
	row := regexp.MustCompile(`(?m)^\| (?:info|warn|error) \|.*$`)
	rows := strings.Join(row.FindAllString(Read(t, "docs/operations.md"), -1), "\n")
	seen := 0
	root := filepath.Join(Root(t), "caddyauth", "module")
	err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if message := loggedBy(n); message != "" {
				seen++
				if head := regexp.MustCompile(`^[^:;]+`).FindString(message); !strings.Contains(rows, head) {
					t.Errorf("%s: no row for %q", name, head)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || seen < 30 {
		t.Errorf("%d messages in the source: %v", seen, err)
	}
}

// loggedBy returns the message that a call logs; empty for what is no such call, and for one whose
// message is not written there.
func loggedBy(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	message := -1
	switch method.Sel.Name {
	case "Info", "Warn", "Error", "warn":
		message = 0
	case "Check":
		message = 1
	}
	if message < 0 || len(call.Args) <= message {
		return ""
	}
	return textOf(call.Args[message])
}

// textOf is the text of a literal, or of several with a plus between; empty for anything else.
func textOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		if left, right := textOf(e.X), textOf(e.Y); left != "" && right != "" {
			return left + right
		}
	}
	return ""
}
