package documents

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedFilesExist holds the walk of docs/architecture.md: every file that it names for a
// change is there and is found by its name, and no change takes more than five.
func TestDocumentedFilesExist(t *testing.T) {
	_, walk, found := strings.Cut(Read(t, "docs/architecture.md"), "\n## Ten changes, file by file\n")
	if !found {
		t.Fatal("docs/architecture.md has no section `Ten changes, file by file`")
	}
	walk, _, _ = strings.Cut(walk, "\n## ")
	files, named, rows := filesOf(t), regexp.MustCompile("`([^`]+)`"), 0
	for line := range strings.SplitSeq(walk, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.Contains(cells[1], "---") || strings.TrimSpace(cells[1]) == "change" {
			continue
		}
		rows++
		t.Run(strings.TrimSpace(cells[1]), func(t *testing.T) {
			names := named.FindAllStringSubmatch(cells[2], -1)
			if len(names) == 0 || len(names) > 5 {
				t.Errorf("%d files", len(names))
			}
			for _, name := range names {
				if n := countNamed(files, name[1]); n != 1 {
					t.Errorf("%s names %d files", name[1], n)
				}
			}
		})
	}
	if rows < 10 {
		t.Errorf("%d changes", rows)
	}
}

// filesOf are the paths of all files of the checkout.
func filesOf(t *testing.T) (files []string) {
	err := fs.WalkDir(os.DirFS(Root(t)), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == ".git" {
			return fs.SkipDir
		}
		if err == nil && !entry.IsDir() {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// countNamed counts the files whose path ends with the name.
func countNamed(files []string, name string) (n int) {
	for _, file := range files {
		if file == name || strings.HasSuffix(file, "/"+name) {
			n++
		}
	}
	return n
}
