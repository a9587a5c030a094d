package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/module/adminapi"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/explain"
	"github.com/caddyauth/gateway/caddyauth/module/terminal"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// storeCommand is `caddy auth store`.
func storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store <command>",
		Short: "Moves the store to another database",
		Long: `Moves everything a server has stored to another database, of the same engine or
another one: SQLite or PostgreSQL. With the same secret everything stays valid: sessions
and their refresh tokens, revocations, keys, users, API tokens, the audit trail.

The commands open the store that the configuration names themselves. Run them as the
user of the server, with its environment.`,
	}
	cmd.AddCommand(storeExportCommand(), storeImportCommand())
	onlySubcommands(cmd)
	return cmd
}

// storeTransfer is one run of a command that reads or writes a whole store.
type storeTransfer struct {
	cmd     *cobra.Command
	flags   explain.ConfigFlags
	json    bool
	replace bool
}

func storeExportCommand() *cobra.Command {
	var m storeTransfer
	cmd := &cobra.Command{
		Use:   "export [--config <file> [--adapter <name>]] [--json] <file>",
		Short: "Writes everything in the store to one file",
		Long: `Writes everything in the store to one file, as it is at one moment; the server may run.
The file must not exist; - is standard output. It is encrypted with a key derived from
the server's secret, and can be read only with all entries of that secret. Nothing in
the store changes.`,
		Example: `  $ caddy auth store export --config /etc/caddy/Caddyfile auth.export`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m.cmd = cmd
		return m.export(args[0])
	}
	m.flags.Add(cmd, "Caddyfile", "the configuration that names the store; - is standard input")
	cmd.Flags().BoolVar(&m.json, "json", false, "print the number of rows as JSON")
	return cmd
}

func storeImportCommand() *cobra.Command {
	var m storeTransfer
	cmd := &cobra.Command{
		Use:   "import [--config <file> [--adapter <name>]] [--replace] [--json] <file>",
		Short: "Puts everything in an exported file into the store",
		Long: `Puts everything in a file that caddy auth store export has written into the store that
the configuration names: all of it, or nothing when the file is damaged or of another
release, or when secret is not the one of the server that exported. - is standard input.

The store must be empty, and no server may use it: run the import before the first
start. While a server has it open, the import is refused. --replace deletes everything
that is in it, in the same step.`,
		Example: `  $ caddy auth store import --config /etc/caddy/Caddyfile.new auth.export
  $ caddy auth store import --config /etc/caddy/Caddyfile.new --replace auth.export`,
		Args: cobra.ExactArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m.cmd = cmd
		return m.load(args[0])
	}
	m.flags.Add(cmd, "Caddyfile", "the configuration that names the store; - is standard input")
	cmd.Flags().BoolVar(&m.replace, "replace", false, "delete what is in the store")
	cmd.Flags().BoolVar(&m.json, "json", false, "print the number of rows as JSON")
	return destructiveIf(cmd, "everything that is in the store now is deleted", func() bool { return m.replace })
}

// open provisions the gateway of the configuration and nothing else. The App must be cleaned up by
// the caller.
func (m *storeTransfer) open() (explain.Document, *auth.App, error) {
	doc, _, err := m.flags.Load(m.cmd.InOrStdin())
	if err != nil {
		return nil, nil, err
	}
	app, err := doc.ProvisionApp("ERROR")
	return doc, app, err
}

func (m *storeTransfer) export(path string) (err error) {
	_, app, err := m.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Cleanup()) }()
	ctx, store := m.cmd.Context(), app.Read().Store
	if err := store.OpenReadOnly(ctx); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	secret, err := app.Read().StoreSecret(ctx)
	if err != nil {
		return err
	}
	if path == "-" {
		counts, err := exportTo(ctx, store, secret, m.cmd.OutOrStdout())
		return m.printCounts(m.cmd.ErrOrStderr(), "exported", store, counts, err)
	}
	counts, err := exportFile(ctx, store, secret, path)
	return m.printCounts(m.cmd.OutOrStdout(), "exported", store, counts, err)
}

// exportFile writes a new file that only its owner can read, and removes it after an error.
func exportFile(ctx context.Context, store *sqlstore.Store, secret *keyring.SecretRing, path string) (
	[]sqlstore.TableRows, error,
) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	counts, err := exportTo(ctx, store, secret, f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return counts, nil
}

func exportTo(ctx context.Context, store *sqlstore.Store, secret *keyring.SecretRing, w io.Writer) (
	[]sqlstore.TableRows, error,
) {
	sealed, err := secret.SealStream(w)
	if err != nil {
		return nil, err
	}
	counts, err := store.Export(ctx, sealed, time.Now())
	if err != nil {
		return nil, err // without its last part the file is incomplete
	}
	return counts, sealed.Close()
}

func (m *storeTransfer) load(path string) (err error) {
	in := m.cmd.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	doc, app, err := m.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Cleanup()) }()

	// The file can be decrypted only with the secret of the server that exported it.
	store := app.Read().Store
	secret, err := app.Read().ExistingSecret()
	if err != nil {
		return err
	}
	content, err := secret.OpenStream(in)
	if errors.Is(err, keyring.ErrWrongSecret) {
		return fmt.Errorf("secret: this is not the secret of the server that exported %s: %w", path, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}

	// A running server must not lose its store to an import.
	if running, err := doc.RunningStore(); err == nil && explain.SameStore(running, store.Name()) {
		return fmt.Errorf("store %s: the running server uses it; stop the server, or name another store", running)
	}
	counts, err := importInto(m.cmd.Context(), store, content, m.replace)
	if err != nil {
		return fmt.Errorf("%s: nothing was imported: %w", path, err)
	}
	return m.printCounts(m.cmd.OutOrStdout(), "imported", store, counts, nil)
}

func importInto(ctx context.Context, store *sqlstore.Store, content io.Reader, replace bool) (
	[]sqlstore.TableRows, error,
) {
	if err := store.OpenAlone(ctx); err != nil {
		return nil, err
	}
	counts, err := store.Import(ctx, content, replace)
	if errors.Is(err, sqlstore.ErrNotEmpty) {
		err = fmt.Errorf("%w; name another store, or delete what is in it with --replace", err)
	}
	if err != nil {
		return nil, err
	}
	return counts, store.AddEntry(ctx, audit.Entry{
		At:     time.Now(),
		Actor:  adminapi.Actor,
		Action: "store.import",
		Result: "success",
		Detail: fmt.Sprint(rowsOf(counts), " rows"),
	})
}

func rowsOf(counts []sqlstore.TableRows) (all int64) {
	for _, c := range counts {
		all += c.Rows
	}
	return all
}

// printCounts prints what was moved.
func (m *storeTransfer) printCounts(
	w io.Writer, what string, store *sqlstore.Store, counts []sqlstore.TableRows, err error,
) error {
	if err != nil {
		return err
	}
	if m.json {
		return terminal.JSON(w, struct {
			Store  string               `json:"store"`
			Tables []sqlstore.TableRows `json:"tables"`
		}{store.Name(), counts})
	}
	var tables []string
	for _, c := range counts {
		tables = append(tables, fmt.Sprintf("%s %d", c.Table, c.Rows))
	}
	_, err = fmt.Fprintf(w, "%s: %d rows, store %s (%s)\n",
		what, rowsOf(counts), store.Name(), strings.Join(tables, ", "))
	return err
}
