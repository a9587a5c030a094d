package gate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// maxValue bounds what a refusal quotes of one value, in bytes before quoting.
const maxValue = 64

// String is the rule as a Caddyfile has it.
func (r *Rule) String() string {
	verb := "require "
	if r.Deny {
		verb = "deny "
	}
	return verb + strings.Join(append([]string{r.Claim}, r.Values...), " ")
}

// misses says why a token does not meet the rule: what it asks for, and what the token has instead.
// It is for the operator, never for the client.
func (r *Rule) misses(t *token.Token) string {
	return clipped(r.String(), 2*maxValue) + ": " + r.has(t)
}

func (r *Rule) has(t *token.Token) string {
	name := clipped(r.Claim, maxValue)
	value, ok := t.Claim(r.Claim)
	if r.Claim == "scope" {
		value, ok = strings.Join(t.Scopes, " "), len(t.Scopes) > 0
	}
	switch {
	case !ok:
		return "the token has no claim " + name
	case confidential(r.Claim):
		return name + " has another value" // which may be a secret
	}
	return name + " is " + shown(value)
}

// confidential are words in the names of claims whose values are not written anywhere.
func confidential(claim string) bool {
	claim = strings.ToLower(claim)
	for _, word := range []string{"secret", "password", "passwd", "token", "credential"} {
		if strings.Contains(claim, word) {
			return true
		}
	}
	return strings.HasSuffix(claim, "key")
}

// shown writes a claim's value in one short line that cannot confuse a terminal or a log.
func shown(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		words := token.Strings(v)
		if len(words) < len(v) {
			return fmt.Sprintf("a list of %d elements, not all of them words", len(v))
		}
		return shownList(words)
	case string:
		return strconv.Quote(clipped(v, maxValue))
	}
	return strings.Join(token.Strings(value), " ")
}

// shownList writes as many words as have room.
func shownList(words []string) string {
	var b strings.Builder
	for i, word := range words {
		if b.Len() > maxValue {
			return fmt.Sprintf("[%s and %d more]", &b, len(words)-i)
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(clipped(word, maxValue)))
	}
	return "[" + b.String() + "]"
}

// clipped shortens a text at a character.
func clipped(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
