package auth

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// The bits of a mode that let other users of the machine do something. A group may be meant.
const (
	anyOther     fs.FileMode = 0o007
	otherWriting fs.FileMode = 0o002
)

// privateFile is a file or folder that holds what signs tokens or the sessions.
type privateFile struct {
	path   string
	closed fs.FileMode // what no other user may have
	holds  string
}

// privateFiles are the sealing secret, the private keys and the database with its log, and the
// folders in which somebody could put others in their place. The secret's folder is the gateway's
// own; the database's may be for other things, too.
func (r report) privateFiles() []privateFile {
	var files []privateFile
	if r.server.Secret == nil {
		files = append(files,
			privateFile{config.DataDir(), anyOther, "the folder of the sealing secret"},
			privateFile{secretFile(), anyOther, "the sealing secret"})
	}
	for _, path := range r.store.Files() {
		files = append(files,
			privateFile{filepath.Dir(path), otherWriting, "the folder of the database"},
			privateFile{path, anyOther, "the database"})
	}
	for _, key := range r.server.PrivateKeyFiles {
		files = append(files, privateFile{key.Path, anyOther, "the private key " + key.KeyID})
	}
	return files
}

// findOpenFiles lists the private files that other users of the machine may read or change. Windows
// has no such modes.
func (r report) findOpenFiles() (found []finding.Finding) {
	if runtime.GOOS == "windows" {
		return nil
	}
	seen := map[string]bool{}
	for _, f := range r.privateFiles() {
		info, err := os.Stat(f.path)
		if err != nil || info.Mode()&f.closed == 0 || seen[f.path] {
			continue
		}
		seen[f.path] = true
		does := "may read or change"
		if f.closed == otherWriting {
			does = "may change"
		}
		found = append(found, finding.Finding{
			Severity: finding.Warning,
			Where:    f.path,
			Text: fmt.Sprintf("other users of this machine %s it (mode %04o); it is %s",
				does, info.Mode().Perm(), f.holds),
			Hint: fmt.Sprintf("take that away: chmod o-%s %s", letters(f.closed), f.path),
		})
	}
	return found
}

// letters are the bits as chmod writes them.
func letters(mode fs.FileMode) string {
	if mode == otherWriting {
		return "w"
	}
	return "rwx"
}
