package command

import (
	"net/http"

	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
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
		clientAddCommand(), clientListCommand(),
		clientOneCommand("show", "Shows a client", http.MethodGet, "clients/{id}", nil),
		clientActiveCommand("pause", "Pauses a client: it gets no tokens, and those it has are revoked", false),
		clientActiveCommand("resume", "Lets a paused client get tokens again", true),
		clientSecretCommand(),
		destructive(clientRemoveCommand(), "the client is removed, and its tokens are revoked"),
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

func clientSecretCommand() *cobra.Command {
	short := "Gives a client another secret, which is shown once"
	cmd := clientOneCommand("secret", short, http.MethodPost, "clients/{id}/secret", nil)
	return destructive(cmd, "the secret that the client uses now stops working")
}

func clientAddCommand() *cobra.Command {
	var slug, name, format string
	var audience, scopes, claims []string
	var public, fixed bool
	cmd := adminCommand(&cobra.Command{
		Use:   "add [<id>]",
		Short: "Adds a client; its secret is shown once",
		Long: `Adds a client. Without an id it gets a random one. Its secret is printed as
client_secret, this once, and is not kept; a public client has none.`,
		Example: `  $ caddy auth client add reports --audience api --scope read
  $ caddy auth client add spa --public
  $ caddy auth client add --project acme --name "Nightly job" --json | jq -r .client_secret`,
		Args: cobra.MaximumNArgs(1),
	}, func(r *adminClient, args []string) error {
		body := map[string]any{"project": slug, "public": public}
		if fixed { // otherwise the project and the server decide
			body["refresh_rotation"] = false
		}
		if len(args) > 0 {
			body["id"] = args[0]
		}
		for member, value := range map[string]string{"name": name, "access_token_format": format} {
			if value != "" {
				body[member] = value
			}
		}
		for member, value := range map[string][]string{"audience": audience, "scopes": scopes} {
			if len(value) > 0 {
				body[member] = value
			}
		}
		var err error
		if body["claims"], err = parseClaims(claims); err != nil {
			return err
		}
		return r.printObject(r.request(http.MethodPost, "clients", nil, body))
	})
	cmd.Flags().StringVar(&slug, "project", project.Default, "the slug or id of the client's project")
	cmd.Flags().StringVar(&name, "name", "", "the display name (default: the id)")
	cmd.Flags().BoolVar(&public, "public", false,
		"a client that cannot keep a secret: a program in a browser or on a phone")
	cmd.Flags().StringSliceVar(&audience, "audience", nil,
		"the audience of its tokens if a request names none (default: api)")
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "a scope that it may ask for (default: none)")
	cmd.Flags().StringArrayVar(&claims, "claim", nil, "a claim of its tokens as name=value, as for users")
	cmd.Flags().StringVar(&format, "access-token-format", "", "jwt or opaque (default: the project's)")
	cmd.Flags().BoolVar(&fixed, "no-refresh-rotation", false, "let the same refresh token be used more than once")
	return cmd
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
