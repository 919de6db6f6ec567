package store

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/lib/pq"
)

// What can go wrong with the database, mapped once from the driver's errors.
// Everyone else asks with errors.Is.
var (
	// ErrUnavailable: the server cannot be reached, is starting, stopping, full
	// or read-only. No statement's fault; trying later may help.
	ErrUnavailable = errors.New("the database is not available")
	// ErrRetryable: a deadlock, a lock or serialization failure. The same
	// transaction done again at once will probably succeed.
	ErrRetryable = errors.New("the transaction collided with another")
	// ErrAccess: the password, the user or a permission is wrong.
	ErrAccess = errors.New("the database refuses access")
	// ErrSchema: a table or column is missing or of another version.
	ErrSchema = errors.New("the database schema does not fit this program")
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrConfiguration: what was asked for cannot work as it is configured.
	ErrConfiguration = errors.New("wrong configuration")
	// ErrNotLeader: the lease has another term by now.
	ErrNotLeader = errors.New("no longer the leader")
)

// mapError wraps a driver's error with the sentinel it belongs to. Context
// errors and errors of unknown kind are given back as they are.
func mapError(err error) error {
	if err == nil {
		return nil
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

// mapCall is mapError for a call made with ctx. The server reports a statement
// cancelled because ctx was done like one that ran too long; it is the former
// that is told then, and nobody should try again.
func mapCall(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return mapError(err)
}

// notSupported is what a standby answers to the driver's BEGIN READ WRITE, before anything was asked that it might not support.
const notSupported = "0A000"

// mapBegin is mapCall for the beginning of a transaction that is to write.
func mapBegin(ctx context.Context, err error) error {
	var pqErr *pq.Error
	if ctx.Err() == nil && errors.As(err, &pqErr) && pqErr.Code == notSupported {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return mapCall(ctx, err)
}

func kindOf(err error) error {
	var pqErr *pq.Error
	var netErr net.Error
	var certErr *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case errors.As(err, &pqErr):
		kind := kindOfState(string(pqErr.Code))
		if kind == nil && pqErr.Severity == "FATAL" {
			kind = ErrUnavailable // the session is over, whatever it was: no statement's fault
		}
		return kind
	case errors.Is(err, pq.ErrSSLNotSupported), errors.As(err, &certErr): // sslmode asks for what the server has not
		return ErrConfiguration
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.As(err, &netErr):
		return ErrUnavailable
	case strings.Contains(err.Error(), "already a query being processed"):
		// lib/pq's poisoned connection: the socket died in the middle of an answer.
		return ErrUnavailable
	}
	return nil
}

// kindOfState sorts an SQLSTATE (PostgreSQL manual, appendix A).
func kindOfState(code string) error {
	switch code {
	case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
		return ErrRetryable
	case "25006", "25P03": // read-only server, idle-in-transaction timeout
		return ErrUnavailable
	case "28P01", "28000", "42501", "3D000": // password, authorization, privilege, no such database
		return ErrAccess
	case "42P01", "42703", "42883", "42704": // no such table, column, function, object
		return ErrSchema
	}
	switch code[:2] {
	case "08", "53", "57", "58": // connection, resources, operator intervention, system error
		if code == "57014" { // a statement cancelled by its timeout
			return ErrRetryable
		}
		return ErrUnavailable
	}
	return nil
}

// redact takes the URL's password out of a text, in the clear and as the URL writes it.
func redact(text, raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "it cannot be parsed"
	}
	password, _ := u.User.Password()
	if password == "" {
		return text
	}
	for _, secret := range []string{password, url.QueryEscape(password), url.PathEscape(password), url.UserPassword("", password).String()[1:]} {
		text = strings.ReplaceAll(text, secret, "xxxxx")
	}
	return text
}
