package explain

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

// InspectCommand is `caddy auth token inspect`.
func InspectCommand() *cobra.Command {
	var flags ConfigFlags
	var audience string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect [--config <file> [--adapter <name>] [--audience <word>]] [--json] [<token> | -]",
		Short: "Decodes a token and, given a configuration, verifies it",
		Long: `Prints the header and the claims of a token, which is read from standard input unless
it is given as an argument (where other users of the machine can see it).

Without --config nothing is verified. With it every check is named in its order, with
its outcome, and the exit code is 1 when one of them fails. Project, policy and
revocation are checked by gates alone: see caddy auth explain. --json prints an object
with header, claims, verified and, given a configuration, checks and store.`,
		Example: `  $ caddy auth token inspect < token.txt
  $ caddy auth token inspect --config /etc/caddy/Caddyfile --audience api < token.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInspect(cmd, &flags, audience, asJSON, args)
		},
	}
	flags.Add(cmd, "", "the configuration to verify with (default: none, nothing is verified)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: an object")
	cmd.Flags().StringVar(&audience, "audience", "",
		"the audience word that the token must have (default: any of the configuration's)")
	return cmd
}

func runInspect(cmd *cobra.Command, flags *ConfigFlags, audience string, asJSON bool, args []string) error {
	raw, err := tokenArgument(cmd, args)
	if err != nil {
		return err
	}
	if flags.File == "" && (audience != "" || flags.Adapter != "") {
		return errors.New("--audience and --adapter need --config")
	}
	i := inspection{
		out:      cmd.OutOrStdout(),
		raw:      raw,
		audience: audience,
		json:     asJSON,
		now:      time.Now(),
	}
	if flags.File == "" {
		return i.decode()
	}
	ok, err := i.verifyWith(cmd.Context(), flags, cmd.InOrStdin())
	if err == nil && !ok {
		return unsuccessful(cmd)
	}
	return err
}

func tokenArgument(cmd *cobra.Command, args []string) (raw string, err error) {
	if len(args) == 0 || args[0] == "-" {
		raw, err = readToken(cmd, "-")
	} else {
		raw = trimToken(args[0])
	}
	if err == nil && raw == "" {
		return "", errors.New("no token to inspect")
	}
	return raw, err
}

// inspection is one run of the command.
type inspection struct {
	out      io.Writer
	raw      string
	audience string
	json     bool
	now      time.Time
	store    storeReport
	ring     *keyring.Ring // of the configuration; nil without one
	token    *token.Token  // as it was verified; nil if it was not
}

// decode prints what the token says about itself.
func (i *inspection) decode() error {
	header, claims, err := token.Inspect(i.raw)
	switch purpose := purposeOf(i.raw); {
	case err != nil && purpose != "":
		return errors.New(purpose)
	case strings.HasPrefix(i.raw, "at_"):
		return errors.New("this is an opaque access token: only the server that made it can read it; give --config")
	case err != nil:
		return err
	}
	if i.json {
		return terminal.JSON(i.out, inspectResult{
			Header: jsonValue(header),
			Claims: jsonValue(claims),
			Notes:  notesOn(i.raw),
		})
	}
	fmt.Fprintln(i.out, "Header (not verified)")
	terminal.Columns(i.out, i.members(header))
	fmt.Fprintln(i.out, "Claims (not verified)")
	terminal.Columns(i.out, i.members(claims))
	i.printNotes(notesOn(i.raw))
	fmt.Fprintln(i.out, "Not verified: anyone can write such a token. Give --config to verify it.")
	return nil
}

func (i *inspection) printNotes(notes []string) {
	for _, note := range notes {
		fmt.Fprintln(i.out, "note:", note)
	}
}

func (i *inspection) members(object map[string]any) [][2]string {
	var rows [][2]string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		text := quoteJSON(object[name])
		if at, ok := timeOf(name, object[name]); ok {
			text += " (" + formatTime(at, i.now) + ")"
		}
		rows = append(rows, [2]string{terminal.Printable(name), text})
	}
	return rows
}

// timeOf returns the instant that a claim stands for, if it is one between 1970 and 3000.
func timeOf(name string, value any) (time.Time, bool) {
	number, ok := value.(token.Number)
	if !ok || !slices.Contains([]string{"exp", "nbf", "iat", "auth_time"}, name) {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(string(number), 64)
	return time.Unix(int64(seconds), 0), err == nil && seconds > 0 && seconds < 32503680000
}

// verifyWith prints the token and every check of it; ok says whether all of them passed.
func (i *inspection) verifyWith(ctx context.Context, flags *ConfigFlags, stdin io.Reader) (ok bool, err error) {
	doc, _, err := flags.Load(stdin)
	if err != nil {
		return false, err
	}
	app, err := doc.ProvisionApp("PANIC")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, app.Cleanup()) }()
	if words := app.Read().Audiences; i.audience != "" && !slices.Contains(words, i.audience) {
		return false, fmt.Errorf("--audience: %q is not among the server's audiences (%s)",
			i.audience, strings.Join(words, " "))
	}

	if err := app.OpenForReading(ctx); err != nil {
		return false, err
	}
	app.Services().Keys.Fetch()
	i.ring, i.store = app.Read().Ring, reportStore(ctx, doc, app)
	verdict := i.check(ctx, app)
	if i.json {
		return verdict == nil, i.reportJSON(verdict)
	}
	return i.report(verdict), nil
}

// check asks in the order of a gate. The error is nil or a *token.Refusal.
func (i *inspection) check(ctx context.Context, app *auth.App) error {
	config := app.Read()
	t, err := config.Verify(ctx, i.raw)
	if err != nil {
		return err
	}
	i.token = t
	if err := t.CheckTime(i.now, leeway.Default); err != nil {
		return err
	}
	words := config.Audiences
	if i.audience != "" {
		words = []string{i.audience}
	}
	if accepted, _ := app.Verification().Accepts(t.Issuer()); accepted != nil {
		words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !slices.Contains(accepted, w) })
	}
	if !t.HasAudience(words...) {
		return &token.Refusal{Reason: token.WrongAudience, Detail: "the token is not for " + strings.Join(words, ", ")}
	}
	return nil
}

// report prints the token, as far as it can be read, and the outcome of every check.
func (i *inspection) report(verdict error) bool {
	label := " (verified)"
	if verdict != nil {
		label = " (of a refused token)"
	}
	fmt.Fprintln(i.out, i.store)
	i.printNotes(append(i.store.notes(), notesOn(i.raw)...))
	header, claims := i.contents()
	if header != nil {
		fmt.Fprintln(i.out, "Header"+label)
		terminal.Columns(i.out, i.members(header))
	}
	if claims != nil {
		fmt.Fprintln(i.out, "Claims"+label)
		terminal.Columns(i.out, i.members(claims))
	}
	fmt.Fprintln(i.out, "Checks")
	var rows [][2]string
	for _, o := range i.outcomes(verdict) {
		word := strings.ReplaceAll(o.Outcome, "_", " ")
		if o.Outcome == "failed" {
			word = "FAILED: " + verdict.Error()
		}
		rows = append(rows, [2]string{o.Check, word})
	}
	terminal.Columns(i.out, rows)
	if verdict != nil {
		fmt.Fprintf(i.out, "Refused: %s.\n", gate.ReasonOf(verdict))
		return false
	}
	fmt.Fprintln(i.out, "Verified. Project, policy and revocation are a gate's to check: see caddy auth explain.")
	return true
}

// registered are the claims of our own access tokens that are not those of a person or a client.
var registered = []string{
	"acr", "act", "amr", "aud", "auth_time", "client_id", "cnf", "epoch", "exp", "iat", "iss", "jti", "project",
	"scope", "sid", "sub",
}

// contents are the header and the claims of the token, nil where they cannot be read. An opaque token has no
// header, and says of its claims only what every token has.
func (i *inspection) contents() (header, claims map[string]any) {
	if header, claims, err := token.Inspect(i.raw); err == nil {
		return header, claims
	}
	if i.token == nil {
		return nil, nil
	}
	claims = make(map[string]any, len(registered))
	for _, name := range registered {
		if value, ok := i.token.Claim(name); ok {
			claims[name] = value
		}
	}
	return nil, claims
}

// inspectResult is what there is to say about a token, for programs.
type inspectResult struct {
	Verified bool           `json:"verified"`
	Reason   token.Reason   `json:"reason,omitempty"`
	Detail   string         `json:"detail,omitempty"`
	Header   any            `json:"header"` // null when it cannot be read
	Claims   any            `json:"claims"`
	Checks   []checkOutcome `json:"checks,omitempty"`
	Store    *storeReport   `json:"store,omitempty"` // whose keys were asked
	Notes    []string       `json:"notes,omitempty"`
}

// checkOutcome is what came of one check: ok, failed or not_reached.
type checkOutcome struct {
	Check   string `json:"check"`
	Outcome string `json:"outcome"`
}

func (i *inspection) reportJSON(verdict error) error {
	x := inspectResult{
		Verified: verdict == nil,
		Checks:   i.outcomes(verdict),
		Store:    &i.store,
		Notes:    append(i.store.notes(), notesOn(i.raw)...),
	}
	if verdict != nil {
		x.Reason, x.Detail = gate.ReasonOf(verdict), detailOf(verdict)
	}
	if header, claims := i.contents(); claims != nil {
		x.Claims = jsonValue(claims)
		if header != nil {
			x.Header = jsonValue(header)
		}
	}
	return terminal.JSON(i.out, x)
}

// jsonValue makes numbers of a token numbers again.
func jsonValue(value any) any {
	switch v := value.(type) {
	case token.Number:
		return json.Number(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = jsonValue(e)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, e := range v {
			object[name] = jsonValue(e)
		}
		return object
	}
	return value
}

func (i *inspection) outcomes(verdict error) []checkOutcome {
	refusal, _ := errors.AsType[*token.Refusal](verdict)
	var failed string
	if refusal != nil {
		failed = checkOf(i.raw, refusal)
	}
	names := checkNames
	if failed == "claims" && i.claimsReadFirst() {
		names = []string{
			"structure", "header", "claims", "issuer and key", "algorithm", "signature", "type", "times", "audience",
		}
	}
	outcomes, word := make([]checkOutcome, 0, len(names)), "ok"
	for _, name := range names {
		if name == failed {
			outcomes, word = append(outcomes, checkOutcome{name, "failed"}), "not_reached"
			continue
		}
		outcomes = append(outcomes, checkOutcome{name, word})
	}
	return outcomes
}

// claimsReadFirst reports whether the claims are not proper JSON and were read before a signature
// could be checked: the gateway's own keys are found by `kid` alone, those of other issuers by what
// `iss` says.
func (i *inspection) claimsReadFirst() bool {
	_, _, err := token.Inspect(i.raw)
	return err != nil && i.ring.Key(kidOf(i.raw)) == nil
}

// kidOf reads the key id of a token whose claims cannot be read.
func kidOf(raw string) string {
	segment, _, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return ""
	}
	var header struct {
		Kid string `json:"kid"`
	}
	_ = json.Unmarshal(text, &header)
	return header.Kid
}

// detailOf returns the detail of a refusal, without its reason.
func detailOf(err error) string {
	if refusal, ok := errors.AsType[*token.Refusal](err); ok {
		return refusal.Detail
	}
	return err.Error()
}
