// Package pgtest owns the PostgreSQL server of a test binary: an installed server (initdb and
// postgres, found in PATH, in /usr/local/bin or in /usr/lib/postgresql) with a data directory, a
// socket and a loopback port of its own, fsync on, run by an unprivileged user when the tests run
// as root. It is test support: nothing but tests imports it.
//
// A package that uses it ends its server in TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
// and each test takes an empty database, which goes away with the test:
//
//	url := pgtest.Server(t).URL(t)
//
// ProxyURL leads to such a database through a Proxy, which can be slow, hang, and cut connections.
//
// Where no server is installed the test is skipped, or fails when CI_REQUIRE_ALL is 1.
package pgtest
