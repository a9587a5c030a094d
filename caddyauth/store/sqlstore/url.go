package sqlstore

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
)

// forms is the end of every error about a store URL.
const forms = "write sqlite:///absolute/path.db, sqlite:relative/path.db, a file path or " +
	"postgres://user:password@host:port/database"

var urlScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// Canonical returns the canonical spelling of a store URL, so that two URLs of the same database
// are equal: sqlite:///absolute/path.db (symbolic links are not followed), or postgres:// with
// user, database, host, port and options in one order, defaults and what the environment adds
// filled in. The password is replaced by a fingerprint with a key of this process, so the result
// names a database and cannot be used to connect. It reads the working directory for relative
// paths, and the files that a PostgreSQL URL names, and nothing else. An error names the scheme or
// an option at most, because a URL may hold a password.
func Canonical(rawURL string) (string, error) {
	if isPostgres(rawURL) {
		server, err := parsePostgres(rawURL)
		if err != nil {
			return "", err
		}
		return server.canonical, nil
	}
	path, err := filePath(rawURL)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "sqlite", Path: slashed(path)}
	return u.String(), nil
}

// filePath is the absolute path of the database file that rawURL names.
func filePath(rawURL string) (string, error) {
	path := rawURL
	if scheme := urlScheme.FindString(rawURL); scheme != "" && !filepath.IsAbs(rawURL) {
		if err := checkScheme(strings.ToLower(scheme)); err != nil {
			return "", err
		}
		var err error
		if path, err = sqlitePath(rawURL[len(scheme):]); err != nil {
			return "", err
		}
	}
	switch {
	case path == "":
		return "", errors.New("store: the path is empty; " + forms)
	case strings.ContainsRune(path, 0):
		return "", errors.New("store: the path holds a NUL character; " + forms)
	case strings.Contains(path, ":memory:"):
		return "", errors.New("store: a database in memory would lose keys and counters at restart; " + forms)
	case strings.HasSuffix(path, "/"):
		return "", errors.New("store: the path ends in a slash and names a folder; " + forms)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("store: the path cannot be made absolute: %w", err)
	}
	return abs, nil
}

func checkScheme(scheme string) error {
	if scheme != "sqlite:" {
		return fmt.Errorf("store: unknown scheme %q; %s", scheme, forms)
	}
	return nil
}

// sqlitePath reads what follows `sqlite:`.
func sqlitePath(rest string) (string, error) {
	if strings.ContainsAny(rest, "?#") {
		return "", errors.New("store: a sqlite URL takes neither options nor a fragment (write ? as %3F and # as " +
			"%23 in a path); " + forms)
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		if !strings.HasPrefix(after, "/") {
			return "", errors.New("store: two slashes make the first word a host; " + forms)
		}
		rest = after
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return "", errors.New("store: the path holds a bad percent escape; " + forms)
	}
	return unslashed(path), nil
}

// slashed is path as a URL writes it: C:\x becomes /C:/x.
func slashed(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return path
}

func unslashed(path string) string {
	if tail, ok := strings.CutPrefix(path, "/"); ok && filepath.VolumeName(tail) != "" {
		path = tail
	}
	return filepath.FromSlash(path)
}
