package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/composerp/composerp/store"
)

// mapped runs SQL of the test's own in a transaction and gives the error sorted.
func (p *place) mapped(tx *store.Tx, query string, args ...any) error {
	_, err := tx.SQL().ExecContext(context.Background(), query, args...)
	return store.MapError(err)
}

func TestErrorsOfStatements(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 12)
	p.exec(`CREATE TABLE thing (id int PRIMARY KEY, n int)`)
	p.exec(`INSERT INTO thing VALUES (1, 0), (2, 0)`)
	run := func(name string, check func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { t.Parallel(); check(t) })
	}
	run("lock timeout", func(t *testing.T) {
		holder, waiter := p.begin(), p.begin()
		must(t, p.mapped(holder, `INSERT INTO thing VALUES (10, 0)`))
		must(t, p.mapped(waiter, `SET LOCAL lock_timeout = 50`))
		err := p.mapped(waiter, `INSERT INTO thing VALUES (10, 0)`)
		isError(t, err, store.ErrRetryable)
		isError(t, err, store.ErrLocked)
		holder.Rollback()
	})
	run("statement timeout", func(t *testing.T) {
		tx := p.begin()
		must(t, p.mapped(tx, `SET LOCAL statement_timeout = 20`))
		isError(t, p.mapped(tx, `SELECT pg_sleep(20)`), store.ErrRetryable)
	})
	run("deadlock", func(t *testing.T) {
		one, two := p.begin(), p.begin()
		must(t, p.mapped(one, `UPDATE thing SET n = 1 WHERE id = 1`))
		must(t, p.mapped(two, `UPDATE thing SET n = 1 WHERE id = 2`))
		errs := make(chan error, 2)
		for tx, id := range map[*store.Tx]int{one: 2, two: 1} {
			go func() {
				err := p.mapped(tx, `UPDATE thing SET n = 1 WHERE id = $1`, id)
				tx.Rollback()
				errs <- err
			}()
		}
		if err := errors.Join(<-errs, <-errs); err == nil || !errors.Is(err, store.ErrRetryable) {
			t.Errorf("got %v", err)
		}
	})
	run("serialization", func(t *testing.T) {
		one, two := p.begin(), p.begin()
		for _, tx := range []*store.Tx{one, two} {
			must(t, p.mapped(tx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`))
			must(t, p.mapped(tx, `SELECT FROM thing`))
		}
		must(t, p.mapped(one, `INSERT INTO thing VALUES (20, 0) ON CONFLICT (id) DO UPDATE SET n = thing.n + 1`))
		must(t, one.Commit())
		isError(t, p.mapped(two, `INSERT INTO thing VALUES (20, 0) ON CONFLICT (id) DO UPDATE SET n = thing.n + 1`), store.ErrRetryable)
	})
	run("schema", func(t *testing.T) {
		isError(t, p.mapped(p.begin(), `SELECT FROM nothing`), store.ErrSchema)
		isError(t, p.mapped(p.begin(), `SELECT nothing FROM thing`), store.ErrSchema)
	})
	run("read-only", func(t *testing.T) {
		tx := p.begin()
		must(t, p.mapped(tx, `SET TRANSACTION READ ONLY`))
		err := p.mapped(tx, `INSERT INTO thing VALUES (30, 0)`)
		isError(t, err, store.ErrUnavailable)
		isError(t, err, store.ErrUnwritable)
	})
	run("a mistake of the caller's", func(t *testing.T) {
		err := p.mapped(p.begin(), `INSERT INTO thing VALUES (1, 0)`)
		for _, kind := range []error{store.ErrRetryable, store.ErrUnavailable, store.ErrAccess, store.ErrSchema, store.ErrNotFound} {
			if errors.Is(err, kind) {
				t.Errorf("%v is taken for %v", err, kind)
			}
		}
	})
	run("a failed transaction does not commit", func(t *testing.T) {
		tx := p.begin()
		must(t, p.mapped(tx, `INSERT INTO thing VALUES (40, 0)`))
		if err := p.mapped(tx, `INSERT INTO thing VALUES (1, 0)`); err == nil {
			t.Fatal("no error")
		}
		if err := tx.Commit(); err == nil {
			t.Error("it was committed")
		}
		if n := value[int](t, p.SQL(), `SELECT count(*) FROM thing WHERE id = 40`); n != 0 {
			t.Error("and it was there")
		}
	})
}

// A call that was cancelled is not one that was slow: nobody should do it again.
func TestACancelledCallIsNotToBeTriedAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	lease, err := p.Acquire(t.Context(), "x", "one")
	must(t, err)
	holder := p.begin()
	must(t, p.mapped(holder, `SELECT FROM lease FOR UPDATE`))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Renew(ctx, lease) }()
	p.waitsForLock(1)
	cancel()
	err = <-done
	isError(t, err, context.Canceled)
	if errors.Is(err, store.ErrRetryable) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("it is also %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	isError(t, p.Renew(late, lease), context.DeadlineExceeded)
	// And the connection it was on is not used again as it is.
	must(t, holder.Rollback())
	for range 10 {
		must(t, p.Renew(t.Context(), lease))
	}
}

// backend is the process that serves a transaction.
func (p *place) backend(tx *store.Tx) int {
	p.Helper()
	var pid int
	must(p, tx.SQL().QueryRow(`SELECT pg_backend_pid()`).Scan(&pid))
	return pid
}

func TestAKilledBackend(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	killer := openAt(t, p.url)
	kill := func(pid int) {
		must2(killer.SQL().Exec(`SELECT pg_terminate_backend($1, 5000)`, pid))(t)
	}
	for _, c := range []struct {
		name string
		next func(tx *store.Tx) error
	}{
		{"between statements", func(tx *store.Tx) error { return tx.Append(t.Context(), anySales(1)) }},
		{"before the commit", func(tx *store.Tx) error { return tx.Commit() }},
		{"and then read", func(tx *store.Tx) error { _, err := tx.Moved(t.Context(), nil); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx := p.begin()
			must(t, tx.Append(t.Context(), anySales(1)))
			kill(p.backend(tx))
			err := c.next(tx)
			isError(t, err, store.ErrUnavailable)
			tx.Rollback()
			// The connection is dropped, all others go on.
			for range 5 {
				must(t, p.InTx(t.Context(), func(tx *store.Tx) error { _, err := tx.Moved(t.Context(), nil); return err }))
			}
		})
	}
	if n := value[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != 0 {
		t.Errorf("%d events of killed transactions are in the log", n)
	}
	t.Run("in the middle of a statement", func(t *testing.T) {
		tx := p.begin()
		pid, done := p.backend(tx), make(chan error, 1)
		go func() { done <- p.mapped(tx, `SELECT pg_sleep(60)`) }()
		eventually(t, "it sleeps", func() bool {
			return value[int](t, killer.SQL(), `SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'`, pid) == 1
		})
		kill(pid)
		isError(t, <-done, store.ErrUnavailable)
		tx.Rollback()
		p.append(sale("a"))
	})
	t.Run("idle too long in a transaction", func(t *testing.T) {
		hasty := &place{TB: t, DB: openAt(t, withParameter(p.url, "idle_in_transaction_session_timeout", "20")), url: p.url}
		tx := hasty.begin()
		pid := hasty.backend(tx)
		eventually(t, "it is gone", func() bool {
			return value[int](t, killer.SQL(), `SELECT count(*) FROM pg_stat_activity WHERE pid = $1`, pid) == 0
		})
		isError(t, tx.Append(t.Context(), anySales(1)), store.ErrUnavailable)
		tx.Rollback()
	})
}

// A socket that dies in the middle of an answer leaves lib/pq's connection
// unusable: it must not come back from the pool.
func TestAPoisonedConnectionIsDropped(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	cut, address := way(t, p.url)
	through := &place{TB: t, DB: openAt(t, address), url: address}
	through.append(sale("a"))
	for range 3 {
		tx := through.begin()
		rows, err := tx.SQL().Query(`SELECT repeat('x', 1000) FROM generate_series(1, 100000)`)
		must(t, err)
		rows.Next()
		cut.Cut()
		for rows.Next() {
		}
		if rows.Err() == nil {
			t.Error("rows that were cut off came to their end")
		}
		rows.Close()
		err = tx.Append(t.Context(), anySales(1))
		isError(t, err, store.ErrUnavailable)
		tx.Rollback()
		for range 5 {
			must(t, through.InTx(t.Context(), func(tx *store.Tx) error { _, err := tx.Moved(t.Context(), nil); return err }))
		}
	}
}
