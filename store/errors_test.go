package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/storetest"
)

// mapped runs the test's own SQL in a transaction and returns the mapped error.
func mapped(p *storetest.Env, tx store.Tx, query string, args ...any) error {
	_, err := pg.RawTx(tx).ExecContext(context.Background(), query, args...)
	return pg.MapError(err)
}

func TestErrorsOfStatements(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 12)
	p.Exec(`CREATE TABLE thing (id int PRIMARY KEY, n int)`)
	p.Exec(`INSERT INTO thing VALUES (1, 0), (2, 0)`)
	run := func(name string, check func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { t.Parallel(); check(t) })
	}
	run("lock timeout", func(t *testing.T) {
		holder, waiter := p.OpenTx(), p.OpenTx()
		storetest.Must(t, mapped(p, holder, `INSERT INTO thing VALUES (10, 0)`))
		storetest.Must(t, mapped(p, waiter, `SET LOCAL lock_timeout = 50`))
		err := mapped(p, waiter, `INSERT INTO thing VALUES (10, 0)`)
		storetest.IsError(t, err, store.ErrRetryable)
		storetest.IsError(t, err, store.ErrLocked)
		holder.Rollback()
	})
	run("statement timeout", func(t *testing.T) {
		tx := p.OpenTx()
		storetest.Must(t, mapped(p, tx, `SET LOCAL statement_timeout = 20`))
		storetest.IsError(t, mapped(p, tx, `SELECT pg_sleep(20)`), store.ErrRetryable)
	})
	run("deadlock", func(t *testing.T) {
		one, two := p.OpenTx(), p.OpenTx()
		storetest.Must(t, mapped(p, one, `UPDATE thing SET n = 1 WHERE id = 1`))
		storetest.Must(t, mapped(p, two, `UPDATE thing SET n = 1 WHERE id = 2`))
		errs := make(chan error, 2)
		for tx, id := range map[*store.Transaction]int{one: 2, two: 1} {
			go func() {
				err := mapped(p, tx, `UPDATE thing SET n = 1 WHERE id = $1`, id)
				tx.Rollback()
				errs <- err
			}()
		}
		if err := errors.Join(<-errs, <-errs); err == nil || !errors.Is(err, store.ErrRetryable) {
			t.Errorf("got %v", err)
		}
	})
	run("serialization", func(t *testing.T) {
		one, two := p.OpenTx(), p.OpenTx()
		for _, tx := range []store.Tx{one, two} {
			storetest.Must(t, mapped(p, tx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`))
			storetest.Must(t, mapped(p, tx, `SELECT FROM thing`))
		}
		storetest.Must(t, mapped(p, one, `INSERT INTO thing VALUES (20, 0) ON CONFLICT (id) DO UPDATE SET n = thing.n + 1`))
		storetest.Must(t, one.Commit())
		storetest.IsError(t, mapped(p, two, `INSERT INTO thing VALUES (20, 0) ON CONFLICT (id) DO UPDATE SET n = thing.n + 1`), store.ErrRetryable)
	})
	run("schema", func(t *testing.T) {
		storetest.IsError(t, mapped(p, p.OpenTx(), `SELECT FROM nothing`), store.ErrSchema)
		storetest.IsError(t, mapped(p, p.OpenTx(), `SELECT nothing FROM thing`), store.ErrSchema)
	})
	run("read-only", func(t *testing.T) {
		tx := p.OpenTx()
		storetest.Must(t, mapped(p, tx, `SET TRANSACTION READ ONLY`))
		err := mapped(p, tx, `INSERT INTO thing VALUES (30, 0)`)
		storetest.IsError(t, err, store.ErrUnavailable)
		storetest.IsError(t, err, store.ErrUnwritable)
	})
	run("a mistake of the caller's", func(t *testing.T) {
		err := mapped(p, p.OpenTx(), `INSERT INTO thing VALUES (1, 0)`)
		for _, kind := range []error{store.ErrRetryable, store.ErrUnavailable, store.ErrAccess, store.ErrSchema, store.ErrNotFound} {
			if errors.Is(err, kind) {
				t.Errorf("%v is taken for %v", err, kind)
			}
		}
	})
	run("a failed transaction does not commit", func(t *testing.T) {
		tx := p.OpenTx()
		storetest.Must(t, mapped(p, tx, `INSERT INTO thing VALUES (40, 0)`))
		if err := mapped(p, tx, `INSERT INTO thing VALUES (1, 0)`); err == nil {
			t.Fatal("no error")
		}
		if err := tx.Commit(); err == nil {
			t.Error("it was committed")
		}
		if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM thing WHERE id = 40`); n != 0 {
			t.Error("and it was there")
		}
	})
}

// A cancelled call is not a slow one: it must not be retried.
func TestACancelledCallIsNotToBeTriedAgain(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	lease, err := store.AcquireLease(t.Context(), p.DB, "x", "one")
	storetest.Must(t, err)
	holder := p.OpenTx()
	storetest.Must(t, mapped(p, holder, `SELECT FROM lease FOR UPDATE`))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- store.RenewLease(ctx, p.DB, lease) }()
	p.AwaitLockWaiters(1)
	cancel()
	err = <-done
	storetest.IsError(t, err, context.Canceled)
	if errors.Is(err, store.ErrRetryable) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("it is also %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	storetest.IsError(t, store.RenewLease(late, p.DB, lease), context.DeadlineExceeded)
	// And its connection is not reused as it is.
	storetest.Must(t, holder.Rollback())
	for range 10 {
		storetest.Must(t, store.RenewLease(t.Context(), p.DB, lease))
	}
}

// backend is the process that serves a transaction.
func backend(p *storetest.Env, tx store.Tx) int {
	p.Helper()
	var pid int
	storetest.Must(p, pg.RawTx(tx).QueryRow(`SELECT pg_backend_pid()`).Scan(&pid))
	return pid
}

// A transaction whose context has ended is not committed, and the error is the context's: no message is at fault.
func TestATransactionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.URL(t), 1)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		tx, err := db.Begin(ctx)
		storetest.Must(t, err)
		cancel()
		if err := tx.Commit(); !errors.Is(err, context.Canceled) {
			t.Errorf("the commit returns %v", err)
		}
		storetest.Must(t, tx.Rollback())
		storetest.Must(t, db.InTx(t.Context(), func(store.Tx) error { return nil })) // the one connection is free again
	}
}

func TestAKilledBackend(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	killer := storetest.Open(t, p.URL, 4)
	kill := func(pid int) {
		storetest.MustGet(pg.Pool(killer).Exec(`SELECT pg_terminate_backend($1, 5000)`, pid))(t)
	}
	for _, c := range []struct {
		name string
		next func(tx *store.Transaction) error
	}{
		{"between statements", func(tx *store.Transaction) error { return eventlog.Append(t.Context(), tx, storetest.Sales(1)) }},
		{"before the commit", func(tx *store.Transaction) error { return tx.Commit() }},
		{"and then read", func(tx *store.Transaction) error { _, err := ledger.Moved(t.Context(), tx, nil); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx := p.OpenTx()
			storetest.Must(t, eventlog.Append(t.Context(), tx, storetest.Sales(1)))
			kill(backend(p, tx))
			err := c.next(tx)
			storetest.IsError(t, err, store.ErrUnavailable)
			tx.Rollback()
			// The connection is dropped; all others go on.
			for range 5 {
				storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error { _, err := ledger.Moved(t.Context(), tx, nil); return err }))
			}
		})
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != 0 {
		t.Errorf("%d events of killed transactions are in the log", n)
	}
	t.Run("in the middle of a statement", func(t *testing.T) {
		tx := p.OpenTx()
		pid, done := backend(p, tx), make(chan error, 1)
		go func() { done <- mapped(p, tx, `SELECT pg_sleep(60)`) }()
		storetest.Eventually(t, "it sleeps", func() bool {
			return storetest.One[int](t, pg.Pool(killer), `SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'`, pid) == 1
		})
		kill(pid)
		storetest.IsError(t, <-done, store.ErrUnavailable)
		tx.Rollback()
		p.Append(storetest.Sale("a"))
	})
	t.Run("idle too long in a transaction", func(t *testing.T) {
		tx := p.OpenTx()
		pid := backend(p, tx)
		storetest.MustGet(pg.RawTx(tx).Exec(`SET LOCAL idle_in_transaction_session_timeout = 20`))(t)
		storetest.Eventually(t, "it is gone", func() bool {
			return storetest.One[int](t, pg.Pool(killer), `SELECT count(*) FROM pg_stat_activity WHERE pid = $1`, pid) == 0
		})
		storetest.IsError(t, eventlog.Append(t.Context(), tx, storetest.Sales(1)), store.ErrUnavailable)
		tx.Rollback()
	})
}

// A socket that dies in the middle of an answer leaves lib/pq's connection unusable: the pool must not reuse it.
func TestAPoisonedConnectionIsDropped(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	cut, address := storetest.Proxied(t, p.URL)
	through := &storetest.Env{TB: t, DB: storetest.Open(t, address, 4), URL: address}
	through.Append(storetest.Sale("a"))
	for range 3 {
		tx := through.OpenTx()
		rows, err := pg.RawTx(tx).Query(`SELECT repeat('x', 1000) FROM generate_series(1, 100000)`)
		storetest.Must(t, err)
		rows.Next()
		cut.Cut()
		for rows.Next() {
		}
		if rows.Err() == nil {
			t.Error("rows that were cut off came to their end")
		}
		rows.Close()
		err = eventlog.Append(t.Context(), tx, storetest.Sales(1))
		storetest.IsError(t, err, store.ErrUnavailable)
		tx.Rollback()
		for range 5 {
			storetest.Must(t, through.InTx(t.Context(), func(tx store.Tx) error { _, err := ledger.Moved(t.Context(), tx, nil); return err }))
		}
	}
}
