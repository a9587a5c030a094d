package explain

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage" // for the temporary storage of `check`
	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

// CheckCommand is `caddy auth check`.
func CheckCommand() *cobra.Command {
	var flags ConfigFlags
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
	flags.Add(cmd, "Caddyfile", "the configuration to check; - is standard input")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}

func runCheck(cmd *cobra.Command, flags *ConfigFlags, asJSON bool) error {
	found, err := checkConfig(cmd, flags)
	if err != nil && !asJSON {
		return err
	}
	if err != nil {
		found = []finding.Finding{{Severity: finding.Error, Text: err.Error()}}
	}
	if asJSON {
		err = printFindingsJSON(cmd.OutOrStdout(), found)
	} else {
		printFindings(cmd.OutOrStdout(), found)
	}
	if err == nil && finding.HasError(found) {
		return unsuccessful(cmd)
	}
	return err
}

// checkConfig provisions the configuration and applies all rules. The error says why a server would
// refuse the configuration.
func checkConfig(cmd *cobra.Command, flags *ConfigFlags) (found []finding.Finding, err error) {
	doc, warnings, err := flags.Load(cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	for _, text := range warnings {
		found = append(found, finding.Finding{Severity: finding.Warning, Text: text})
	}

	// Provisioning a local certificate authority writes into the storage, so the real one is not
	// used.
	storage, err := os.MkdirTemp("", "caddy-auth-check-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(storage)) }()
	doc["storage"] = map[string]any{"module": "file_system", "root": storage}
	doc.logToStderr("ERROR")
	ctx, app, err := doc.provision()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, app.Cleanup()) }()

	if err = app.OpenForReading(cmd.Context()); err != nil {
		if !app.Read().MayStart(err) {
			return nil, err
		}
		found = append(found, finding.Finding{
			Severity: finding.Warning,
			Text:     fmt.Sprintf("the content of the store was not checked: %v", err),
		})
	}
	return finding.Sort(append(found, findings(ctx, app)...)), nil
}

// rules are the rules of `check` besides those that a start applies too. Each has its own file,
// reads the configuration, and writes nothing.
var rules = []func(caddy.Context, *auth.App) []finding.Finding{
	findGates,
	findUsers,
	findGateIdentity,
	findHashKinds,
}

// findings applies all rules. A finding may be in the list more than once.
func findings(ctx caddy.Context, app *auth.App) []finding.Finding {
	found := app.Findings()
	for _, rule := range rules {
		found = append(found, rule(ctx, app)...)
	}
	return found
}

// unsuccessful ends a command with exit code 1 when it has printed all there is to say.
func unsuccessful(cmd *cobra.Command) error {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	return fmt.Errorf("%s: unsuccessful", cmd.CommandPath())
}

// printFindings prints one line for each finding, and `ok` unless one is an error.
func printFindings(w io.Writer, found []finding.Finding) {
	for _, f := range found {
		fmt.Fprintln(w, f)
	}
	if !finding.HasError(found) {
		fmt.Fprintln(w, "ok")
	}
}

// printFindingsJSON prints one object for programs.
func printFindingsJSON(w io.Writer, found []finding.Finding) error {
	if found == nil {
		found = []finding.Finding{} // [] for readers that do not expect null
	}
	return terminal.JSON(w, struct {
		OK       bool              `json:"ok"`
		Findings []finding.Finding `json:"findings"`
	}{!finding.HasError(found), found})
}
