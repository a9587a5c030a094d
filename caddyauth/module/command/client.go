package command

import (
	"net/http"

	"github.com/spf13/cobra"
)

var clientColumns = []column{
	{"ID", "id"},
	{"PROJECT", "project"},
	{"NAME", "name"},
	{"PUBLIC", "public"},
	{"ACTIVE", "active"},
	{"CADDYFILE", "declared"},
	{"AUDIENCE", "audience"},
	{"SCOPES", "scopes"},
}

// clientCommand is `caddy auth client`.
func clientCommand() *cobra.Command {
	return groupCommand("client", "Adds, shows, pauses and removes clients",
		clientAddCommand(), clientSetCommand(), clientListCommand(),
		clientOneCommand("show", "Shows a client", http.MethodGet, "clients/{id}", nil),
		clientActiveCommand("pause", "Pauses a client: it gets no tokens, and those it has are revoked", false),
		clientActiveCommand("resume", "Lets a paused client get tokens again", true),
		clientSecretCommand(), clientAddSecretCommand(),
		destructive(clientRemoveSecretCommand(), "the secret stops working"),
		destructive(clientRemoveCommand(), "the client is removed, and its tokens are revoked"),
		lifetimesCommand("client", "client", "clients/{id}/settings/lifetimes"),
		ttlCommand("client", "client", "clients/{id}/settings/token-ttl"))
}

// clientActiveCommand pauses or resumes a client.
func clientActiveCommand(name, short string, active bool) *cobra.Command {
	cmd := clientOneCommand(name, short, http.MethodPatch, "clients/{id}", map[string]bool{"active": active})
	if active {
		return cmd
	}
	return destructive(cmd, "the client gets no more tokens, and those it has are revoked")
}

func clientListCommand() *cobra.Command {
	var project string
	cmd := adminCommand(&cobra.Command{
		Use:     "list",
		Short:   "Lists clients by id",
		Example: "  $ caddy auth client list\n  $ caddy auth client list --project acme --json",
		Args:    cobra.NoArgs,
	}, func(r *adminClient, _ []string) error {
		return r.printList("clients", queryOf("project", project), 0, clientColumns)
	})
	cmd.Flags().StringVar(&project, "project", "", "the slug or id of the project whose clients to list (default: all)")
	return cmd
}

// clientOneCommand is a command about one client that answers with it.
func clientOneCommand(name, short, method, path string, body any) *cobra.Command {
	return adminCommand(&cobra.Command{
		Use:     name + " <id>",
		Short:   short,
		Example: "  $ caddy auth client " + name + " reports",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		return r.printObject(r.requestOne(method, "client", path, args[0], body))
	})
}

func clientRemoveCommand() *cobra.Command {
	return adminCommand(&cobra.Command{
		Use:     "remove <id>",
		Short:   "Removes a client and revokes its tokens",
		Example: "  $ caddy auth client remove reports",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		_, err := r.requestOne(http.MethodDelete, "client", "clients/{id}", args[0], nil)
		return r.printDone("removed", args[0], err)
	})
}
