package auth

import (
	"fmt"
	"io"
	"os"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "auth",
		Usage: "<command>",
		Short: "Administers the authentication gateway, and explains what it does",
		Long: `
The tools of the authentication gateway.

keygen, check, explain, version and token inspect need no running server and write nothing: no
file, no database row, but for keygen --out. store export and import open the store
themselves. All others ask the running server through Caddy's admin endpoint.

Commands that take something away ask first at a terminal; --yes does not ask, and
neither does a script.

Exit codes: 0 when the command did what it says, 1 when it did not: a mistake in the
command line, no server, a refusal by the server, no confirmation; of check a
configuration that is refused or cannot work, of token inspect a token that is refused.
2 is explain's alone: no site answers, or the decision is not the expected one. The
reason is one line on standard error.
`,
		CobraFunc: authCommand,
	})
}

// authCommand is `caddy auth` itself, which only has subcommands.
func authCommand(cmd *cobra.Command) {
	cmd.AddCommand(keygenCommand(), tokenCommand(), explainCommand(), checkCommand(), versionCommand())
	cmd.AddCommand(userCommand(), clientCommand(), projectCommand(), sessionCommand(), keysCommand(), auditCommand(),
		storeCommand())
	cmd.SetFlagErrorFunc(unknownFlag)
	onlySubcommands(cmd)
}

// onlySubcommands shows the help of a command that does nothing itself, and refuses a word that is none of its subcommands: cobra
// alone would show the help and succeed.
func onlySubcommands(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknownCommand(cmd, args[0])
	}
}

// unsuccessful ends a command with exit code 1 when all there is to say has been said.
func unsuccessful(cmd *cobra.Command) error {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	return fmt.Errorf("%s: unsuccessful", cmd.CommandPath())
}

// maxTokenInput bounds what is read as a token; more than the longest accepted one, so that too long ones can be explained.
const maxTokenInput = 1 << 20

// readToken reads a token from a file, or from standard input when the name is `-`.
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

// trimToken removes what comes along when a token is copied.
func trimToken(text string) string {
	text = strings.TrimSpace(text)
	if scheme, rest, found := strings.Cut(text, " "); found && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(rest)
	}
	return text
}

// columns writes rows of two columns, the second one aligned.
func columns(w io.Writer, rows [][2]string) {
	width := 0
	for _, row := range rows {
		width = max(width, len(row[0]))
	}
	for _, row := range rows {
		fmt.Fprintf(w, "  %-*s  %s\n", width, row[0], row[1])
	}
}
