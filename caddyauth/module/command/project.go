package command

import (
	"net/http"

	"github.com/spf13/cobra"
)

var projectColumns = []column{
	{"SLUG", "slug"},
	{"NAME", "name"},
	{"ACTIVE", "active"},
	{"CADDYFILE", "declared"},
	{"AUDIENCES", "audiences"},
	{"ID", "id"},
}

// projectCommand is `caddy auth project`.
func projectCommand() *cobra.Command {
	return groupCommand("project", "Adds, shows, pauses and removes projects",
		projectAddCommand(), projectListCommand(),
		projectOneCommand("show", "Shows a project", http.MethodGet, nil),
		projectActiveCommand("pause",
			"Pauses a project: it issues no tokens, and those it has issued are revoked", false),
		projectActiveCommand("resume", "Lets a paused project issue again", true),
		destructive(projectRemoveCommand(),
			"the project is removed with its users, clients and API tokens, and what it has issued is revoked"),
		lifetimesCommand("project", "slug", "projects/{id}/settings/lifetimes"),
		ttlCommand("project", "slug", "projects/{id}/settings/jwt-ttl"))
}

// projectActiveCommand pauses or resumes a project.
func projectActiveCommand(name, short string, active bool) *cobra.Command {
	cmd := projectOneCommand(name, short, http.MethodPatch, map[string]bool{"active": active})
	if active {
		return cmd
	}
	return destructive(cmd, "all people and programs of the project are signed out, and nobody can sign in")
}

func projectAddCommand() *cobra.Command {
	var name string
	var audiences []string
	cmd := adminCommand(&cobra.Command{
		Use:     "add <slug>",
		Short:   "Adds a project",
		Example: "  $ caddy auth project add acme --name \"Acme Ltd\" --audience web,api",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		body := map[string]any{"slug": args[0]}
		if name != "" {
			body["name"] = name
		}
		if len(audiences) > 0 {
			body["audiences"] = audiences
		}
		return r.printObject(r.request(http.MethodPost, "projects", nil, body))
	})
	cmd.Flags().StringVar(&name, "name", "", "the display name (default: the slug)")
	cmd.Flags().StringSliceVar(&audiences, "audience", nil,
		"an audience word that its tokens may be issued for (default: the server's)")
	return cmd
}

func projectListCommand() *cobra.Command {
	return adminCommand(&cobra.Command{
		Use:     "list",
		Short:   "Lists projects by slug",
		Example: "  $ caddy auth project list",
		Args:    cobra.NoArgs,
	}, func(r *adminClient, _ []string) error {
		return r.printList("projects", queryOf(), 0, projectColumns)
	})
}

// projectOneCommand is a command about one project that answers with it.
func projectOneCommand(name, short, method string, body any) *cobra.Command {
	return adminCommand(&cobra.Command{
		Use:     name + " <slug>",
		Short:   short,
		Example: "  $ caddy auth project " + name + " acme",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		return r.printObject(r.requestOne(method, "project", "projects/{id}", args[0], body))
	})
}

func projectRemoveCommand() *cobra.Command {
	return adminCommand(&cobra.Command{
		Use:     "remove <slug>",
		Short:   "Removes a project with its users, clients and API tokens, and revokes what it has issued",
		Example: "  $ caddy auth project remove acme",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		_, err := r.requestOne(http.MethodDelete, "project", "projects/{id}", args[0], nil)
		return r.printDone("removed", args[0], err)
	})
}

// ttlCommand shows and changes the lifetimes of a project or client.
func ttlCommand(what, argument, path string) *cobra.Command {
	var access, refresh string
	cmd := adminCommand(&cobra.Command{
		Use:   "ttl <" + argument + ">",
		Short: "Shows or changes the lifetimes of the tokens of a " + what,
		Long: `Changes the lifetimes that are given, and shows all of them in seconds. null means that
the value in defaults is inherited; the word default goes back to that. A changed
lifetime applies to tokens issued afterwards.`,
		Example: "  $ caddy auth " + what + " ttl acme\n" +
			"  $ caddy auth " + what + " ttl acme --access 5m --refresh default",
		Args: cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		body := map[string]*int64{}
		for flag, text := range map[string]string{"access": access, "refresh": refresh} {
			if !r.cmd.Flags().Changed(flag) {
				continue
			}
			var err error
			if body["jwt_"+flag+"_ttl"], err = parseSeconds(flag, text); err != nil {
				return err
			}
		}
		if len(body) > 0 {
			if _, err := r.requestOne(http.MethodPatch, what, path, args[0], body); err != nil {
				return err
			}
		}
		return r.printObject(r.requestOne(http.MethodGet, what, path, args[0], nil))
	})
	cmd.Flags().StringVar(&access, "access", "", "the lifetime of an access token, like 15m, or default")
	cmd.Flags().StringVar(&refresh, "refresh", "", "how long a refresh token may stay unused, like 30d, or default")
	return cmd
}
