package sqlstore

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

const postgresForm = "write postgres://user:password@host:port/database?option=value"

// The options of a PostgreSQL URL, and their defaults.
const (
	defaultStatementTimeout = 10 * time.Second // statement_timeout
	defaultConnectTimeout   = 5 * time.Second  // connect_timeout
	defaultPoolSize         = 30               // pool_max_conns: three nodes fit into the 100 connections of a server
)

// postgresOptions are the accepted options of a URL; without the list, only the server would find a
// misspelt one, at the first connection. Those which are not listed in pgx's documentation are
// parameters of the server.
var postgresOptions = []string{
	"host", "port", "user", "password", "dbname", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey",
	"sslpassword", "sslsni", "sslnegotiation", "channel_binding", "connect_timeout", "target_session_attrs",
	"application_name", "search_path", "options", "statement_timeout", "lock_timeout", "pool_max_conns",
	"pool_min_conns", "pool_min_idle_conns", "pool_max_conn_lifetime", "pool_max_conn_lifetime_jitter",
	"pool_max_conn_idle_time", "pool_health_check_period",
}

// canonicalSecret is the key of the fingerprint of a password in a canonical URL, so that nobody
// can test a guess.
var canonicalSecret = []byte(rand.Text())

// postgresServer is where a PostgreSQL database is and how to speak to it.
type postgresServer struct {
	config           *pgxpool.Config
	canonical        string
	name             string        // for errors
	statementTimeout time.Duration // of one statement; a transaction has as long
	acquireTimeout   time.Duration // of waiting for a connection
	woken            func()
}

func isPostgres(rawURL string) bool {
	scheme := strings.ToLower(urlScheme.FindString(rawURL))
	return scheme == "postgres:" || scheme == "postgresql:"
}

// parsePostgres reads a PostgreSQL URL. The environment variables of libpq (PGHOST, PGPASSWORD,
// ...) are read, too.
func parsePostgres(rawURL string) (*postgresServer, error) {
	u, options, err := splitPostgres(rawURL)
	if err != nil {
		return nil, err
	}
	timeout, err := statementTimeout(options)
	if err != nil {
		return nil, err
	}
	options.Del("statement_timeout")
	u.RawQuery = options.Encode()
	config, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("store: %s; %s", parseWords(err, u, options), postgresForm)
	}
	options.Set("statement_timeout", timeout.String())
	conn := config.ConnConfig
	if options.Get("pool_max_conns") == "" {
		config.MaxConns = max(defaultPoolSize, config.MinConns, config.MinIdleConns)
	}
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = defaultConnectTimeout
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "caddyauth"
	}
	hosts, ports := places(conn)
	return &postgresServer{
		config:           config,
		canonical:        canonicalPostgres(conn, hosts, ports, options),
		name:             "postgres://" + strings.Join(hosts, ",") + "/" + conn.Database,
		statementTimeout: timeout,
		acquireTimeout:   time.Duration(len(hosts)) * (conn.ConnectTimeout + time.Second),
	}, nil
}

// splitPostgres parses a URL. Its errors quote nothing of it: an unescaped character in the
// password can move a part of the password into any component.
func splitPostgres(rawURL string) (*url.URL, url.Values, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Opaque != "" || !strings.Contains(rawURL, "://") {
		return nil, nil, errors.New("store: the PostgreSQL URL cannot be read (in a password write : / ? # @ % as " +
			"%3A %2F %3F %23 %40 %25); " + postgresForm)
	}
	u.Scheme = "postgres"
	if rest := u.EscapedPath() + u.RawQuery; u.Fragment != "" || strings.Contains(rest, "@") ||
		strings.Count(u.EscapedPath(), "/") > 1 {
		return nil, nil, errors.New("store: the PostgreSQL URL holds an @, / or # where none belongs (in a password " +
			"write / ? # @ as %2F %3F %23 %40); " + postgresForm)
	}
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, nil, errors.New("store: the options of the PostgreSQL URL hold a bad percent escape or a " +
			"semicolon; " + postgresForm)
	}
	for name, values := range options {
		if !slices.Contains(postgresOptions, name) {
			return nil, nil, fmt.Errorf("store: unknown option %q in the PostgreSQL URL; known are %s", name,
				strings.Join(postgresOptions, ", "))
		}
		if len(values) > 1 {
			return nil, nil, fmt.Errorf("store: duplicate option %s in the PostgreSQL URL", name)
		}
	}
	return u, options, nil
}

// statementTimeout reads the option as PostgreSQL would (a number is milliseconds) or as a Go
// duration.
func statementTimeout(options url.Values) (time.Duration, error) {
	text := options.Get("statement_timeout")
	if text == "" {
		return defaultStatementTimeout, nil
	}
	d, err := project.ParseDuration(text)
	if n, bad := strconv.Atoi(text); bad == nil {
		d, err = time.Duration(n)*time.Millisecond, nil
	}
	if err != nil || d < 100*time.Millisecond || d > 10*time.Minute {
		return 0, fmt.Errorf("store: statement_timeout is %q; write a duration from 100ms to 10m", text)
	}
	return d, nil
}

// parseWords returns why the URL was refused, without the URL, with which pgx's error begins.
func parseWords(err error, u *url.URL, options url.Values) string {
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+3:]
	}
	password, _ := u.User.Password()
	for _, secret := range []string{password, options.Get("password"), options.Get("sslpassword")} {
		if secret != "" && strings.Contains(text, secret) {
			return "the PostgreSQL URL holds a bad option"
		}
	}
	return "the PostgreSQL URL: " + text
}

// places are the servers in order, without duplicates: pgx lists one twice when it may be used with
// and without TLS.
func places(conn *pgx.ConnConfig) (hosts, ports []string) {
	all := append([]*pgconn.FallbackConfig{{Host: conn.Host, Port: conn.Port}}, conn.Fallbacks...)
	seen := map[string]bool{}
	for _, f := range all {
		port := strconv.Itoa(int(f.Port))
		if place := net.JoinHostPort(f.Host, port); !seen[place] {
			seen[place] = true
			hosts, ports = append(hosts, strings.ToLower(f.Host)), append(ports, port)
		}
	}
	return hosts, ports
}

// canonicalPostgres is the canonical spelling of all resolved options. Passwords are replaced by a
// keyed fingerprint, so that two different ones are two stores and none is shown.
func canonicalPostgres(conn *pgx.ConnConfig, hosts, ports []string, options url.Values) string {
	secret := conn.Password + "\x00" + options.Get("sslpassword")
	for _, name := range []string{"user", "password", "dbname", "sslpassword", "passfile"} {
		options.Del(name)
	}
	options.Set("host", strings.Join(hosts, ","))
	options.Set("port", strings.Join(ports, ","))
	u := url.URL{Scheme: "postgres", User: url.User(conn.User), Path: "/" + conn.Database, RawQuery: options.Encode()}
	if secret != "\x00" {
		mac := hmac.New(sha256.New, canonicalSecret)
		mac.Write([]byte(secret))
		u.Fragment = hex.EncodeToString(mac.Sum(nil)[:8])
	}
	return u.String()
}
