package pg

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
	// ErrUnwritable is ErrUnavailable of a server that answers questions and takes
	// nothing in: it is full, or a standby. That it serves others proves nothing.
	ErrUnwritable = fmt.Errorf("%w for writing", ErrUnavailable)
	// ErrRetryable: a deadlock, a lock or serialization failure. The same
	// transaction done again at once will probably succeed.
	ErrRetryable = errors.New("the transaction collided with another")
	// ErrLocked is ErrRetryable of a statement that has waited for a lock for as
	// long as it may. Whoever holds it may hold it for longer still.
	ErrLocked = fmt.Errorf("%w that keeps its lock", ErrRetryable)
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

// MapError wraps a driver's error with the sentinel it belongs to. Context
// errors and errors of unknown kind are given back as they are.
func MapError(err error) error {
	if err == nil {
		return nil
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

// mapCall is MapError for a call made with ctx. The server reports a statement
// cancelled because ctx was done like one that ran too long; it is the former
// that is told then, and nobody should try again.
func mapCall(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return MapError(err)
}

// mapBegin is mapCall for the beginning of a transaction, in which nothing has
// been asked for yet: whatever the server objects to, it is no statement's
// fault. A standby objects to a transaction that may write (0A000).
func mapBegin(ctx context.Context, err error) error {
	var pqErr *pq.Error
	if ctx.Err() == nil && kindOf(err) == nil && errors.As(err, &pqErr) {
		return fmt.Errorf("%w: %w", ErrUnwritable, err)
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
	case "40001", "40P01": // serialization failure, deadlock
		return ErrRetryable
	case "55P03": // lock not available
		return ErrLocked
	case "25006", "53100", "58030": // read-only server, disk full, input or output error
		return ErrUnwritable
	case "25P03", "25P04": // idle-in-transaction and transaction timeout
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
