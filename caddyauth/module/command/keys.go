package command

import (
	"net/http"

	"github.com/spf13/cobra"
)

var keyColumns = []column{
	{"ID", "id"},
	{"ALGORITHM", "algorithm"},
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
	return remoteCommand(&cobra.Command{
		Use:     "list",
		Short:   "Lists the signing keys, oldest first",
		Example: "  $ caddy auth keys list",
		Args:    cobra.NoArgs,
	}, func(r *remote, _ []string) error {
		return r.list("keys", filters(), 0, keyColumns)
	})
}

func keysRotateCommand() *cobra.Command {
	return remoteCommand(&cobra.Command{
		Use:   "rotate",
		Short: "Announces the next key",
		Long: `Announces the next key, unless one is announced already. It signs once everybody had the
time to learn of it, and the one before verifies until its last token has expired.
Keys that stand in the configuration are rotated there.`,
		Example: "  $ caddy auth keys rotate",
		Args:    cobra.NoArgs,
	}, func(r *remote, _ []string) error {
		if _, err := r.ask(http.MethodPost, "keys/rotate", nil, nil); err != nil {
			return err
		}
		return r.list("keys", filters(), 0, keyColumns)
	})
}

func keysRevokeCommand() *cobra.Command {
	return remoteCommand(&cobra.Command{
		Use:   "revoke <id>",
		Short: "Takes a key away at once",
		Long: `Takes a key away at once, for one that was stolen: every token it has signed is refused
from then on, on every node within a second. When it was the active one its successor
signs immediately.`,
		Example: "  $ caddy auth keys revoke 20260301-k3v9",
		Args:    cobra.ExactArgs(1),
	}, func(r *remote, args []string) error {
		_, err := r.askOne(http.MethodDelete, "key", "keys/{id}", args[0], nil)
		return r.did("revoked", args[0], err)
	})
}
