package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/adminapi"
	"github.com/caddyauth/gateway/caddyauth/module/explain"
	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

// remote is one run of a command that asks the running server through Caddy's admin endpoint.
type remote struct {
	cmd     *cobra.Command
	address string
	config  explain.ConfigFlags
	json    bool
	match   string // the version that a change is for; sent as If-Match
}

// remoteCommand makes a command one that asks the running server.
func remoteCommand(cmd *cobra.Command, run func(*remote, []string) error) *cobra.Command {
	r := &remote{cmd: cmd}
	cmd.Flags().StringVar(&r.address, "address", "",
		"the admin address of the running Caddy (default: that of --config, or else Caddy's own default)")
	r.config.Add(cmd, "", "the configuration that names the admin address (default: none)")
	cmd.Flags().BoolVar(&r.json, "json", false, "print JSON: an object, or a list of them")
	cmd.RunE = func(_ *cobra.Command, args []string) error { return run(r, args) }
	return cmd
}

// groupCommand is a command that only has subcommands.
func groupCommand(name, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name + " <command>", Short: short, Long: short + `.

The commands ask the running server through Caddy's admin endpoint, which --address or
the configuration named by --config says. What they change takes effect at once, and
stands in the audit trail as done by the actor ` + adminapi.Actor + `.`}
	cmd.AddCommand(commands...)
	onlySubcommands(cmd)
	return cmd
}

// maxAnswer bounds one answer of the server, in bytes.
const maxAnswer = 16 << 20

// ask sends one request. path begins below /auth/api/; a body that is nil is not sent. The answer
// is nil when there is none.
func (r *remote) ask(method, path string, query url.Values, body any) (json.RawMessage, error) {
	address, err := r.adminAddress()
	if err != nil {
		return nil, err
	}
	uri := adminapi.Mount + "/api/" + path
	if len(query) > 0 {
		uri += "?" + query.Encode()
	}
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(text)
	}
	header := http.Header{}
	if r.match != "" {
		header.Set("If-Match", `"`+r.match+`"`)
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, uri, header, sent)
	if err != nil {
		return nil, refusedBy(address, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", address, err)
	}
	return bytes.TrimSpace(answer), nil
}

// refusedBy says in one line why there is no answer. Caddy's client tells of it in words alone.
func refusedBy(address string, err error) error {
	text := err.Error()
	if _, inner, failed := strings.Cut(text, "performing request: "); failed {
		if _, reason, ok := strings.Cut(inner, `": `); ok {
			inner = reason
		}
		return fmt.Errorf("no Caddy answers at the admin address %s: %s", address, inner)
	}
	_, answer, refused := strings.Cut(text, "HTTP ")
	if !refused {
		return err
	}
	_, body, _ := strings.Cut(answer, ": ")
	var told struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	switch json.Unmarshal([]byte(body), &told) {
	case nil:
		if told.Description != "" {
			return errors.New(terminal.Plain(told.Description))
		}
		return errors.New(terminal.Plain(told.Error))
	default:
		return fmt.Errorf("the Caddy at %s answers %.40s, as if it was built without caddyauth",
			address, terminal.Plain(strings.TrimSpace(answer)))
	}
}

// segment makes a name one segment of a path.
func segment(what, name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return "", fmt.Errorf("%s: there is none of the name %q", what, name)
	}
	return url.PathEscape(name), nil
}

// askOne is ask about one thing: the name is put into the path where {id} stands.
func (r *remote) askOne(method, what, path, name string, body any) (json.RawMessage, error) {
	id, err := segment(what, name)
	if err != nil {
		return nil, err
	}
	return r.ask(method, strings.Replace(path, "{id}", id, 1), nil, body)
}

// pageSize is how many elements are asked for at once.
const pageSize = 200

// collect asks for a list, page by page, until there is no more or limit is reached; 0 is no limit.
// more says that something is left.
func (r *remote) collect(path string, query url.Values, limit int) (items []json.RawMessage, more bool, err error) {
	items = []json.RawMessage{}
	for {
		query.Set("limit", fmt.Sprint(pageSize))
		if limit > 0 {
			query.Set("limit", fmt.Sprint(min(pageSize, limit-len(items))))
		}
		answer, err := r.ask(http.MethodGet, path, query, nil)
		if err != nil {
			return nil, false, err
		}
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  string            `json:"next_cursor"`
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return nil, false, fmt.Errorf("the answer is no list: %w", err)
		}
		items = append(items, page.Items...)
		if page.Next == "" || limit > 0 && len(items) >= limit {
			return items, page.Next != "", nil
		}
		query.Set("cursor", page.Next)
	}
}

// list prints a list.
func (r *remote) list(path string, query url.Values, limit int, columns []column) error {
	items, more, err := r.collect(path, query, limit)
	if err != nil {
		return err
	}
	if more {
		fmt.Fprintf(r.cmd.ErrOrStderr(), "There is more: these are %d. See --limit.\n", len(items))
	}
	if r.json {
		return r.printJSON(items)
	}
	return printTable(r.cmd.OutOrStdout(), items, columns)
}

// show prints one thing.
func (r *remote) show(answer json.RawMessage, err error) error {
	if err != nil {
		return err
	}
	if r.json {
		return r.printJSON(answer)
	}
	return printMembers(r.cmd.OutOrStdout(), answer)
}

// did prints that something was done which has no answer of its own.
func (r *remote) did(result, target string, err error) error {
	if err != nil {
		return err
	}
	if r.json {
		return r.printJSON(map[string]string{"result": result, "target": target})
	}
	_, err = fmt.Fprintf(r.cmd.OutOrStdout(), "%s: %s\n", strings.ReplaceAll(result, "_", " "), terminal.Plain(target))
	return err
}

// once prints a secret that is shown this once: alone on standard output, so that it can be taken
// by a script, with what belongs to it on standard error.
func (r *remote) once(answer json.RawMessage, member string) error {
	if r.json {
		return r.printJSON(answer)
	}
	var members map[string]any
	if err := json.Unmarshal(answer, &members); err != nil {
		return fmt.Errorf("the answer is no object: %w", err)
	}
	secret, _ := members[member].(string)
	delete(members, member)
	rest, err := json.Marshal(members)
	if err != nil {
		return err
	}
	if err := printMembers(r.cmd.ErrOrStderr(), rest); err != nil {
		return err
	}
	_, err = fmt.Fprintln(r.cmd.OutOrStdout(), secret)
	return err
}

// filters makes a query of what was given.
func filters(pairs ...string) url.Values {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	return query
}

// wholeSeconds reads a length of time; `default` and 0 are none.
func wholeSeconds(flag, text string) (*int64, error) {
	if text == "default" {
		return nil, nil
	}
	d, err := project.ParseDuration(text)
	if errors.Is(err, project.ErrNoUnit) {
		return nil, fmt.Errorf("--%s: %q is %w", flag, text, err)
	}
	if err != nil || d < 0 || d%time.Second != 0 {
		return nil, fmt.Errorf("--%s: %q is no length of time in whole seconds, like 90s, 15m, 30d or 1y", flag, text)
	}
	n := int64(d / time.Second)
	return &n, nil
}
