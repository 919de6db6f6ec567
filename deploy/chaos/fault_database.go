package chaos

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"syscall"

	"github.com/lib/pq"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

func databaseCrash(ctx context.Context, h *house, _ uint64) (heal, error) {
	err := h.servers.Halt(ctx, local.PostgreSQL, syscall.SIGQUIT)
	return h.revive(local.PostgreSQL), err
}

const terminateBackends = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1`

func backendsTerminated(ctx context.Context, h *house, _ uint64) (heal, error) {
	_, err := h.super.ExecContext(ctx, terminateBackends, h.user)
	return nothing, err
}

const aBackend = `
SELECT pid FROM pg_stat_activity WHERE usename = $1 AND application_name LIKE 'composerp/%' ORDER BY state <> 'active', pid LIMIT 1`

// backendKilled kills one of the fleet's sessions, a busy one if there is any; where there is none it waits for one. PostgreSQL then ends all
// others, by which it is known that it has noticed, and recovers.
func backendKilled(ctx context.Context, h *house, _ uint64) (heal, error) {
	witness, err := h.super.Conn(ctx)
	if err != nil {
		return nothing, fmt.Errorf("choosing a backend: %w", err)
	}
	defer witness.Close()
	var pid int
	for witness.QueryRowContext(ctx, aBackend, h.user).Scan(&pid) != nil {
		if !sleep(ctx, sayingPause) {
			return nothing, errors.New("choosing a backend: the fleet has none")
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return nothing, fmt.Errorf("killing a backend: %w", err)
	}
	for witness.PingContext(ctx) == nil {
		if !sleep(ctx, recoveryLook) {
			return nothing, errors.New("killing a backend: the database does not notice")
		}
	}
	return h.databaseAnswers, nil
}

// databaseAnswers is the heal of what the database mends by itself.
func (h *house) databaseAnswers(ctx context.Context) error { return h.super.PingContext(ctx) }

// longTransaction admits an event in a transaction that stays open. A commit of which nobody knows whether it was one is settled by admitting
// the event again.
func longTransaction(ctx context.Context, h *house, dice uint64) (heal, error) {
	e, err := h.extra(fmt.Sprintf("late-%x", dice))
	if err != nil {
		return nothing, err
	}
	say := func(ctx context.Context) error {
		_, err := eventlog.AdmitOnce(ctx, h.direct, []event.Any{e}, true)
		return err
	}
	tx, err := h.patient.Begin(ctx)
	if err != nil {
		return say, err
	}
	if _, err := eventlog.Admit(ctx, tx, []event.Any{e}, true); err != nil {
		return say, errors.Join(err, tx.Rollback())
	}
	return func(ctx context.Context) error {
		if tx != nil {
			err := tx.Commit()
			tx = nil
			if err == nil {
				return nil
			}
		}
		return say(ctx)
	}, nil
}

const lockRows = `SELECT count(*) FROM (SELECT FROM position ORDER BY sequence DESC LIMIT 10 FOR UPDATE) locked`

func rowsLocked(ctx context.Context, h *house, _ uint64) (heal, error) {
	tx, err := h.super.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return nothing, fmt.Errorf("locking rows: %w", err)
	}
	if _, err := tx.ExecContext(ctx, lockRows); err != nil {
		return nothing, errors.Join(fmt.Errorf("locking rows: %w", err), tx.Rollback())
	}
	// A transaction whose server has crashed holds nothing any more.
	return func(context.Context) error { _ = tx.Rollback(); return nil }, nil
}

// connectionsExhausted leaves the role no connection. The server answers as it does when all are taken, SQLSTATE 53300.
func connectionsExhausted(ctx context.Context, h *house, _ uint64) (heal, error) {
	limit := func(ctx context.Context, n int) error {
		_, err := h.super.ExecContext(ctx, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", pq.QuoteIdentifier(h.user), n))
		return err
	}
	err := limit(ctx, 0)
	if err == nil {
		_, err = h.super.ExecContext(ctx, terminateBackends, h.user)
	}
	return func(ctx context.Context) error { return limit(ctx, -1) }, err
}

// readOnly makes the database a standby, as a failover's old address may lead to, and has it promoted again. A setting would not do: the driver
// says READ WRITE of every transaction.
func readOnly(ctx context.Context, h *house, _ uint64) (heal, error) {
	err := h.servers.Demote(ctx)
	return func(ctx context.Context) error {
		var standby bool
		if err := h.super.QueryRowContext(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil || !standby {
			return err
		}
		_, err := h.super.ExecContext(ctx, `SELECT pg_promote()`)
		return err
	}, err
}

// superuser opens the database for breaking it.
func superuser(servers *local.Servers) (*sql.DB, error) {
	db, err := servers.Superuser()
	if err != nil {
		return nil, fmt.Errorf("connecting as superuser: %w", err)
	}
	db.SetMaxIdleConns(2)
	return db, nil
}

// patientURL opens sessions whose transactions may be left idle.
const patientURL = "&idle_in_transaction_session_timeout=0&statement_timeout=0"

func openPatient(ctx context.Context, address string) (*store.DB, error) {
	return store.Open(ctx, store.Config{URL: address + patientURL, Name: "chaos/patient", Connections: 2})
}
