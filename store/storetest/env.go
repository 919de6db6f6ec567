package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/internal/pg"
)

// Env is a migrated database of a test's own, and a pool on it.
type Env struct {
	testing.TB
	*store.DB
	URL string
}

// NewEnv makes a database. Its transactions may idle as long as the test likes.
func NewEnv(t testing.TB, connections int) *Env {
	t.Helper()
	at := WithParameter(URL(t), "idle_in_transaction_session_timeout", "0")
	return &Env{TB: t, DB: Open(t, at, connections), URL: at}
}

// SQL is the underlying pool, for the test's own statements.
func (p *Env) SQL() *sql.DB { return pg.Pool(p.DB) }

// Exec runs the test's own statement.
func (p *Env) Exec(query string, args ...any) {
	p.Helper()
	if _, err := p.SQL().ExecContext(context.Background(), query, args...); err != nil {
		p.Fatalf("%s: %v", query, err)
	}
}

// OpenTx opens a transaction that is rolled back with the test unless it ends before.
func (p *Env) OpenTx() *store.Transaction {
	p.Helper()
	tx := MustGet(p.Begin(context.Background()))(p)
	p.Cleanup(func() { tx.Rollback() })
	return tx
}

// AwaitLockWaiters polls until n backends of the database wait for a lock: then concurrent calls of the test have got
// as far as they can.
func (p *Env) AwaitLockWaiters(n int) {
	p.Helper()
	Eventually(p, fmt.Sprintf("%d backends wait for a lock", n), func() bool {
		return One[int](p, p.SQL(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) >= n
	})
}

// Append commits one event in a transaction of its own.
func (p *Env) Append(e event.Any) {
	p.Helper()
	Must(p, p.InTx(context.Background(), func(tx store.Tx) error {
		return eventlog.Append(context.Background(), tx, []event.Any{e})
	}))
}

// Consumer subscribes a consumer to sales.
func (p *Env) Consumer(name string) inbox.ConsumerID {
	p.Helper()
	return MustGet(inbox.Subscribe(context.Background(), p.DB, name, []string{"SALE_COMPLETED"}))(p)
}

// Claims claims events and returns the new ones.
func (p *Env) Claims(tx store.Tx, consumer inbox.ConsumerID, ids ...uuid.UUID) map[uuid.UUID]bool {
	p.Helper()
	return MustGet(inbox.Claim(context.Background(), tx, consumer, ids))(p)
}

// Expire ends a lease as time would: its holder has not renewed it.
func (p *Env) Expire(name string) {
	p.Helper()
	p.Exec(`UPDATE lease SET expires_at = clock_timestamp() - interval '1 ms' WHERE name = $1`, name)
}
