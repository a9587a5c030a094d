package command

import (
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/module/explain"
)

var apiTokenColumns = []column{
	{"ID", "id"},
	{"NAME", "name"},
	{"PROJECT", "project"},
	{"ABILITIES", "abilities"},
	{"CREATED", "created_at"},
	{"LAST USED", "last_used_at"},
	{"EXPIRES", "expires_at"},
	{"REVOKED", "revoked_at"},
}

// tokenCommand is `caddy auth token`.
func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "token <command>",
		Short:   "Inspects tokens, issues them for tests and for the management API",
		Example: "  $ caddy auth token inspect --help",
	}
	cmd.AddCommand(explain.InspectCommand(), mintCommand(), createAPICommand(), listAPICommand(), revokeAPICommand())
	onlySubcommands(cmd)
	return cmd
}

// mintCommand is `caddy auth token mint`.
func mintCommand() *cobra.Command {
	var flags userFlags
	var audience []string
	var expires, client string
	cmd := adminCommand(&cobra.Command{
		Use:   "mint <user>",
		Short: "Makes a short-lived access token for a test",
		Long: `Makes an access token in the name of a user, without a session, and prints it alone on
standard output. It lives for an hour at most and is recorded in the audit trail.
caddy auth session revoke --user revokes it earlier. With --client it is a token as that
client gets it: in its format, with its claims and for its audience.`,
		Example: `  $ curl -H "Authorization: Bearer $(caddy auth token mint alice)" https://app.example.com/
  $ caddy auth token mint alice --project acme --audience mcp --expires 2m --json
  $ caddy auth token mint alice --client reports`,
		Args: cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		body := map[string]any{"user": args[0]}
		if flags.project != "" {
			body["project"] = flags.project
		}
		if client != "" {
			body["client"] = client
		}
		if len(audience) > 0 {
			body["audience"] = audience
		}
		var err error
		if body["expires_in"], err = parseSeconds("expires", expires); err != nil {
			return err
		}
		answer, err := r.request(http.MethodPost, "mint", nil, body)
		if err != nil {
			return err
		}
		return r.printNewSecret(answer, "access_token")
	})
	cmd.Flags().StringSliceVar(&audience, "audience", nil,
		"the audience of the token (default: api, or that of the client's tokens)")
	cmd.Flags().StringVar(&client, "client", "",
		"the client that the token is issued to (default: the server's own login routes)")
	cmd.Flags().StringVar(&expires, "expires", "5m", "the token's lifetime, from 1m to 1h")
	return flags.add(cmd)
}

// createAPICommand is `caddy auth token create-api`.
func createAPICommand() *cobra.Command {
	var slug, expires string
	var abilities []string
	cmd := adminCommand(&cobra.Command{
		Use:   "create-api <name> --ability <ability>...",
		Short: "Makes a token for the management API, which is shown once",
		Long: `Makes a token with which a program may call the management API, and prints it alone on
standard output, this once. Only its hash is kept.

Abilities: ` + strings.Join(apitoken.Abilities(), ", ") + ". admin holds all others.",
		Example: `  $ caddy auth token create-api terraform --ability admin > token.txt
  $ caddy auth token create-api billing --project acme --ability read --expires 90d`,
		Args: cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		body := map[string]any{"name": args[0], "abilities": abilities}
		if slug != "" {
			body["project"] = slug
		}
		if expires != "" {
			var err error
			if body["expires_in"], err = parseSeconds("expires", expires); err != nil {
				return err
			}
		}
		answer, err := r.request(http.MethodPost, "tokens", nil, body)
		if err != nil {
			return err
		}
		return r.printNewSecret(answer, "token")
	})
	cmd.Flags().StringSliceVar(&abilities, "ability", []string{}, "what the token may be used for")
	cmd.Flags().StringVar(&slug, "project", "", "the slug or id of the one project that it is for (default: all)")
	cmd.Flags().StringVar(&expires, "expires", "", "the token's lifetime, like 90d (default: it does not expire)")
	return cmd
}

// listAPICommand is `caddy auth token list-api`.
func listAPICommand() *cobra.Command {
	var slug string
	cmd := adminCommand(&cobra.Command{
		Use:     "list-api",
		Short:   "Lists the tokens of the management API, without their secrets",
		Example: "  $ caddy auth token list-api",
		Args:    cobra.NoArgs,
	}, func(r *adminClient, _ []string) error {
		return r.printList("tokens", queryOf("project", slug), 0, apiTokenColumns)
	})
	cmd.Flags().StringVar(&slug, "project", "", "the slug or id of the project whose tokens to list (default: all)")
	return cmd
}

// revokeAPICommand is `caddy auth token revoke-api`.
func revokeAPICommand() *cobra.Command {
	return destructive(adminCommand(&cobra.Command{
		Use:     "revoke-api <id>",
		Short:   "Ends a token of the management API",
		Example: "  $ caddy auth token revoke-api 0f8fad5b-d9cb-469f-a165-70867728950e",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		_, err := r.requestOne(http.MethodDelete, "API token", "tokens/{id}", args[0], nil)
		return r.printDone("revoked", args[0], err)
	}), "the program that has the token can no longer call the management API")
}
