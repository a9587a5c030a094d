package command

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/module/explain"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "auth",
		Usage: "<command>",
		Short: "Administers the authentication gateway, and explains what it does",
		Long: `
The tools of the authentication gateway.

keygen, check, explain, version and token inspect need no running server and write
nothing, neither files nor database rows, except for keygen --out. store export and
import open the store themselves. All others ask the running server through Caddy's admin endpoint.

Commands that remove or revoke something ask for confirmation at a terminal; with --yes,
or in a script, they do not.

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
	cmd.AddCommand(keygenCommand(), tokenCommand(), explain.Command(), explain.CheckCommand(), versionCommand())
	cmd.AddCommand(
		userCommand(),
		clientCommand(),
		projectCommand(),
		sessionCommand(),
		consentCommand(),
		keysCommand(),
		auditCommand(),
		storeCommand(),
	)
	cmd.SetFlagErrorFunc(unknownFlagError)
	onlySubcommands(cmd)
}

// onlySubcommands shows the help of a command that does nothing itself, and refuses an unknown
// subcommand: cobra alone would show the help and succeed.
func onlySubcommands(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknownCommandError(cmd, args[0])
	}
}
