package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

var userColumns = []column{
	{"NAME", "name"},
	{"PROJECT", "project"},
	{"DISABLED", "disabled"},
	{"PASSWORD", "has_password"},
	{"CADDYFILE", "declared"},
	{"ADMIN", "admin"},
	{"CLAIMS", "claims"},
	{"ID", "id"},
}

// userCommand is `caddy auth user`.
func userCommand() *cobra.Command {
	return groupCommand("user", "Adds, shows, changes and removes users",
		userAddCommand(), userListCommand(), userShowCommand(), userSetCommand(),
		destructive(userDisabledCommand("disable", "Keeps a user from signing in, and ends their sessions", true),
			"the user is signed out everywhere, and cannot sign in"),
		userDisabledCommand("enable", "Lets a disabled user sign in again", false),
		destructive(userRemoveCommand(), "the user is removed, and signed out everywhere"), passwdCommand())
}

// userFlags name the project of a user.
type userFlags struct{ project string }

func (f *userFlags) add(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&f.project, "project", project.Default, "the slug or id of the user's project")
	return cmd
}

// find returns a user as the API has them.
func (f *userFlags) find(r *adminClient, name string) (id string, user json.RawMessage, err error) {
	found, _, err := r.fetchAll("users", queryOf("project", f.project, "name", name), 1)
	if err != nil {
		return "", nil, err
	}
	if len(found) == 0 || name == "" {
		return "", nil, fmt.Errorf("user %q not found in project %q", name, f.project)
	}
	var u struct {
		ID string `json:"id"`
	}
	return u.ID, found[0], json.Unmarshal(found[0], &u)
}

// change asks for a change of the user of that name.
func (f *userFlags) change(r *adminClient, method, path, name string, body any) (json.RawMessage, error) {
	found, _, err := f.find(r, name)
	if err != nil {
		return nil, err
	}
	return r.requestOne(method, "user", path, found, body)
}

func userAddCommand() *cobra.Command {
	var flags userFlags
	var claims []string
	var disabled, noPassword bool
	cmd := adminCommand(&cobra.Command{
		Use:   "add <name>",
		Short: "Adds a user",
		Long: `Adds a user, with a password that is asked for at a terminal and otherwise read from
standard input, one line.`,
		Example: `  $ caddy auth user add alice --claim role=editor --claim email=alice@example.com
  $ pass show alice | caddy auth user add alice --project acme
  $ caddy auth user add alice --no-password --claim role=editor --claim role=reviewer`,
		Args: cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		body := map[string]any{"name": args[0], "project": flags.project, "disabled": disabled}
		set, err := parseClaims(claims)
		if err != nil {
			return err
		}
		body["claims"] = set
		if !noPassword {
			if body["password"], err = readPassword(r.cmd); err != nil {
				return err
			}
		}
		answer, err := r.request(http.MethodPost, "users", nil, body)
		return r.printUser(answer, err, set)
	})
	cmd.Flags().StringArrayVar(&claims, "claim", nil,
		"a claim as name=value; given again with another value it is a list; name:=value takes JSON")
	cmd.Flags().BoolVar(&disabled, "disabled", false, "keep the user from signing in for now")
	cmd.Flags().BoolVar(&noPassword, "no-password", false, "give the user no password yet: nobody can sign in")
	return flags.add(cmd)
}

// printUser prints a user, and on standard error which of the claims that were set no client will be told.
func (r *adminClient) printUser(answer json.RawMessage, err error, set map[string]any) error {
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if want := openid.TypeOf(name); !want.Fits(set[name]) {
			fmt.Fprintf(
				r.cmd.ErrOrStderr(),
				"Note: no client is told the claim %s, because OpenID Connect wants %s; see --claim name:=value.\n",
				terminal.Printable(name),
				want,
			)
		}
	}
	return r.printObject(answer, nil)
}

// parseClaims reads the claims of the command line.
func parseClaims(pairs []string) (map[string]any, error) {
	claims := map[string]any{}
	for _, pair := range pairs {
		name, text, ok := strings.Cut(pair, "=")
		var value any = text
		if raw, typed := strings.CutSuffix(name, ":"); typed {
			name = raw
			if err := decodeNumbers([]byte(text), &value); err != nil || !jsontext.Value(text).IsValid() {
				return nil, fmt.Errorf("--claim: the value of %q is not JSON, or has a duplicate member", name)
			}
		}
		if !ok || name == "" {
			return nil, errors.New("--claim: it must be name=value, or name:=value with JSON")
		}
		before, again := claims[name]
		list, isList := before.([]any)
		switch {
		case !again:
			claims[name] = value
		case isList:
			claims[name] = append(list, value)
		default:
			claims[name] = []any{before, value}
		}
	}
	return claims, nil
}

func userListCommand() *cobra.Command {
	var project string
	cmd := adminCommand(&cobra.Command{
		Use:   "list",
		Short: "Lists users by project and name",
		Example: "  $ caddy auth user list --project acme\n" +
			"  $ caddy auth user list --json | jq -r '.[] | select(.disabled) | .name'",
		Args: cobra.NoArgs,
	}, func(r *adminClient, _ []string) error {
		return r.printList("users", queryOf("project", project), 0, userColumns)
	})
	cmd.Flags().StringVar(&project, "project", "", "the slug or id of the project whose users to list (default: all)")
	return cmd
}

func userShowCommand() *cobra.Command {
	var flags userFlags
	return flags.add(adminCommand(&cobra.Command{
		Use:     "show <name>",
		Short:   "Shows a user with all claims",
		Example: "  $ caddy auth user show alice",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		_, user, err := flags.find(r, args[0])
		return r.printObject(user, err)
	}))
}

func userSetCommand() *cobra.Command {
	var flags userFlags
	var edit claimsEdit
	cmd := adminCommand(&cobra.Command{
		Use:   "set <name>",
		Short: "Changes a user's claims",
		Long: `Changes a user's claims; those that are not named stay as they are. It ends the access
tokens with the claims from before. Sessions go on: browsers get a new token with
their next request, programs one for their refresh token.`,
		Example: `  $ caddy auth user set alice --claim role=editor --remove-claim email
  $ caddy auth user set alice --claim group=staff --claim group=admins --project acme
  $ caddy auth user set alice --clear-claims`,
		Args: cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		id, text, err := flags.find(r, args[0])
		if err != nil {
			return err
		}
		var user struct {
			Claims  map[string]any `json:"claims"`
			Version json.Number    `json:"version"`
		}
		if err := decodeNumbers(text, &user); err != nil {
			return fmt.Errorf("the answer is not a user: %w", err)
		}
		set, err := parseClaims(edit.set)
		if err != nil {
			return err
		}
		claims, err := edit.of(user.Claims, set)
		if err != nil {
			return err
		}
		r.ifMatch = user.Version.String() // a concurrent change is not undone
		answer, err := r.requestOne(http.MethodPatch, "user", "users/{id}", id, map[string]any{"claims": claims})
		return r.printUser(answer, err, set)
	})
	cmd.Flags().StringArrayVar(&edit.set, "claim", nil,
		"a claim as name=value in place of the one of that name, as for add")
	cmd.Flags().StringArrayVar(&edit.remove, "remove-claim", nil, "the name of a claim to remove")
	cmd.Flags().BoolVar(&edit.clear, "clear-claims", false, "remove all claims that the user has")
	return flags.add(cmd)
}

// claimsEdit is a change of claims.
type claimsEdit struct {
	set, remove []string
	clear       bool
}

// of returns what the change makes of claims; set are those that it sets.
func (e *claimsEdit) of(claims, set map[string]any) (map[string]any, error) {
	if len(e.set) == 0 && len(e.remove) == 0 && !e.clear {
		return nil, errors.New("nothing to change: give --claim, --remove-claim or --clear-claims")
	}
	if e.clear || claims == nil {
		claims = map[string]any{}
	}
	for _, name := range e.remove {
		if _, there := claims[name]; !there {
			return nil, fmt.Errorf("--remove-claim: the user has no claim %q", name)
		}
		delete(claims, name)
	}
	maps.Copy(claims, set)
	return claims, nil
}

func userDisabledCommand(name, short string, disabled bool) *cobra.Command {
	var flags userFlags
	return flags.add(adminCommand(&cobra.Command{
		Use:     name + " <name>",
		Short:   short,
		Example: "  $ caddy auth user " + name + " alice",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		body := map[string]bool{"disabled": disabled}
		return r.printObject(flags.change(r, http.MethodPatch, "users/{id}", args[0], body))
	}))
}

func userRemoveCommand() *cobra.Command {
	var flags userFlags
	return flags.add(adminCommand(&cobra.Command{
		Use:     "remove <name>",
		Short:   "Removes a user and ends their sessions",
		Example: "  $ caddy auth user remove alice --project acme",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		_, err := flags.change(r, http.MethodDelete, "users/{id}", args[0], nil)
		return r.printDone("removed", args[0], err)
	}))
}

func passwdCommand() *cobra.Command {
	var flags userFlags
	return flags.add(adminCommand(&cobra.Command{
		Use:   "passwd <name>",
		Short: "Sets a user's password",
		Long: `Sets a user's password, which is asked for at a terminal and otherwise read from
standard input, one line. It ends the user's sessions, unless their project says
otherwise.`,
		Example: "  $ caddy auth user passwd alice\n  $ pass show alice | caddy auth user passwd alice",
		Args:    cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		id, _, err := flags.find(r, args[0]) // before the password is asked for
		if err != nil {
			return err
		}
		password, err := readPassword(r.cmd)
		if err != nil {
			return err
		}
		body := map[string]string{"password": password}
		_, err = r.requestOne(http.MethodPut, "user", "users/{id}/password", id, body)
		return r.printDone("password_changed", args[0], err)
	}))
}
