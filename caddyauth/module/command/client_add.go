package command

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

func clientAddCommand() *cobra.Command {
	var slug string
	var public, fixed bool
	cmd := adminCommand(&cobra.Command{
		Use:   "add [<id>]",
		Short: "Adds a client; its secret is shown once",
		Long: `Adds a client, and prints what its application needs to know. Without an id it gets a
random one. Its secret is printed as client_secret, this once, and is not kept; a public
client, and one with keys, has none.

At a terminal it asks for what was not given: the id, the kind of client, its public
keys where it needs some, redirect URIs and scopes. A script is not asked.`,
		Example: `  $ caddy auth client add grafana --redirect-uri https://grafana.example.com/login/generic_oauth \
      --scope openid,profile,email
  $ caddy auth client add reports --grant-type client_credentials --audience api --scope read
  $ caddy auth client add spa --public --redirect-uri https://app.example.com/callback
  $ caddy auth client add --project acme --name "Nightly job" --json | jq -r .client_secret`,
		Args: cobra.MaximumNArgs(1),
	}, func(r *adminClient, args []string) error {
		body, err := clientSettings(r.cmd.Flags())
		if err != nil {
			return err
		}
		body["project"] = slug
		if public {
			body["public"] = true
		}
		if fixed { // otherwise the project and the server decide
			body["refresh_rotation"] = false
		}
		if len(args) > 0 {
			body["id"] = args[0]
		}
		if in, ok := r.cmd.InOrStdin().(*os.File); ok && !r.json && term.IsTerminal(int(in.Fd())) {
			if err := askForClient(in, r.cmd.ErrOrStderr(), body); err != nil {
				return err
			}
		}
		return r.addClient(body)
	})
	addClientFlags(cmd.Flags())
	cmd.Flags().StringVar(&slug, "project", project.Default, "the slug or id of the client's project")
	cmd.Flags().BoolVar(&public, "public", false,
		"a client that cannot keep a secret: a program in a browser or on a phone")
	cmd.Flags().BoolVar(&fixed, "no-refresh-rotation", false, "let the same refresh token be used more than once")
	return cmd
}

// addClient adds the client, and prints it with what its application has to be told.
func (r *adminClient) addClient(body map[string]any) error {
	answer, err := r.request(http.MethodPost, "clients", nil, body)
	if err := r.printObject(answer, err); err != nil || r.json {
		return err
	}
	// The client exists, and its secret was printed: what fails now fails only to help.
	server, err := r.request(http.MethodGet, "server", nil, nil)
	if err != nil {
		return err
	}
	return printForApplication(r.cmd.OutOrStdout(), answer, server)
}

// kinds are the kinds of clients that somebody may choose.
var kinds = []struct {
	word, text string
	members    map[string]any
}{
	{"web", "a web application with a server, which keeps a secret", nil},
	{"public", "a program in a browser, on a phone or on a desktop", map[string]any{"public": true}},
	{"service", "a program that acts for itself, not for a person",
		map[string]any{"grant_types": []string{clients.GrantClientCredentials}}},
	{"device", "a program without a browser of its own: a television, a command line",
		map[string]any{"public": true, "grant_types": []string{clients.GrantDevice, clients.GrantRefresh}}},
}

// askForClient asks for what the members of a new client do not say yet. An empty line takes what
// stands in brackets.
func askForClient(in io.Reader, out io.Writer, body map[string]any) error {
	q := questions{bufio.NewReader(in), out}
	if body["id"] == nil {
		id, err := q.ask("Client id", "a random one")
		if err != nil {
			return err
		}
		if id != "" {
			body["id"] = id
		}
	}
	if err := q.askForKind(body); err != nil {
		return err
	}
	if err := q.askForKeys(body); err != nil {
		return err
	}
	grants, _ := body["grant_types"].([]string)
	if body["redirect_uris"] == nil && (len(grants) == 0 || slices.Contains(grants, clients.GrantCode)) {
		if err := q.askForList("Redirect URIs, separated by spaces", "none", body, "redirect_uris"); err != nil {
			return err
		}
	}
	if body["scopes"] != nil {
		return nil
	}
	if slices.Contains(grants, clients.GrantClientCredentials) {
		return q.askForList("Scopes, separated by spaces", "none", body, "scopes")
	}
	const usual = "openid profile email"
	err := q.askForList("Scopes, separated by spaces", usual, body, "scopes")
	if err == nil && body["scopes"] == nil {
		body["scopes"] = strings.Fields(usual)
	}
	return err
}

// questions asks at a terminal.
type questions struct {
	in  *bufio.Reader
	out io.Writer
}

func (q questions) ask(question, fallback string) (string, error) {
	fmt.Fprintf(q.out, "%s [%s]: ", question, fallback)
	answer, err := q.in.ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(q.out)
		return "", errDeclined
	}
	return strings.TrimSpace(answer), nil
}

func (q questions) askForList(question, fallback string, body map[string]any, member string) error {
	answer, err := q.ask(question, fallback)
	if words := strings.Fields(answer); len(words) > 0 {
		body[member] = words
	}
	return err
}

// askForKeys asks for the public keys of a client that authenticates with one.
func (q questions) askForKeys(body map[string]any) error {
	method, _ := body["token_endpoint_auth_method"].(string)
	if method == "" && body["preset"] == clients.PresetFAPI2 {
		method = clients.AuthPrivateKeyJWT
	}
	needed := method == clients.AuthPrivateKeyJWT || method == clients.AuthSelfSignedTLS
	if !needed || body["jwks"] != nil || body["jwks_uri"] != nil {
		return nil
	}
	answer, err := q.ask("Public keys, the URL or the file of a JWK set", "none")
	switch {
	case err != nil || answer == "":
		return err
	case strings.Contains(answer, "://"):
		body["jwks_uri"] = answer
		return nil
	}
	body["jwks"], err = readJWKS(answer)
	return err
}

// askForKind asks what the client is, unless the members say how it authenticates or what it may
// use.
func (q questions) askForKind(body map[string]any) error {
	for _, member := range []string{"public", "token_endpoint_auth_method", "grant_types", "preset"} {
		if body[member] != nil {
			return nil
		}
	}
	fmt.Fprintln(q.out, "Kinds of clients:")
	rows := make([][2]string, len(kinds))
	for i, k := range kinds {
		rows[i] = [2]string{k.word, k.text}
	}
	terminal.Columns(q.out, rows)
	for {
		word, err := q.ask("Kind", kinds[0].word)
		if err != nil {
			return err
		}
		for _, k := range kinds {
			if k.word == word || word == "" && k.word == kinds[0].word {
				for member, value := range k.members {
					body[member] = value
				}
				return nil
			}
		}
		fmt.Fprintf(q.out, "%s is none of them.\n", terminal.Printable(word))
	}
}
