package command

import (
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// lifetimeFlags are the flags of all lifetimes; in the API they have underscores.
var lifetimeFlags = []struct{ flag, usage string }{
	{"access-token", "the lifetime of an access token, like 15m, or default"},
	{"refresh-token", "how long a refresh token may stay unused, like 30d, or default"},
	{"refresh-absolute", "how long a sign-in lasts, like 1y, or default"},
	{"authorization-code", "the lifetime of an authorization code, like 60s, or default"},
	{"device-code", "how long a person has to enter the code of a device, like 5m, or default"},
	{"id-token", "the lifetime of an ID token, like 1h, or default"},
}

// lifetimesCommand shows and changes all lifetimes of a project or client.
func lifetimesCommand(what, argument, path string) *cobra.Command {
	cmd := adminCommand(&cobra.Command{
		Use:   "lifetimes <" + argument + ">",
		Short: "Shows or changes all lifetimes of a " + what,
		Long: `Changes the lifetimes that are given, and shows all of them in seconds. null means that
the value in in_force is inherited; the word default goes back to that. A changed
lifetime applies to what is issued afterwards.`,
		Example: "  $ caddy auth " + what + " lifetimes acme\n" +
			"  $ caddy auth " + what + " lifetimes acme --access-token 5m --id-token default",
		Args: cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		body := map[string]*int64{}
		for _, f := range lifetimeFlags {
			text, _ := r.cmd.Flags().GetString(f.flag)
			if !r.cmd.Flags().Changed(f.flag) {
				continue
			}
			var err error
			if body[strings.ReplaceAll(f.flag, "-", "_")], err = parseSeconds(f.flag, text); err != nil {
				return err
			}
		}
		if len(body) == 0 {
			return r.printObject(r.requestOne(http.MethodGet, what, path, args[0], nil))
		}
		return r.printObject(r.requestOne(http.MethodPatch, what, path, args[0], body))
	})
	for _, f := range lifetimeFlags {
		cmd.Flags().String(f.flag, "", f.usage)
	}
	return cmd
}
