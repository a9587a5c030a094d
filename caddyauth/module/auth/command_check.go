package auth

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage" // where `check` lets Caddy keep its own things for a moment
	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// checkCommand is `caddy auth check`.
func checkCommand() *cobra.Command {
	var flags configFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [--config <file> [--adapter <name>]] [--json]",
		Short: "Checks a configuration without running it",
		Long: `Builds everything the configuration describes, as a start would, and opens the
sealed keys of the store when there are any. Then it warns about what is allowed but
dangerous: routes to applications that no gate covers, gates that only report, tokens
in URLs. The exit code is 1 when the configuration would be refused, or when it can
start and cannot work; warnings and notes leave it 0. --json prints an object with
the member ok and the list findings: severity (error, warning, note), where, text, hint.

Nothing is written. Therefore it does not look at where Caddy logs and where it keeps
certificates, nor into a store of an older release, which the server migrates when it
starts; the environment variables that the configuration names must be set here
as they are for the server.`,
		Example: `  $ caddy auth check
  $ caddy auth check --config /etc/caddy/Caddyfile`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCheck(cmd, &flags, asJSON)
		},
	}
	flags.add(cmd, "Caddyfile", "the configuration to check; - is standard input")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}

func runCheck(cmd *cobra.Command, flags *configFlags, asJSON bool) error {
	found, err := checkConfig(cmd, flags)
	if err != nil && !asJSON {
		return err
	}
	if err != nil {
		found = []finding{{Severity: severe, Text: err.Error()}} // the one that ended the check
	}
	if asJSON {
		err = printFindingsJSON(cmd.OutOrStdout(), found)
	} else {
		printFindings(cmd.OutOrStdout(), found)
	}
	if err == nil && failed(found) {
		return unsuccessful(cmd)
	}
	return err
}

// checkConfig builds the configuration and looks at it. The error is why a server would refuse it.
func checkConfig(cmd *cobra.Command, flags *configFlags) (found []finding, err error) {
	doc, warnings, err := flags.load(cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	for _, text := range warnings {
		found = append(found, finding{Severity: warned, Text: text})
	}
	aside, err := os.MkdirTemp("", "caddy-auth-check-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	doc.quiet("ERROR")
	doc["storage"] = map[string]any{"module": "file_system", "root": aside} // provisioning a local certificate authority would write into the real one
	ctx, app, err := doc.provision()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, app.Cleanup()) }()
	if err = app.openForReading(cmd.Context()); err != nil {
		if !app.mayStart(err) {
			return nil, err
		}
		found = append(found, finding{Severity: warned, Text: fmt.Sprintf("what lies in the store was not looked at: %v", err)})
	}
	return append(found, app.findings(ctx)...), nil
}

// mayStart reports whether a server may start although its store could not be opened for reading: the database may be for the servers alone,
// or wait for the first start of this release, which migrates it.
func (a *App) mayStart(err error) bool {
	return errors.Is(err, sqlstore.ErrUnavailable) && a.store.Shared() || errors.Is(err, sqlstore.ErrOlderSchema)
}

// findUnguarded lists routes that reach an application without a gate.
func (a *App) findUnguarded(caddy.Context) (found []finding) {
	for _, route := range a.unguarded() {
		found = append(found, finding{
			Severity: warned,
			Where:    route,
			Text:     "the route is behind neither a gate nor `jwt_auth off`: clients can forge identity headers there",
		})
	}
	return found
}

// findGates lists what is allowed at a gate and should not be overlooked.
func (a *App) findGates(ctx caddy.Context) (found []finding) {
	a.findPlaces()
	http, err := ctx.AppIfConfigured("http")
	if err != nil {
		return []finding{{Severity: warned, Text: "there is no site, so nothing is guarded"}}
	}
	gates := 0
	for name, server := range http.(*caddyhttp.App).Servers {
		eachGate(server.Routes, func(j *JWTAuth) {
			gates++
			found = append(found, j.dangers("server "+name)...)
		})
	}
	if gates == 0 {
		found = append(found, finding{Severity: warned, Text: "there is no `jwt_auth` in any site, so nothing is guarded"})
	}
	return found
}

func (j *JWTAuth) dangers(where string) (found []finding) {
	where += ", gate " + j.label()
	if j.reports() {
		found = append(found, finding{
			Severity: warned,
			Where:    where,
			Text:     "it only reports: it refuses nothing and lets forged identity headers through",
		})
	}
	for _, f := range j.From {
		if f.Kind == "insecure_query" {
			found = append(found, finding{
				Severity: warned,
				Where:    where,
				Text:     fmt.Sprintf("it takes tokens from the query parameter %q: URLs end up in logs and histories", f.Name),
			})
		}
	}
	return found
}

// eachGate calls f for every gate of the routes, however deep; strips are none.
func eachGate(routes caddyhttp.RouteList, f func(*JWTAuth)) {
	for _, route := range routes {
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *JWTAuth:
				if h.gate != nil {
					f(h)
				}
			case *caddyhttp.Subroute:
				eachGate(h.Routes, f)
			}
		}
	}
}

// describe names a gate for a person: its label and its rules, for stacked gates often have the same audiences.
func (j *JWTAuth) describe() string {
	if j.gate == nil {
		return "filter"
	}
	var b strings.Builder
	b.WriteString("gate " + j.label())
	for i, rule := range j.Rules {
		sep, verb := " (", "require"
		if i > 0 {
			sep = ", "
		}
		if rule.Deny {
			verb = "deny"
		}
		b.WriteString(sep + strings.Join(append([]string{verb, rule.Claim}, rule.Values...), " "))
	}
	if len(j.Rules) > 0 {
		b.WriteString(")")
	}
	return b.String()
}
