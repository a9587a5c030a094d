package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

var sessionColumns = []column{
	{"ID", "id"},
	{"USER", "user"},
	{"PROJECT", "project"},
	{"CLIENT", "client_id"},
	{"KIND", "kind"},
	{"ACTIVE", "active"},
	{"DEVICE", "device"},
	{"ADDRESS", "client_ip"},
	{"BEGUN", "created_at"},
	{"LAST USED", "last_used_at"},
	{"ENDS", "idle_ends_at"},
}

// sessionCommand is `caddy auth session`.
func sessionCommand() *cobra.Command {
	return groupCommand("session", "Shows and ends sessions", sessionListCommand(),
		destructive(sessionRevokeCommand(), "the sessions end, and their tokens are revoked"))
}

func sessionListCommand() *cobra.Command {
	var project, user, client, kind string
	var ended bool
	var limit int
	cmd := adminCommand(&cobra.Command{
		Use:   "list",
		Short: "Lists the active sessions, with device, address and last use",
		Long: `Lists sessions: browsers that are signed in, and programs that hold a refresh token.
The address and the device are those of the sign-in.`,
		Example: "  $ caddy auth session list --user alice\n" +
			"  $ caddy auth session list --client reports --ended --json",
		Args: cobra.NoArgs,
	}, func(r *adminClient, _ []string) error {
		query := queryOf("project", project, "user", user, "client", client, "kind", kind)
		if ended {
			query.Set("ended", "true")
		}
		return r.printList("sessions", query, limit, sessionColumns)
	})
	cmd.Flags().StringVar(&project, "project", "", "only those of the project of this slug or id (default: all)")
	cmd.Flags().StringVar(&user, "user", "", "only those of this user (default: all)")
	cmd.Flags().StringVar(&client, "client", "", "only those that this client holds (default: all)")
	cmd.Flags().StringVar(&kind, "kind", "",
		"only sessions of this kind: browser, api and the like (default: all)")
	cmd.Flags().BoolVar(&ended, "ended", false, "include sessions that have ended, as long as they are kept")
	cmd.Flags().IntVar(&limit, "limit", 1000, "how many at most; 0 for all")
	return cmd
}

func sessionRevokeCommand() *cobra.Command {
	var project, user, client string
	cmd := adminCommand(&cobra.Command{
		Use:   "revoke (<id> | --user <name> [--project <slug>] | --client <id> | --project <slug>)",
		Short: "Ends a session, or all of a user, a client or a project",
		Long: `Ends sessions. Their access tokens are refused on every node within a second; with
--user, --client and --project so are all tokens that were issued without a session.
This does not prevent signing in again: see caddy auth user disable.`,
		Example: `  $ caddy auth session revoke 4XK7ZB2YFEK5QJ6UPRN3DVWHTA
  $ caddy auth session revoke --user alice
  $ caddy auth session revoke --project acme`,
		Args: cobra.MaximumNArgs(1),
	}, func(r *adminClient, args []string) error {
		body := map[string]string{}
		for member, value := range map[string]string{"project": project, "user": user, "client": client} {
			if value != "" {
				body[member] = value
			}
		}
		if (len(args) > 0) == (len(body) > 0) {
			return errors.New("want either a session id, or one of --user, --client and --project")
		}
		if len(args) > 0 {
			_, err := r.requestOne(http.MethodDelete, "session", "sessions/{id}", args[0], nil)
			return r.printRevoked(json.RawMessage(`{"sessions":1}`), err)
		}
		return r.printRevoked(r.request(http.MethodPost, "sessions/revoke", nil, body))
	})
	cmd.Flags().StringVar(&project, "project", "",
		"the slug or id of the project, whose sessions all end without --user")
	cmd.Flags().StringVar(&user, "user", "",
		"the user whose sessions end, of the project default unless --project names another")
	cmd.Flags().StringVar(&client, "client", "", "the client whose sessions end")
	return cmd
}

// printRevoked prints how many sessions a revocation has ended.
func (r *adminClient) printRevoked(answer json.RawMessage, err error) error {
	if err != nil {
		return err
	}
	var n struct {
		Sessions int `json:"sessions"`
	}
	if err := json.Unmarshal(answer, &n); err != nil {
		return fmt.Errorf("the answer is not an object: %w", err)
	}
	if r.json {
		return r.printJSON(map[string]any{"result": "revoked", "sessions": n.Sessions})
	}
	_, err = fmt.Fprintf(r.cmd.OutOrStdout(), "revoked, sessions ended: %d\n", n.Sessions)
	return err
}
