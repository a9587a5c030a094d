package command

import (
	"net/http"

	"github.com/spf13/cobra"
)

var keyColumns = []column{
	{"ID", "id"},
	{"ALGORITHM", "algorithm"},
	{"SIGNS", "purpose"},
	{"STATE", "state"},
	{"CREATED", "created_at"},
	{"SINCE", "since"},
	{"UNTIL", "until"},
}

// keysCommand is `caddy auth keys`.
func keysCommand() *cobra.Command {
	return groupCommand("keys", "Shows, rotates and revokes the signing keys", keysListCommand(), keysRotateCommand(),
		destructive(keysRevokeCommand(), "every token that the key has signed is refused"))
}

func keysListCommand() *cobra.Command {
	return adminCommand(&cobra.Command{
		Use:     "list",
		Short:   "Lists the signing keys, oldest first",
		Example: "  $ caddy auth keys list",
		Args:    cobra.NoArgs,
	}, func(r *adminClient, _ []string) error {
		return r.printList("keys", queryOf(), 0, keyColumns)
	})
}

func keysRotateCommand() *cobra.Command {
	return adminCommand(&cobra.Command{
		Use:   "rotate",
		Short: "Announces the next key",
		Long: `Announces the next key, unless one is announced already. It signs once all verifiers had
time to fetch it, and the previous one verifies until its last token has expired.
Keys in the configuration are rotated there.`,
		Example: "  $ caddy auth keys rotate",
		Args:    cobra.NoArgs,
	}, func(r *adminClient, _ []string) error {
		if _, err := r.request(http.MethodPost, "keys/rotate", nil, nil); err != nil {
			return err
		}
		return r.printList("keys", queryOf(), 0, keyColumns)
	})
}

func keysRevokeCommand() *cobra.Command {
	return adminCommand(&cobra.Command{
		Use:   "revoke <id>",
		Short: "Revokes a key at once",
		Long: `Revokes a key at once, for a key that was stolen: every token it has signed is refused
on every node within a second. If it was the active key, its successor signs
immediately.`,
		Example: "  $ caddy auth keys revoke 20260301-k3v9",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		_, err := r.requestOne(http.MethodDelete, "key", "keys/{id}", args[0], nil)
		return r.printDone("revoked", args[0], err)
	})
}
