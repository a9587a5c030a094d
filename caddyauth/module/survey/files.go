package survey

import (
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// relativeFile is the placeholder for the path of the file that a matcher has found.
const relativeFile = "http.matchers.file.relative"

// files are the paths to which a rewrite by a `file` matcher may lead, whichever file is there.
// They stand for what the matcher finds where that cannot be asked beforehand, for example because
// `root` comes between.
type files struct {
	patterns []string // with the request's path at the beginning, or without placeholders
	split    []string
}

const pathPlaceholder = "{http.request.uri.path}"

// filesOf returns the files of a rewrite that leads to the file which the matcher of its own route
// has found; nil for any other rewrite, and where the patterns do not tell the paths.
func filesOf(h *rewrite.Rewrite, at position, set setters) *files {
	target, _, _ := strings.Cut(h.URI, "?")
	other := h.StripPathPrefix + h.StripPathSuffix
	if target != "{"+relativeFile+"}" || other != "" || len(h.URISubstring) > 0 || len(h.PathRegexp) > 0 ||
		len(at.steps) == 0 || at.captures != set.captures {
		return nil
	}
	found := new(files)
	for _, matchers := range at.steps[len(at.steps)-1].match {
		here := 0
		for _, matcher := range matchers {
			file, ok := matcher.(*fileserver.MatchFile)
			if value, plain := matcher.(fileserver.MatchFile); plain {
				file, ok = &value, true
			}
			switch {
			case ok && len(file.TryFiles) > 0 && !slices.ContainsFunc(file.TryFiles, isOpen):
				here++
				found.patterns = append(found.patterns, file.TryFiles...)
				found.split = append(found.split, file.SplitPath...)
			case ok, looksForFiles(matcher, ""): // it may have found another file
				return nil
			}
		}
		if here != 1 {
			return nil
		}
	}
	return found
}

// isOpen reports whether a pattern holds more than the path and text.
func isOpen(pattern string) bool {
	rest, _ := strings.CutPrefix(pattern, pathPlaceholder)
	return strings.ContainsAny(rest, `{*?[\`)
}

// of returns the paths of the files for a request's path.
func (f *files) of(requested string) (all []string) {
	for _, pattern := range f.patterns {
		if strings.HasPrefix(pattern, "=") {
			continue // an error
		}
		expanded := pattern
		if rest, ok := strings.CutPrefix(pattern, pathPlaceholder); ok {
			expanded = requested + rest
		}
		file := path.Clean("/" + expanded)
		if strings.HasSuffix(expanded, "/") && file != "/" {
			file += "/"
		}
		all = append(all, file)
		for _, split := range f.split {
			if before, ok := cutFold(file, split); ok {
				all = append(all, before)
			}
		}
	}
	return all
}

// cutFold returns the text up to the first place where a separator ends a segment, with it.
func cutFold(text, separator string) (string, bool) {
	for i := 0; i+len(separator) < len(text); i++ {
		end := i + len(separator)
		if strings.EqualFold(text[i:end], separator) && text[end] == '/' {
			return text[:end], true
		}
	}
	return "", false
}

// knowsButFiles reports whether everything about a rewrite can be worked out beforehand but the
// file to which it leads, which is one of a few.
func (b between) knowsButFiles(r rewriteBehind, steps []step) bool {
	if r.files == nil {
		return false
	}
	for _, placeholder := range placeholdersOf(r.rewrite) {
		if placeholder != "{"+relativeFile+"}" && !b.knows(placeholder) {
			return false
		}
	}
	for i, s := range steps {
		if i < len(steps)-1 {
			if !b.knowsSteps(steps[i : i+1]) {
				return false
			}
			continue
		}
		for _, matchers := range s.match {
			for _, matcher := range matchers {
				if moduleID(matcher) != "http.matchers.file" && !b.knowsMatcher(matcher) {
					return false
				}
			}
		}
		if slices.ContainsFunc(s.unless, func(sets caddyhttp.MatcherSets) bool { return !b.knowsSets(sets) }) {
			return false
		}
	}
	return true
}
