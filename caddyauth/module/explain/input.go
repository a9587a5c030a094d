package explain

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// maxTokenInput bounds what is read as a token, in bytes. It is above the longest accepted token,
// so that a command can say that one is too long.
const maxTokenInput = 1 << 20

// readToken reads a token from a file, or from standard input if the name is `-`.
func readToken(cmd *cobra.Command, name string) (string, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxTokenInput))
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	return trimToken(string(data)), nil
}

// trimToken removes spaces and the scheme, which are often copied with a token.
func trimToken(text string) string {
	text = strings.TrimSpace(text)
	if scheme, rest, found := strings.Cut(text, " "); found && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(rest)
	}
	return text
}
