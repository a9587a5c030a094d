package sqlstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

var errStandby = fmt.Errorf("%w: the PostgreSQL server takes no writes (it is a standby or read-only)", ErrUnavailable)

// temporaryStates are the SQLSTATEs, or classes of them, that wrap ErrUnavailable, with our error
// texts. The longest match counts.
var temporaryStates = map[string]string{
	"08":    "the connection failed",
	"25006": "the server takes no writes (it is a standby or read-only)",
	"25P03": "the transaction was idle for too long",
	"28":    "the server refuses the user or the password",
	"3D000": "the database does not exist",
	"3F000": "the schema which search_path names does not exist",
	"40":    "the transaction was undone for the sake of others, again and again",
	"42501": "the user has not the right to do this",
	"53":    "the server is short of resources",
	"53100": "the server's disk is full",
	"53200": "the server's memory is short",
	"53300": "the server has too many connections",
	"55":    "another session holds what is needed",
	"57":    "the server was interrupted by its operator",
	"57014": "the statement took longer than statement_timeout",
	"57P01": "the server is shutting down",
	"57P02": "the server crashed",
	"57P03": "the server is starting or shutting down",
	"58":    "reading or writing failed on the server",
	"XX001": "the server's data is damaged",
	"XX002": "the server's data is damaged",
}

// serverFailure is failure for PostgreSQL. A time-out here is the server's; callers check their own
// context themselves.
func serverFailure(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || isError[failureText](err) {
		return err
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return connectionFailure(err)
	}
	for _, state := range []string{e.Code, e.Code[:min(2, len(e.Code))]} {
		if words := temporaryStates[state]; words != "" {
			err := fmt.Errorf("%w: %s (SQLSTATE %s)", ErrUnavailable, words, e.Code)
			if e.Code == "57014" || e.Code == "55P03" {
				return timeout{error: err, cut: true}
			}
			return err
		}
	}
	return failureText("the store refused a statement (SQLSTATE " + e.Code + ")")
}

// connectionFailure converts the error of a server that could not be reached or did not answer.
func connectionFailure(err error) error {
	words := "the connection failed"
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT):
		return errSilent
	case errors.Is(err, syscall.ECONNREFUSED):
		words = "the connection was refused"
	case errors.Is(err, syscall.ENOENT):
		words = "no server listens on this socket"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		words = "the host cannot be reached"
	case isError[*net.DNSError](err):
		words = "the host name cannot be resolved"
	case isError[*tls.CertificateVerificationError](err), isError[x509.UnknownAuthorityError](err),
		isError[x509.HostnameError](err):
		words = "the server's certificate was refused"
	case isError[*pgconn.ConnectError](err) && strings.Contains(err.Error(), "server refused TLS"):
		words = "the server does not speak TLS, which sslmode asks for"
	case isError[*pgconn.ConnectError](err) && strings.Contains(err.Error(), "read only connection"):
		words = "no server takes writes"
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, words)
}

// serverLost reports whether other connections are probably lost too, or lead to a server that no
// longer takes writes.
func serverLost(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return !pgconn.Timeout(err)
	}
	return e.Code == "25006" || strings.HasPrefix(e.Code, "57P") || strings.HasPrefix(e.Code, "08")
}

// retryable reports whether the server has undone everything, or nothing was sent, so that the same
// transaction may succeed now.
func retryable(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "40001" || e.Code == "40P01"
	}
	return pgconn.SafeToRetry(err)
}
