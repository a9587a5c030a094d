package clients

import (
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// documented finds the blocks of docs/clients.md: their language and their text.
var documented = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// document returns the text of docs/clients.md.
func document() (string, error) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "clients.md"))
	return string(text), err
}

// clientBlock finds the client blocks of a Caddyfile.
var clientBlock = regexp.MustCompile(`(?m)^client (\S+) \{\n(?:\t.*\n)*\}\n`)

// documentedClients returns the client blocks of docs/clients.md.
func documentedClients() (string, error) {
	text, err := document()
	if err != nil {
		return "", err
	}
	var blocks strings.Builder
	for _, block := range documented.FindAllStringSubmatch(text, -1) {
		if block[1] == "caddyfile" {
			for _, client := range clientBlock.FindAllString(block[2], -1) {
				blocks.WriteString(client)
			}
		}
	}
	return blocks.String(), nil
}

// settings returns the one block of a language in a section of docs/clients.md, with the addresses of
// this machine.
func (m *machine) settings(t *testing.T, section, language string) string {
	t.Helper()
	text, err := document()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(text, "# "+section+"\n")
	if !found {
		t.Fatalf("docs/clients.md has no section %q", section)
	}
	for _, block := range documented.FindAllStringSubmatch(rest, -1) {
		if block[1] == language {
			return m.here(block[2])
		}
	}
	t.Fatalf("section %q of docs/clients.md has no block of %s", section, language)
	return ""
}

var secretName = regexp.MustCompile(`\{env\.(\w+)\}`)

// secretNames returns the environment variables that a Caddyfile reads.
func secretNames(caddyfile string) []string {
	var names []string
	for _, m := range secretName.FindAllStringSubmatch(caddyfile, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// secretOf is a secret in the form that openssl rand -base64 32 gives it, with every character that
// an encoding could get wrong.
func secretOf(name string) string {
	return "a+b/" + strings.Repeat(strings.ReplaceAll(name, "_", "/")+"+", 4)[:39] + "="
}

func urlEscaped(address string) string { return url.QueryEscape(address) }

// freePort takes a port below the range from which the system picks for outgoing connections, so that
// nobody else gets it between here and the server's start.
func freePort() (int, error) {
	var err error
	for range 200 {
		port := 28000 + rand.IntN(4000) // others are for the folder above, which runs beside this
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}
