package sqlstore

import (
	"strings"
	"testing"
	"time"
)

func TestSpellingsOfOnePostgresAreOne(t *testing.T) {
	t.Setenv("PGHOST", "")
	t.Setenv("PGPASSWORD", "")
	want, err := Canonical("postgres://auth@db:5432/auth?statement_timeout=10s&sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{
		"postgresql://auth@db/auth?sslmode=require", "POSTGRES://auth@DB/auth?sslmode=require&statement_timeout=10000",
		"postgres:///auth?host=db&user=auth&sslmode=require",
		"postgres://db/?sslmode=require&user=auth&dbname=auth&port=5432", want,
	} {
		if got, err := Canonical(raw); err != nil || got != want {
			t.Errorf("Canonical(%q) = %q, %v; want %q", raw, got, err, want)
		}
	}
}

func TestCanonicalPostgresTellsPasswordsApartAndShowsNone(t *testing.T) {
	seen := map[string]string{}
	for _, raw := range []string{
		"postgres://auth:hunter2@db/auth", "postgres://auth:hunter3@db/auth", "postgres://auth@db/auth",
		"postgres://other:hunter2@db/auth", "postgres://auth:hunter2@db/other", "postgres://auth:hunter2@db2/auth",
		"postgres://auth:hunter2@db,db2/auth", "postgres://auth:hunter2@db/auth?pool_max_conns=3",
		"postgres://auth:hunter2@db/auth?search_path=x",
	} {
		got, err := Canonical(raw)
		if err != nil || strings.Contains(got, "hunter") || seen[got] != "" {
			t.Errorf("%q is %q, as is %q (%v)", raw, got, seen[got], err)
		}
		seen[got] = raw
		again, _ := Canonical(strings.Replace(raw, "auth:hunter2@db/auth", "db/auth?user=auth&password=hunter2", 1))
		if !strings.Contains(raw, "?") && strings.HasSuffix(raw, "hunter2@db/auth") && again != got {
			t.Errorf("the password as an option makes %q, not %q", again, got)
		}
	}
}

func TestUnusablePostgresURLsAreRefusedWithoutThePassword(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"postgres:auth:hunter2@db/auth", "cannot be read"},
		{"postgres://auth:hun/ter2@db/auth", "%2F"},
		{"postgres://auth:12/hunter2@db/auth", "%40"},
		{"postgres://auth:12?hunter2=x&y@db/auth", "%40"},
		{"postgres://auth:12#hunter2@db/auth", "%23"},
		{"postgres://auth:%hunter2@db/auth", "%25"},
		{"postgres://auth:hunter2@db:x/auth", "cannot be read"},
		{"postgres://auth:hunter2@db/auth?pool_max_con=3", `unknown option "pool_max_con"`},
		{"postgres://auth:hunter2@db/auth?sslmode=no", "sslmode"},
		{"postgres://auth:hunter2@db/auth?pool_max_conns=0", "pool_max_conns"},
		{"postgres://auth:hunter2@db/auth?connect_timeout=soon", "connect_timeout"},
		{"postgres://auth:hunter2@db/auth?statement_timeout=1ms", "from 100ms to 10m"},
		{"postgres://auth:hunter2@db/auth?statement_timeout=never", "from 100ms to 10m"},
		{"postgres://auth:hunter2@db/auth?port=1&port=2", "duplicate option port"},
		{"postgres://auth@db/auth?password=hunter2;x", "semicolon"},
		{"postgres://auth:hunter2@db/auth?sslrootcert=/missing", "missing"},
	} {
		t.Run(c.raw, func(t *testing.T) {
			_, newErr := New(c.raw)
			_, err := Canonical(c.raw)
			if err == nil || newErr == nil || err.Error() != newErr.Error() || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: %v and %v; want %q", c.raw, err, newErr, c.want)
			}
			if err != nil &&
				(strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "ter2") ||
					!strings.HasPrefix(err.Error(), "store: ")) {
				t.Errorf("%q: %v", c.raw, err)
			}
		})
	}
}

func TestPostgresDefaultsAndKnobs(t *testing.T) {
	server, err := parsePostgres("postgres://auth@db/auth")
	if err != nil {
		t.Fatal(err)
	}
	if c := server.config; c.MaxConns != defaultPoolSize || c.ConnConfig.ConnectTimeout != defaultConnectTimeout ||
		server.statementTimeout != defaultStatementTimeout ||
		c.ConnConfig.RuntimeParams["application_name"] != "caddyauth" {
		t.Errorf("defaults: %d connections, %v to connect, %v a statement, parameters %v", c.MaxConns,
			c.ConnConfig.ConnectTimeout,
			server.statementTimeout, c.ConnConfig.RuntimeParams)
	}
	server, err = parsePostgres("postgres://auth@a:1," +
		"b:2/auth?pool_max_conns=3&connect_timeout=2&statement_timeout=250&application_name=x")
	if err != nil {
		t.Fatal(err)
	}
	if c := server.config; c.MaxConns != 3 || c.ConnConfig.ConnectTimeout != 2*time.Second ||
		server.statementTimeout != 250*time.Millisecond ||
		c.ConnConfig.RuntimeParams["application_name"] != "x" || server.acquireTimeout != 6*time.Second ||
		server.name != "postgres://a,b/auth" {
		t.Errorf("knobs: %d connections, %v to connect, %v a statement, %v for one, %s", c.MaxConns,
			c.ConnConfig.ConnectTimeout,
			server.statementTimeout, server.acquireTimeout, server.name)
	}
}
