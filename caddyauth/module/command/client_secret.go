package command

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func clientSecretCommand() *cobra.Command {
	short := "Gives a client another secret, which is shown once"
	cmd := clientOneCommand("secret", short, http.MethodPost, "clients/{id}/secret", nil)
	return destructive(cmd, "all secrets that the client has now stop working")
}

func clientAddSecretCommand() *cobra.Command {
	var expires, others string
	cmd := adminCommand(&cobra.Command{
		Use:   "add-secret <id>",
		Short: "Gives a client a second secret, which is shown once",
		Long: `Gives a client a second secret, printed as client_secret, this once. The first one
goes on working, or until the end that --others-expire-in gives it.`,
		Example: "  $ caddy auth client add-secret reports --others-expire-in 7d",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		body := map[string]*int64{}
		for flag, text := range map[string]string{"expires-in": expires, "others-expire-in": others} {
			if text == "" {
				continue
			}
			var err error
			if body[strings.ReplaceAll(flag, "-", "_")], err = parseSeconds(flag, text); err != nil {
				return err
			}
		}
		return r.printObject(r.requestOne(http.MethodPost, "client", "clients/{id}/secrets", args[0], body))
	})
	cmd.Flags().StringVar(&expires, "expires-in", "", "when the new secret stops working, like 90d (default: never)")
	cmd.Flags().
		StringVar(&others, "others-expire-in", "", "when the secret before it stops working (default: as before)")
	return cmd
}

func clientRemoveSecretCommand() *cobra.Command {
	return adminCommand(&cobra.Command{
		Use:   "remove-secret <id> <number>",
		Short: "Takes one of two secrets from a client",
		Long: `Takes one of two secrets from a client, by its number, which client show prints. The
last one stays, because a client without a secret would be public.`,
		Example: "  $ caddy auth client remove-secret reports 1",
		Args:    cobra.ExactArgs(2),
	}, func(r *adminClient, args []string) error {
		path := "clients/{id}/secrets?" + url.Values{"number": {args[1]}}.Encode()
		_, err := r.requestOne(http.MethodDelete, "client", path, args[0], nil)
		return r.printDone("removed", args[0]+" secret "+args[1], err)
	})
}
