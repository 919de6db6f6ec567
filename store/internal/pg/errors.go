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

	"github.com/composerp/composerp/exchange/wording"
)

// Database errors by kind, mapped once from the driver's errors. Callers use errors.Is.
var (
	// ErrUnavailable: the server cannot be reached, is starting, stopping, full or read-only. No statement is at
	// fault; try later.
	ErrUnavailable = errors.New("the database is not available")
	// ErrUnwritable is ErrUnavailable of a server that answers queries but takes no writes: disk full, or a standby.
	ErrUnwritable = fmt.Errorf("%w for writing", ErrUnavailable)
	// ErrRetryable: a deadlock, lock timeout or serialization failure. Retrying the transaction will probably succeed.
	ErrRetryable = errors.New("the transaction collided with another")
	// ErrLocked means lock_timeout has passed; the holder may keep the lock for longer still.
	ErrLocked = fmt.Errorf("%w that keeps its lock", ErrRetryable)
	// ErrAccess: the password, the user or a permission is wrong.
	ErrAccess = errors.New("the database refuses access")
	// ErrSchema: a table or column is missing or of another version.
	ErrSchema = errors.New("the database schema does not fit this program")
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrConfiguration: the settings cannot work.
	ErrConfiguration = errors.New("wrong configuration")
	// ErrNotLeader: the lease has another term by now.
	ErrNotLeader = errors.New("no longer the leader")
)

// MapError wraps a driver's error with its kind. It returns context errors and unknown errors unchanged.
func MapError(err error) error {
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), "\n") { // as the driver's about several hosts
		err = wording.LineOf(err)
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

// mapCall is MapError for a call made with ctx. The server reports a cancelled statement like one that ran too long;
// with ctx done, the context's error is returned, and no caller retries.
func mapCall(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return MapError(err)
}

// mapBegin is mapCall for BEGIN. No statement has run yet, so an error of unknown kind is the server's state: a
// standby refuses a read-write transaction with 0A000.
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
			kind = ErrUnavailable // the session has ended: no statement is at fault
		}
		return kind
	case errors.As(err, new(connectFault)), errors.Is(err, pq.ErrSSLNotSupported), errors.As(err, &certErr):
		return ErrConfiguration
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.As(err, &netErr):
		return ErrUnavailable
	case strings.Contains(err.Error(), "session is read-only"), strings.Contains(err.Error(), "hot standby mode"),
		strings.Contains(err.Error(), "session is not read-only"): // what target_session_attrs asks for is away
		return ErrUnavailable
	case strings.Contains(err.Error(), "already a query being processed"):
		// lib/pq's poisoned connection: the socket died while an answer was read.
		return ErrUnavailable
	}
	return nil
}

// kindOfState maps an SQLSTATE (PostgreSQL manual, appendix A).
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

// redact removes the URL's password from a text, in the clear and in its URL encodings.
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
