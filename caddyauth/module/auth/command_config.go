package auth

import (
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
)

// configFlags are the flags of a command that reads a configuration.
type configFlags struct{ file, adapter string }

func (f *configFlags) add(cmd *cobra.Command, fallback, usage string) {
	cmd.Flags().StringVarP(&f.file, "config", "c", fallback, usage)
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "name of the config adapter (default: caddyfile, except for .json files)")
}

// document is a configuration in Caddy's native form, as plain JSON values that can be changed before it is provisioned.
type document map[string]any

// load reads and adapts the configuration. Everything it returns as warnings is one line each.
func (f *configFlags) load(stdin io.Reader) (document, []string, error) {
	data, err := f.read(stdin)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	var warnings []string
	if name := f.adapterName(); name != "" {
		if data, warnings, err = adaptWith(name, f.file, data); err != nil {
			return nil, nil, err
		}
	}
	doc := make(document)
	if err := json.Unmarshal(caddy.RemoveMetaFields(data), &doc); err != nil {
		return nil, nil, fmt.Errorf("%s: the configuration is not a JSON object: %w", f.file, err)
	}
	return doc, warnings, nil
}

func (f *configFlags) read(stdin io.Reader) ([]byte, error) {
	if f.file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(f.file)
}

func (f *configFlags) adapterName() string {
	if f.adapter == "" && !strings.EqualFold(filepath.Ext(f.file), ".json") {
		return "caddyfile"
	}
	return f.adapter
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

// quiet makes the configuration log to standard error, nothing below level, and into no file: a log file would be created.
func (d document) quiet(level string) {
	d["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{
		"level": level, "writer": map[string]any{"output": "stderr"},
	}}}
}

// apps returns the configurations of all apps.
func (d document) apps() map[string]any {
	apps, _ := d["apps"].(map[string]any)
	return apps
}

// keepApps drops all apps but the named ones.
func (d document) keepApps(names ...string) {
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

// provision builds everything the configuration describes and starts nothing. The App must be cleaned up by the caller.
func (d document) provision() (caddy.Context, *App, error) {
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
		return ctx, nil, withMissing(shortened(err), d.apps()["auth"], ownHandlers(d.apps()["http"]))
	}
	app, err := ctx.AppIfConfigured("auth")
	if err != nil {
		return ctx, nil, err
	}
	return ctx, app.(*App), nil
}

// Caddy says of an error through how many modules it went; what counts is the last one and, for a directive, the route.
var (
	lastModule = regexp.MustCompile(`^.*provision (?:http\.handlers\.)?(auth|jwt_auth|auth_server): `)
	firstRoute = regexp.MustCompile(`^.*?server ([^ :]+): setting up route handlers: route (\d+): `)
)

// shortened leaves of Caddy's error the part that an operator can act on.
func shortened(err error) error {
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
