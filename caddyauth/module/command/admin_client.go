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

// adminClient is one run of a command that asks the running server through Caddy's admin endpoint.
type adminClient struct {
	cmd     *cobra.Command
	address string
	config  explain.ConfigFlags
	json    bool
	ifMatch string // the version that a change is for; sent as If-Match
}

// adminCommand makes a command one that asks the running server.
func adminCommand(cmd *cobra.Command, run func(*adminClient, []string) error) *cobra.Command {
	r := &adminClient{cmd: cmd}
	cmd.Flags().StringVar(&r.address, "address", "",
		"the admin address of the running Caddy (default: that of --config, else Caddy's default)")
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
is in the audit trail with the actor ` + adminapi.Actor + `.`}
	cmd.AddCommand(commands...)
	onlySubcommands(cmd)
	return cmd
}

// maxAnswer bounds one answer of the server, in bytes.
const maxAnswer = 16 << 20

// request sends one request to the API. path is relative to /auth/api/; a nil body is not sent. The
// answer may be empty.
func (r *adminClient) request(method, path string, query url.Values, body any) (json.RawMessage, error) {
	address, err := r.adminAddress()
	if err != nil {
		return nil, err
	}
	uri := adminapi.Mount + "/api/" + path
	if len(query) > 0 {
		uri += "?" + query.Encode()
	}
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(text)
	}

	// A change is refused if the object has changed since it was read.
	header := http.Header{}
	if r.ifMatch != "" {
		header.Set("If-Match", `"`+r.ifMatch+`"`)
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, uri, header, payload)
	if err != nil {
		return nil, requestError(address, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", address, err)
	}
	return bytes.TrimSpace(answer), nil
}

// requestError shortens an error of Caddy's client to one line. That client has no error types, so
// the text is parsed.
func requestError(address string, err error) error {
	// No response: the transport failed.
	text := err.Error()
	if _, inner, failed := strings.Cut(text, "performing request: "); failed {
		if _, reason, ok := strings.Cut(inner, `": `); ok {
			inner = reason
		}
		return fmt.Errorf("no Caddy answers at the admin address %s: %s", address, inner)
	}

	// A response with an error: the gateway and Caddy answer with JSON, another handler with text.
	_, answer, refused := strings.Cut(text, "HTTP ")
	if !refused {
		return err
	}
	_, body, _ := strings.Cut(answer, ": ")
	var answered struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	switch json.Unmarshal([]byte(body), &answered) {
	case nil:
		if answered.Description != "" {
			return errors.New(terminal.Printable(strings.ReplaceAll(answered.Description, "\n", "; ")))
		}
		return errors.New(terminal.Printable(answered.Error))
	default:
		return fmt.Errorf("the Caddy at %s answers %.40s, as if it was built without caddyauth",
			address, terminal.Printable(strings.TrimSpace(answer)))
	}
}

// pathSegment escapes a name as one segment of a path.
func pathSegment(what, name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return "", fmt.Errorf("%s %q not found", what, name)
	}
	return url.PathEscape(name), nil
}

// requestOne is request for one object: the name is put into the path where {id} stands.
func (r *adminClient) requestOne(method, what, path, name string, body any) (json.RawMessage, error) {
	id, err := pathSegment(what, name)
	if err != nil {
		return nil, err
	}
	return r.request(method, strings.Replace(path, "{id}", id, 1), nil, body)
}

// pageSize is how many elements are asked for at once.
const pageSize = 200

// fetchAll reads a list page by page, up to limit items; 0 is no limit. more says that the list
// goes on.
func (r *adminClient) fetchAll(path string, query url.Values, limit int) (
	items []json.RawMessage, more bool, err error,
) {
	items = []json.RawMessage{}
	for {
		query.Set("limit", fmt.Sprint(pageSize))
		if limit > 0 {
			query.Set("limit", fmt.Sprint(min(pageSize, limit-len(items))))
		}
		answer, err := r.request(http.MethodGet, path, query, nil)
		if err != nil {
			return nil, false, err
		}
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  string            `json:"next_cursor"`
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return nil, false, fmt.Errorf("the answer is not a list: %w", err)
		}
		items = append(items, page.Items...)
		if page.Next == "" || limit > 0 && len(items) >= limit {
			return items, page.Next != "", nil
		}
		query.Set("cursor", page.Next)
	}
}

// printList prints a list.
func (r *adminClient) printList(path string, query url.Values, limit int, columns []column) error {
	items, more, err := r.fetchAll(path, query, limit)
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

// printObject prints one object.
func (r *adminClient) printObject(answer json.RawMessage, err error) error {
	if err != nil {
		return err
	}
	if r.json {
		return r.printJSON(answer)
	}
	return printMembers(r.cmd.OutOrStdout(), answer)
}

// printDone prints the result of a request whose answer is empty.
func (r *adminClient) printDone(result, target string, err error) error {
	if err != nil {
		return err
	}
	if r.json {
		return r.printJSON(map[string]string{"result": result, "target": target})
	}
	words := strings.ReplaceAll(result, "_", " ")
	_, err = fmt.Fprintf(r.cmd.OutOrStdout(), "%s: %s\n", words, terminal.Printable(target))
	return err
}

// printNewSecret prints a secret that is shown only once. It stands alone on standard output, so
// that a script can read it; the other members go to standard error.
func (r *adminClient) printNewSecret(answer json.RawMessage, member string) error {
	if r.json {
		return r.printJSON(answer)
	}
	var members map[string]any
	if err := json.Unmarshal(answer, &members); err != nil {
		return fmt.Errorf("the answer is not an object: %w", err)
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

// queryOf makes a query of pairs of name and value, without those whose value is empty.
func queryOf(pairs ...string) url.Values {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	return query
}

// parseSeconds reads a duration in whole seconds; nil stands for `default`.
func parseSeconds(flag, text string) (*int64, error) {
	if text == "default" {
		return nil, nil
	}
	d, err := project.ParseDuration(text)
	if errors.Is(err, project.ErrNoUnit) {
		return nil, fmt.Errorf("--%s: %q is %w", flag, text, err)
	}
	if err != nil || d < 0 || d%time.Second != 0 {
		return nil, fmt.Errorf("--%s: %q is not a duration in whole seconds, such as 90s, 15m, 30d or 1y", flag, text)
	}
	n := int64(d / time.Second)
	return &n, nil
}
