package explain

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// ConfigFlags are the flags of a command that reads a configuration.
type ConfigFlags struct {
	File    string // - is standard input
	Adapter string // empty: caddyfile, except for .json files
}

// Add adds the flags to a command.
func (f *ConfigFlags) Add(cmd *cobra.Command, fallback, usage string) {
	cmd.Flags().StringVarP(&f.File, "config", "c", fallback, usage)
	cmd.Flags().StringVarP(&f.Adapter, "adapter", "a", "",
		"name of the config adapter (default: caddyfile, except for .json files)")
}

// Document is a configuration in Caddy's native form, as plain JSON values that can be changed
// before it is provisioned.
type Document map[string]any

// Load reads and adapts the configuration. Each warning is one line.
func (f *ConfigFlags) Load(stdin io.Reader) (Document, []string, error) {
	data, err := f.read(stdin)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	var warnings []string
	if name := f.adapterName(); name != "" {
		if data, warnings, err = adaptWith(name, f.File, data); err != nil {
			return nil, nil, err
		}
	}
	doc := make(Document)
	if err := json.Unmarshal(caddy.RemoveMetaFields(data), &doc); err != nil {
		return nil, nil, fmt.Errorf("%s: the configuration is not a JSON object: %w", f.File, err)
	}
	return doc, warnings, nil
}

func (f *ConfigFlags) read(stdin io.Reader) ([]byte, error) {
	if f.File == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(f.File)
}

func (f *ConfigFlags) adapterName() string {
	if f.Adapter == "" && !strings.EqualFold(filepath.Ext(f.File), ".json") {
		return "caddyfile"
	}
	return f.Adapter
}

func adaptWith(name, file string, data []byte) ([]byte, []string, error) {
	adapter := caddyconfig.GetAdapter(name)
	if adapter == nil {
		return nil, nil, fmt.Errorf("adapter: %q is unknown", name)
	}
	adapted, found, err := adapter.Adapt(data, map[string]any{"filename": file})
	if err != nil {
		return nil, nil, err
	}
	var warnings []string
	for _, w := range found {
		if !strings.Contains(w.Message, "not formatted") { // a matter of taste, not of safety
			warnings = append(warnings, fmt.Sprintf("%s, at %s:%d", w.Message, w.File, w.Line))
		}
	}
	return adapted, warnings, nil
}

// logToStderr makes the configuration log to standard error, nothing below level. A log file would
// be created.
func (d Document) logToStderr(level string) {
	d["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{
		"level": level, "writer": map[string]any{"output": "stderr"},
	}}}
}

// apps returns the configurations of all apps.
func (d Document) apps() map[string]any {
	apps, _ := d["apps"].(map[string]any)
	return apps
}

// keepApps removes all apps but the named ones.
func (d Document) keepApps(names ...string) {
	kept := make(map[string]any)
	for _, name := range names {
		if app, ok := d.apps()[name]; ok {
			kept[name] = app
		}
	}
	d["apps"] = kept
}

// errNoAuth is the error for a configuration that does not use the gateway.
var errNoAuth = errors.New("the configuration has no global option `auth`")

// ProvisionApp provisions the global option `auth` and nothing else, and starts nothing. The caller
// must clean the App up.
func (d Document) ProvisionApp(logLevel string) (*auth.App, error) {
	d.keepApps("auth")
	d.logToStderr(logLevel)
	delete(d, "storage")
	_, app, err := d.provision()
	return app, err
}

// provision builds everything the configuration describes and starts nothing. The caller must clean
// the App up.
func (d Document) provision() (caddy.Context, *auth.App, error) {
	if _, ok := d.apps()["auth"]; !ok {
		return caddy.Context{}, nil, errNoAuth
	}
	data, err := json.Marshal(d)
	if err != nil {
		return caddy.Context{}, nil, err
	}
	var cfg *caddy.Config
	if err := caddy.StrictUnmarshalJSON(data, &cfg); err != nil {
		return caddy.Context{}, nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		return ctx, nil, option.WithMissing(shortenError(err), d.apps()["auth"], ownHandlers(d.apps()["http"]))
	}
	app, err := ctx.AppIfConfigured("auth")
	if err != nil {
		return ctx, nil, err
	}
	return ctx, app.(*auth.App), nil
}

// The error of Caddy names all modules on the way; what helps is the last one and, for a directive,
// the route.
var (
	lastModule = regexp.MustCompile(`^.*provision (?:http\.handlers\.)?(auth|jwt_auth|auth_server): `)
	firstRoute = regexp.MustCompile(`^.*?server ([^ :]+): setting up route handlers: route (\d+): `)
)

// shortenError returns the part of Caddy's error that an operator can act on.
func shortenError(err error) error {
	text := err.Error()
	found := lastModule.FindStringSubmatch(text)
	if found == nil {
		return err
	}
	what := strings.TrimPrefix(text[len(found[0]):], found[1]+": ")
	if route := firstRoute.FindStringSubmatch(text); route != nil && found[1] != "auth" {
		return fmt.Errorf("%s (server %s, route %s): %s", found[1], route[1], route[2], what)
	}
	return fmt.Errorf("%s: %s", found[1], what)
}

// AdminAddress is the address of the admin endpoint that the configuration sets, or Caddy's
// default. It is empty if the configuration has no admin endpoint.
// caddycmd.DetermineAdminAPIAddress does the same, but logs what it reads.
func (d Document) AdminAddress() string {
	admin, _ := d["admin"].(map[string]any)
	if disabled, _ := admin["disabled"].(bool); disabled {
		return ""
	}
	listen, _ := admin["listen"].(string)
	return cmp.Or(caddy.NewReplacer().ReplaceAll(listen, ""), caddy.DefaultAdminListen)
}

// ownHandlers returns the handlers of a configuration that belong to the gateway.
func ownHandlers(value any) (found []any) {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			found = append(found, ownHandlers(e)...)
		}
	case map[string]any:
		if name, _ := v["handler"].(string); name == "jwt_auth" || name == "auth_server" {
			return []any{v}
		}
		for _, e := range v {
			found = append(found, ownHandlers(e)...)
		}
	}
	return found
}
