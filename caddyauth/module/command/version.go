package command

import (
	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/module/terminal"
	"github.com/caddyauth/gateway/caddyauth/module/version"
)

// versionCommand is `caddy auth version`.
func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version [--json]",
		Short: "Prints the version of the gateway and what it was built with",
		Long: `Prints the version of the gateway's module, the revision of its source, and the versions
of Go and Caddy. The revision is known only of a binary built from a checkout.`,
		Example: "  $ caddy auth version\n  $ caddy auth version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := version.Current()
			if asJSON {
				return terminal.JSON(cmd.OutOrStdout(), b)
			}
			terminal.Columns(cmd.OutOrStdout(), [][2]string{
				{"version", b.Version},
				{"revision", b.Revision},
				{"go", b.Go},
				{"caddy", b.Caddy},
			})
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an object")
	return cmd
}
