package command

import (
	"net/http"

	"github.com/spf13/cobra"
)

var consentColumns = []column{
	{"ID", "id"},
	{"USER", "user"},
	{"PROJECT", "project"},
	{"CLIENT", "client_id"},
	{"SCOPES", "scopes"},
	{"RESOURCES", "resources"},
	{"SINCE", "since"},
}

// consentCommand is `caddy auth consent`.
func consentCommand() *cobra.Command {
	return groupCommand("consent", "Shows and withdraws what people have allowed clients", consentListCommand(),
		destructive(consentWithdrawCommand(), "the client's sessions for this person end"))
}

func consentListCommand() *cobra.Command {
	var project, user, client string
	var limit int
	cmd := adminCommand(&cobra.Command{
		Use:   "list",
		Short: "Lists what people have allowed clients",
		Long: `Lists consents: which person has allowed which client which scopes, for which resources, and
when they were asked last.`,
		Example: "  $ caddy auth consent list --user alice\n  $ caddy auth consent list --client wiki --json",
		Args:    cobra.NoArgs,
	}, func(r *adminClient, _ []string) error {
		return r.printList("consents", queryOf("project", project, "user", user, "client", client), limit,
			consentColumns)
	})
	cmd.Flags().StringVar(&project, "project", "", "only those of the project of this slug or id (default: all)")
	cmd.Flags().StringVar(&user, "user", "",
		"only those of this user, of the project default unless --project names another (default: all)")
	cmd.Flags().StringVar(&client, "client", "", "only those to this client (default: all)")
	cmd.Flags().IntVar(&limit, "limit", 1000, "how many at most; 0 for all")
	return cmd
}

func consentWithdrawCommand() *cobra.Command {
	return adminCommand(&cobra.Command{
		Use:   "withdraw <id>",
		Short: "Withdraws what a person has allowed a client",
		Long: `Removes a consent and ends the sessions that the client was granted by this person. Their access
tokens are refused on every node within a second; one that was issued without a session lives until it
expires. The person is asked again when the client comes the next time.`,
		Example: "  $ caddy auth consent withdraw 0b9f3d5a-7c1e-4f0e-9a4b-2f5f6b0c8d1e",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		_, err := r.requestOne(http.MethodDelete, "consent", "consents/{id}", args[0], nil)
		return r.printDone("withdrawn", args[0], err)
	})
}
