package weburl

import (
	"net/url"
	"slices"
	"strings"
)

// Eraser takes the values of parameters out of texts that repeat them: a URL in a parameter of
// another, escaped once or several times, does not show its parameters as its own.
type Eraser struct {
	named []string // a name and what stands between it and its value, in lower case
	value [][]string
	bare  []string
}

// levels is how often a repeated value may be escaped.
const levels = 3

// maxErased is for how many different parameters an Eraser looks. A client that sends many would
// have every header searched for each; gates refuse requests with more than one.
const maxErased = 4

// NewEraser returns an Eraser for parameters as they were written. Values that alone says are
// tokens are erased wherever they stand, all others where they follow their name: text that a
// proxy or the application relies on may be the same by chance or on purpose.
func NewEraser(parameters []string, alone func(value string) bool) *Eraser {
	e := new(Eraser)
	var seen []string
	for _, parameter := range parameters {
		name, value, _ := strings.Cut(parameter, "=")
		if value == "" || slices.Contains(seen, parameter) {
			continue
		}
		if seen = append(seen, parameter); len(seen) > maxErased {
			break
		}
		values := escapes(value, unescape(value))
		if alone != nil && alone(unescape(value)) {
			e.bare = append(e.bare, values...)
		}
		for _, name := range escapes(name, strings.TrimSpace(unescape(name))) {
			for _, equals := range escapes("=") {
				e.named, e.value = append(e.named, name+equals), append(e.value, values)
			}
		}
	}
	return e
}

// escapes returns texts, and what they become when they are escaped, in lower case, the longest
// first.
func escapes(texts ...string) []string {
	var all []string
	for _, text := range texts {
		all = append(all, lower(text), lower(url.PathEscape(text)))
		for range levels {
			text = url.QueryEscape(text)
			all = append(all, lower(text))
		}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(all)
}

// Erase returns the text without the values.
func (e *Eraser) Erase(text string) string {
	for i, named := range e.named {
		text = replace(text, named, func(low string, start, end int) (from, to int) {
			if !beginsName(low[:start]) {
				return end, end
			}
			for _, value := range e.value[i] {
				if strings.HasPrefix(low[end:], value) && !continues(low[end+len(value):]) {
					return end, end + len(value)
				}
			}
			return end, end
		}, "")
	}
	for _, value := range e.bare {
		// What stands around the value must not become one word: it was checked as two.
		text = replace(text, value, func(_ string, start, end int) (int, int) { return start, end }, "()")
	}
	return text
}

// replace finds word in text, whatever the case, and puts other in place of what found names of it.
func replace(text, word string, found func(low string, start, end int) (from, to int), other string) string {
	if len(text) < len(word) {
		return text
	}
	var b strings.Builder
	low, done := lower(text), 0
	for at := 0; ; {
		start := strings.Index(low[at:], word)
		if start < 0 {
			break
		}
		from, to := found(low, at+start, at+start+len(word))
		if from < to {
			b.WriteString(text[done:from])
			b.WriteString(other)
			done = to
		}
		at = to
	}
	if done == 0 {
		return text
	}
	return b.String() + text[done:]
}

// beginsName reports whether a parameter's name can begin behind the text.
func beginsName(before string) bool {
	if before == "" || !continues(before[len(before)-1:]) {
		return true
	}
	if len(before) < 3 || !slices.Contains([]string{"20", "23", "26", "2b", "3b", "3f"}, before[len(before)-2:]) {
		return false
	}
	before = before[:len(before)-2]
	for strings.HasSuffix(before, "25") {
		before = before[:len(before)-2]
	}
	return strings.HasSuffix(before, "%")
}

// continues reports whether the text goes on with a sign of a word.
func continues(text string) bool { return text != "" && isWord(text[0]) }

// isWord reports whether a byte is a letter, a digit, or one of `-_.`.
func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}

// lower keeps every byte in its place, which strings.ToLower does not.
func lower(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
