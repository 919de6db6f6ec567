package eventlog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

const (
	aggregates   = 10
	writers      = 6
	transactions = 40 // a writer
)

// numbered is the body of an event of the property test: the n-th of its aggregate.
type numbered struct {
	Aggregate string
	N         int
}

// concurrentWriters is a database with many concurrent writers.
type concurrentWriters struct {
	*storetest.Env
	mu        sync.Mutex
	committed map[uuid.UUID]numbered
}

func newWriters(t *testing.T) *concurrentWriters {
	t.Helper()
	w := &concurrentWriters{Env: storetest.NewEnv(t, writers+10), committed: map[uuid.UUID]numbered{}}
	w.Exec(`CREATE TABLE aggregate (id text PRIMARY KEY, n int NOT NULL)`)
	for i := range aggregates {
		w.Exec(`INSERT INTO aggregate VALUES ($1, 0)`, fmt.Sprintf("a%d", i))
	}
	w.Exec(`INSERT INTO aggregate VALUES ('held', 0)`)
	return w
}

// appendNumbered locks the aggregate's row, counts on, and appends n events with the numbers.
func (w *concurrentWriters) appendNumbered(ctx context.Context, tx store.Tx, aggregate string, n int) ([]event.Any, error) {
	var last int
	if err := pg.RawTx(tx).QueryRowContext(ctx, `UPDATE aggregate SET n = n + $2 WHERE id = $1 RETURNING n`, aggregate, n).Scan(&last); err != nil {
		return nil, err
	}
	events := make([]event.Any, n)
	for i := range events {
		events[i] = storetest.Sale(aggregate)
		body, err := json.Marshal(numbered{aggregate, last - n + 1 + i})
		if err != nil {
			return nil, err
		}
		events[i].Body = body
	}
	return events, eventlog.Append(ctx, tx, events)
}

// write runs one transaction of a writer: of random shape, with a random end.
func (w *concurrentWriters) write(ctx context.Context, rnd *rand.Rand) error {
	tx, err := w.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if rnd.IntN(3) == 0 { // gets its id long before it appends
		if _, err := pg.RawTx(tx).ExecContext(ctx, `INSERT INTO suspect (consumer, message_id, deaths) VALUES ('early', $1, 0)`, uuid.NewString()); err != nil {
			return err
		}
		w.awaitTicks(ctx, rnd.IntN(3))
	}
	var appended []event.Any
	for _, i := range slices.Sorted(slices.Values(rnd.Perm(aggregates)[:1+rnd.IntN(2)])) {
		aggregate := fmt.Sprintf("a%d", i)
		if rnd.IntN(4) == 0 { // appended in a savepoint that is rolled back
			if err := w.appendRolledBack(ctx, tx, aggregate); err != nil {
				return err
			}
		}
		events, err := w.appendNumbered(ctx, tx, aggregate, 1+rnd.IntN(50))
		if err != nil {
			return err
		}
		appended = append(appended, events...)
	}
	if rnd.IntN(4) == 0 { // commits late
		w.awaitTicks(ctx, 1+rnd.IntN(3))
	}
	if rnd.IntN(5) == 0 {
		return tx.Rollback()
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	w.recordCommitted(appended)
	return nil
}

func (w *concurrentWriters) appendRolledBack(ctx context.Context, tx store.Tx, aggregate string) error {
	if _, err := pg.RawTx(tx).ExecContext(ctx, `SAVEPOINT vain`); err != nil {
		return err
	}
	if _, err := w.appendNumbered(ctx, tx, aggregate, 2); err != nil {
		return err
	}
	_, err := pg.RawTx(tx).ExecContext(ctx, `ROLLBACK TO vain; SAVEPOINT more`)
	return err
}

func (w *concurrentWriters) recordCommitted(events []event.Any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		var n numbered
		if err := json.Unmarshal(e.Body, &n); err != nil {
			panic(err)
		}
		w.committed[e.ID] = n
	}
}

// awaitTicks waits until n more ticks were made, or for a while.
func (w *concurrentWriters) awaitTicks(ctx context.Context, n int) {
	var from, now int64
	if w.SQL().QueryRowContext(ctx, `SELECT max(id) FROM tick`).Scan(&from) != nil {
		return
	}
	for range 4 * n {
		if w.SQL().QueryRowContext(ctx, `SELECT max(id) FROM tick`).Scan(&now) != nil || now >= from+int64(n) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}
