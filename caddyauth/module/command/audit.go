package command

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/adminapi"
)

var auditColumns = []column{
	{"AT", "at"},
	{"ACTOR", "actor"},
	{"ACTION", "action"},
	{"RESULT", "result"},
	{"TARGET", "target_name"},
	{"PROJECT", "project"},
	{"FROM", "client_ip"},
	{"DETAIL", "detail"},
}

// auditCommand is `caddy auth audit`.
func auditCommand() *cobra.Command {
	var since, until, actor, action, result, project string
	var limit int
	cmd := adminCommand(&cobra.Command{
		Use:   "audit",
		Short: "Shows who did what, when, from where, and how it ended",
		Long: `Shows the audit trail, newest first: sign-ins and sign-outs, and whatever was changed or
tried through the management API and these commands.

A time is in RFC 3339 form, or a duration before now.`,
		Example: `  $ caddy auth audit --since 24h
  $ caddy auth audit --actor user:alice --action login --limit 20
  $ caddy auth audit --since 2026-03-01T00:00:00Z --action user.password --json`,
		Args: cobra.NoArgs,
	}, func(r *adminClient, _ []string) error {
		query := queryOf("actor", actor, "action", action, "result", result, "project", project)
		for flag, text := range map[string]string{"since": since, "until": until} {
			if text == "" {
				continue
			}
			at, err := parseTime(flag, text, time.Now())
			if err != nil {
				return err
			}
			query.Set(flag, at.UTC().Format(time.RFC3339Nano))
		}
		return r.printList("audit", query, limit, auditColumns)
	})
	cmd.Flags().StringVar(&since, "since", "", "only entries at or after this time (default: the beginning)")
	cmd.Flags().StringVar(&until, "until", "", "only entries before this time (default: now)")
	cmd.Flags().StringVar(&actor, "actor", "",
		"only what this actor did: user:<name>, api_token:<id>, "+adminapi.Actor+" (default: all)")
	cmd.Flags().StringVar(&action, "action", "",
		"only this action: login, logout, user.create, client.delete and the like (default: all)")
	cmd.Flags().StringVar(&result, "result", "",
		"only this result: success, bad_credentials and the like (default: all)")
	cmd.Flags().StringVar(&project, "project", "", "only what concerns the project of this slug or id (default: all)")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	return cmd
}

// parseTime reads a time, or a duration before now.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	d, err := project.ParseDuration(text)
	if err != nil || d < 0 {
		return time.Time{}, fmt.Errorf("--%s: %q is neither a time like 2026-03-01T00:00:00Z"+
			" nor a duration such as 24h", flag, text)
	}
	return now.Add(-d), nil
}
