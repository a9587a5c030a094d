package explain

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/jwtauth"
	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

// Command is `caddy auth explain`.
func Command() *cobra.Command {
	var e explanation
	cmd := &cobra.Command{
		Use: "explain [--config <file> [--adapter <name>]] --url <url> [--method <method>]" +
			" [--token <token> | --token-file <file>] [--header <'Name: value'>...] [--expect <decision>] [--json]",
		Short: "Explains what the gates of a configuration decide about a request",
		Long: `Sends one request through the real routes and gates of a configuration, inside this
process, and prints what each gate decided and why, what the response would be, and
which identity headers the application would see.

Nothing is written and no application is called: reverse_proxy and other handlers that
would answer from outside the process are replaced by an empty answer with status 200. The store
is opened for reading, so that the keys are those of the server; key sets of trusted
issuers are fetched. --token and --token-file take - for standard input.

The exit code is 0 whatever the gates decide, and 2 when no site answers the host or the
path. For tests, --expect takes allow, deny or a reason code such as claim_denied: the
exit code is then 2 when the decision differs. 1 means that the command failed.`,
		Example: `  $ caddy auth explain --url https://app.example.com/admin --token-file token.txt
  $ caddy auth explain --url https://app.example.com/ --header 'Accept: text/html'
  $ caddy auth explain --config Caddyfile --url http://localhost:8080/ --method POST \
        --header 'Cookie: access_token=eyJ...' --header 'Origin: https://evil.example'
  $ caddy auth explain --url https://app.example.com/admin --expect no_credential --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e.out = cmd.OutOrStdout()
			return e.run(cmd)
		},
	}
	e.flags.Add(cmd, "Caddyfile", "the configuration to ask; - is standard input")
	flags := cmd.Flags()
	flags.StringVarP(&e.url, "url", "u", "", "the URL of the request; required")
	flags.StringVarP(&e.method, "method", "X", http.MethodGet, "the method of the request")
	flags.StringVarP(&e.token, "token", "t", "", "a token, sent as Authorization: Bearer")
	flags.StringVar(&e.tokenFile, "token-file", "", "a file that holds the token")
	flags.StringArrayVarP(&e.headers, "header", "H", nil, "a header of the request, as often as needed")
	flags.StringVar(&e.expect, "expect", "", "what should be decided: allow, deny or a reason code")
	flags.BoolVar(&e.json, "json", false, "print JSON: an object")
	flags.StringVar(&e.server, "server", "",
		"the server to ask, when several listen on the port (default: the one that does)")
	return cmd
}

// explanation is one run of the command.
type explanation struct {
	flags                         ConfigFlags
	url, method, token, tokenFile string
	headers                       []string
	server, expect                string
	json                          bool

	out        io.Writer
	app        *auth.App
	store      storeReport
	sent       *http.Request
	unknown    []string // handlers that were left out
	unanswered string   // why nothing is guarded, when no site answers
	decisions  []jwtauth.Decision
	refused    *token.Refusal // by auth_verdict
}

func (e *explanation) run(cmd *cobra.Command) (err error) {
	u, err := url.Parse(e.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("--url: %q is not an http or https URL", e.url)
	}
	if cmd.Flags().Changed("expect") { // an empty variable of a script is refused
		if err := checkExpectation(e.expect); err != nil {
			return err
		}
	}
	request, err := e.request(cmd, u)
	if err != nil {
		return err
	}
	server, err := e.open(cmd.Context(), cmd.InOrStdin(), u)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.app.Cleanup()) }()

	// The gates change the request, and its headers are compared afterwards.
	e.sent = request.Clone(cmd.Context())
	answer := &recording{header: make(http.Header)}
	e.unanswered = unmatchedHost(server, request)
	own, inURL := e.ownPath(request), e.app.Gates().Credentials.InURL(request)
	server.ServeHTTP(answer, request)
	switch {
	case e.unanswered != "":
	case answer.header.Get(askedHeader) != "":
		e.judgeAsked(answer, own, inURL)
	case answer.status == 0 && len(e.unknown) == 0:
		e.unanswered = "no handler answers this path, so the server answers 200 with nothing"
	}
	x := e.makeResult(answer, request.Header)
	if !e.json {
		x.print(e.out)
	} else if err := terminal.JSON(e.out, x); err != nil {
		return err
	}
	return x.verdict(cmd, e.expect)
}

// exitUnexpected is the exit code of explain when the decision is not the expected one, or when no
// site answers.
const exitUnexpected = 2

// verdict ends the command: with nil when the decision is the expected one.
func (x *result) verdict(cmd *cobra.Command, expect string) error {
	met := x.Decision != unanswered
	if expect != "" {
		met = met && (expect == x.Decision || expect == string(x.Reason))
	}
	if met {
		return nil
	}
	what := "no site answers the request"
	if x.Decision != unanswered {
		what = fmt.Sprintf("expected %s, got %s", expect, strings.TrimSpace(x.Decision+" "+string(x.Reason)))
	}

	// The reason is printed here, so that cobra adds neither the error nor the usage.
	fmt.Fprintln(cmd.ErrOrStderr(), "Error:", what)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	// Caddy has exit codes only for commands of its own kind.
	code := func(caddycmd.Flags) (int, error) { return exitUnexpected, errors.New(what) }
	return caddycmd.WrapCommandFuncForCobra(code)(cmd, nil)
}

// checkExpectation refuses a word that can never be the decision.
func checkExpectation(word string) error {
	if word == allowed || word == denied || slices.Contains(gate.Reasons, token.Reason(word)) {
		return nil
	}
	return fmt.Errorf("--expect: %q is neither allow nor deny nor a reason code", word)
}

// open provisions the configuration with stubbed handlers and returns the server that listens on
// the port of u.
func (e *explanation) open(ctx context.Context, stdin io.Reader, u *url.URL) (*caddyhttp.Server, error) {
	doc, _, err := e.flags.Load(stdin)
	if err != nil {
		return nil, err
	}
	doc.keepApps("auth", "http")
	doc.logToStderr("PANIC")
	delete(doc, "storage")
	e.unknown = doc.stubHandlers()
	caddyCtx, app, err := doc.provision()
	if err != nil {
		return nil, err
	}
	e.app = app
	server, err := e.findServer(caddyCtx, u)
	if err == nil {
		err = app.OpenForReading(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, app.Cleanup())
	}
	app.Services().Keys.Fetch()
	e.store = reportStore(ctx, doc, app)
	return server, nil
}

// request builds the request as net/http would hand it to the server.
func (e *explanation) request(cmd *cobra.Command, u *url.URL) (*http.Request, error) {
	ctx := jwtauth.CollectDecisions(cmd.Context(), func(d jwtauth.Decision) { e.decisions = append(e.decisions, d) })
	r, err := http.NewRequestWithContext(ctx, e.method, e.url, nil)
	if err != nil {
		return nil, fmt.Errorf("--method: %w", err)
	}
	r.RequestURI = u.RequestURI()
	if r.URL, err = url.ParseRequestURI(r.RequestURI); err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	r.RemoteAddr, r.Body = "127.0.0.1:1", http.NoBody
	if u.Scheme == "https" {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: u.Hostname()}
	}
	return r, e.addHeaders(cmd, r)
}

func (e *explanation) addHeaders(cmd *cobra.Command, r *http.Request) error {
	for _, line := range e.headers {
		name, value, found := strings.Cut(line, ":")
		if !found || strings.TrimSpace(name) == "" || strings.ContainsAny(line, "\r\n") {
			return fmt.Errorf("--header: %q is not `Name: value`", name)
		}
		name, value = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header[name] = append(r.Header[name], value)
	}
	raw, err := e.readToken(cmd)
	if raw != "" {
		r.Header["Authorization"] = append(r.Header["Authorization"], "Bearer "+raw)
	}
	return err
}

func (e *explanation) readToken(cmd *cobra.Command) (string, error) {
	switch {
	case e.token != "" && e.tokenFile != "":
		return "", errors.New("--token and --token-file exclude each other")
	case e.token == "-" || e.tokenFile != "":
		if e.tokenFile == "" {
			e.tokenFile = "-"
		}
		var err error
		e.token, err = readToken(cmd, e.tokenFile)
		return e.token, err
	}
	e.token = trimToken(e.token)
	return e.token, nil
}

// findServer finds the server that listens on the port of u.
func (e *explanation) findServer(ctx caddy.Context, u *url.URL) (*caddyhttp.Server, error) {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil, errors.New("the configuration has no site")
	}
	servers := app.(*caddyhttp.App).Servers
	if e.server != "" {
		if servers[e.server] == nil {
			return nil, fmt.Errorf("--server: %q not found, want one of %s",
				e.server, strings.Join(slices.Sorted(maps.Keys(servers)), ", "))
		}
		return servers[e.server], nil
	}
	port := portOf(u)
	var names []string
	for name, server := range servers {
		if slices.ContainsFunc(server.Listen, func(address string) bool { return listensOn(address, port) }) {
			names = append(names, name)
		}
	}
	switch len(names) {
	case 0:
		return nil, fmt.Errorf("--url: no server of the configuration listens on port %d", port)
	case 1:
		return servers[names[0]], nil
	}
	slices.Sort(names)
	return nil, fmt.Errorf("--url: several servers listen on port %d; choose one with --server: %s",
		port, strings.Join(names, ", "))
}

func portOf(u *url.URL) uint {
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return uint(port)
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

func listensOn(address string, port uint) bool {
	a, err := caddy.ParseNetworkAddress(address)
	return err == nil && a.StartPort <= port && port <= a.EndPort
}

// recording is a response writer that keeps status and headers and throws the body away.
type recording struct {
	header http.Header
	status int
}

func (r *recording) Header() http.Header { return r.header }

func (r *recording) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
}

func (r *recording) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return len(p), nil
}
