package chaos

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventlog"
)

const terminateBackends = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY ($1)`

func backendsTerminated(ctx context.Context, env *environment, _ uint64) (heal, error) {
	_, err := env.super.ExecContext(ctx, terminateBackends, pq.StringArray(env.access.roles))
	return nothing, err
}

const chooseBackend = `
SELECT pid FROM pg_stat_activity WHERE usename = ANY ($1) AND application_name LIKE 'composerp/%' ORDER BY state <> 'active', pid LIMIT 1`

// backendKilled kills one of the fleet's sessions, a busy one if there is one; it waits until the fleet has a session.
// PostgreSQL then ends all other sessions and recovers; the end of the witness shows that it has noticed.
func backendKilled(ctx context.Context, env *environment, _ uint64) (heal, error) {
	witness, err := env.super.Conn(ctx)
	if err != nil {
		return nothing, fmt.Errorf("choosing a backend: %w", err)
	}
	defer witness.Close()
	var pid int
	for witness.QueryRowContext(ctx, chooseBackend, pq.StringArray(env.access.roles)).Scan(&pid) != nil {
		if !clock.Sleep(ctx, retryPause) {
			return nothing, errors.New("choosing a backend: the fleet has none")
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return nothing, fmt.Errorf("killing a backend: %w", err)
	}
	for witness.PingContext(ctx) == nil {
		if !clock.Sleep(ctx, recoveryPoll) {
			return nothing, errors.New("killing a backend: the database has not noticed it")
		}
	}
	return env.super.PingContext, nil // the database repairs it by itself
}

// longTransaction admits an event in a transaction that stays open. When the outcome of the commit is unknown, the
// event is admitted again.
func longTransaction(ctx context.Context, env *environment, dice uint64) (heal, error) {
	e, err := env.extra(fmt.Sprintf("late-%x", dice))
	if err != nil {
		return nothing, err
	}
	admit := func(ctx context.Context) error {
		_, err := eventlog.AdmitOnce(ctx, env.direct, []event.Any{e}, true)
		return err
	}
	tx, err := env.openTransactions.Begin(ctx)
	if err != nil {
		return admit, err
	}
	if _, err := eventlog.Admit(ctx, tx, []event.Any{e}, true); err != nil {
		return admit, errors.Join(err, tx.Rollback())
	}
	return func(ctx context.Context) error {
		if tx != nil {
			err := tx.Commit()
			tx = nil
			if err == nil {
				return nil
			}
		}
		return admit(ctx)
	}, nil
}

const lockRows = `SELECT count(*) FROM (SELECT FROM position ORDER BY sequence DESC LIMIT 10 FOR UPDATE) locked`

func rowsLocked(ctx context.Context, env *environment, _ uint64) (heal, error) {
	tx, err := env.super.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return nothing, fmt.Errorf("locking rows: %w", err)
	}
	if _, err := tx.ExecContext(ctx, lockRows); err != nil {
		return nothing, errors.Join(fmt.Errorf("locking rows: %w", err), tx.Rollback())
	}
	// After a crash of the server the transaction holds no locks; its error does not matter.
	return func(context.Context) error { _ = tx.Rollback(); return nil }, nil
}

// connectionsExhausted leaves the fleet's roles no connections. The server answers as if all were taken, SQLSTATE
// 53300.
func connectionsExhausted(ctx context.Context, env *environment, _ uint64) (heal, error) {
	limit := func(ctx context.Context, n int) error {
		for _, role := range env.access.roles {
			if _, err := env.super.ExecContext(ctx, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", pq.QuoteIdentifier(role), n)); err != nil {
				return err
			}
		}
		return nil
	}
	err := limit(ctx, 0)
	if err == nil {
		_, err = env.super.ExecContext(ctx, terminateBackends, pq.StringArray(env.access.roles))
	}
	return func(ctx context.Context) error { return limit(ctx, -1) }, err
}

// readOnly makes the database a standby, as after a failover, and promotes it again. A setting would have no effect:
// the driver begins every transaction with READ WRITE.
func readOnly(ctx context.Context, env *environment, _ uint64) (heal, error) {
	err := env.servers.Demote(ctx)
	return env.servers.Promote, err
}

// openTransactionsURL opens sessions whose transactions may stay open.
const openTransactionsURL = "&idle_in_transaction_session_timeout=0&statement_timeout=0"
