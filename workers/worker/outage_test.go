package worker_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestWhatCollidedIsDoneAgainWhole(t *testing.T) {
	t.Parallel()
	const n = 100
	seen := &tries{}
	var collisions atomic.Int32
	w := echoing(seen, func(context.Context, []event.Any) error {
		if collisions.Add(1) <= 3 {
			return fmt.Errorf("as if: %w", store.ErrRetryable)
		}
		return nil
	})
	h := newEnv(t, w)
	h.Publish(sales(t, n)...)
	r := h.RunWorker(w, 1)
	h.wantEffects(n)
	for i, batch := range seen.all()[:4] {
		if len(batch) != len(seen.all()[0]) || batch[0] != seen.all()[0][0] {
			t.Errorf("try %d: want the first batch again whole, got %d of %d", i+1, len(batch), len(seen.all()[0]))
		}
	}
	if r.Messages("retried") != 0 {
		t.Errorf("want no attempt burned, got %d", r.Messages("retried"))
	}
}

// Two slots lock two positions crosswise: PostgreSQL shoots one of them down.
func TestADeadlockCostsNoAttempt(t *testing.T) {
	t.Parallel()
	position := func(item string) []masterdata.PositionKey {
		return []masterdata.PositionKey{{Tenant: workertest.Tenant, Item: item, Location: "shop"}}
	}
	var handled atomic.Int32
	met := make(chan struct{})
	w := worker.New("echo", worker.Batch(1, 1), worker.On(func(ctx context.Context, tx *worker.Tx, e event.Of[event.SaleCompleted]) error {
		first, second := "cup", "saucer"
		if e.Payload.ItemID == "saucer" {
			first, second = second, first
		}
		if _, err := ledger.LockPositions(ctx, tx, position(first), nil); err != nil {
			return err
		}
		if handled.Add(1) == 2 {
			close(met)
		}
		<-met
		if _, err := ledger.LockPositions(ctx, tx, position(second), nil); err != nil {
			return err
		}
		return echo(tx, e.Envelope)
	}))
	h := newEnv(t, w)
	h.Must(h.DB.InTx(t.Context(), func(tx store.Tx) error {
		_, err := ledger.LockPositions(t.Context(), tx, append(position("cup"), position("saucer")...), nil)
		return err
	}))
	r := h.RunWorker(w, 2)
	h.Publish(workertest.Sale(t, "cup", "shop", "1"), workertest.Sale(t, "saucer", "shop", "1"))
	h.wantEffects(2)
	if handled.Load() < 3 || r.Messages("retried") != 0 {
		t.Errorf("want a deadlock and no attempt burned, got %d tries, %d retried", handled.Load(), r.Messages("retried"))
	}
}

const killBackends = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
	WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name = 'test'`

// Most kills come at any moment; each fifth waits until a batch is in hand, and the batch for the kill.
func TestKilledBackendsLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	const n, kills = 3000, 25
	type meeting struct{ inHand, killed chan struct{} }
	var next atomic.Pointer[meeting]
	w := echoing(&tries{}, func(ctx context.Context, _ []event.Any) error {
		if m := next.Swap(nil); m != nil {
			close(m.inHand)
			select {
			case <-m.killed:
			case <-ctx.Done():
			}
		}
		return nil
	}, worker.Batch(20, 100))
	h := newEnv(t, w)
	r := h.RunWorker(w, 2)
	events := sales(t, n)
	for i := range kills {
		m := meeting{make(chan struct{}), make(chan struct{})}
		if i%5 == 0 {
			next.Store(&m)
		}
		h.Publish(events[i*n/kills : (i+1)*n/kills]...)
		if i%5 == 0 {
			<-m.inHand
		}
		storetest.Exec(t, h.URL, killBackends)
		close(m.killed)
	}
	h.wantEffects(n)
	if burned := r.Messages("retried") + r.Messages("dead"); burned != 0 {
		t.Errorf("want no attempt burned, got %d", burned)
	}
	if !r.Logs.Has("a transaction was broken off") {
		t.Error("no kill hit a batch: the test shows nothing")
	}
}

// A handler that leaves its transaction idle for too long has it broken off by
// the server. That looks like a database that is away, and is not: the message is
// judged, and those behind it are handled.
func TestASlowHandlerIsNotADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	events := sales(t, 5)
	slow := events[2]
	idle := localtest.Deadline(300 * time.Millisecond) // the others are between two statements for less
	w := echoing(&tries{}, func(ctx context.Context, batch []event.Any) error {
		if slices.ContainsFunc(batch, func(e event.Any) bool { return e.ID == slow.ID }) {
			select { // no wait for anything: this is the slowness
			case <-time.After(3 * idle):
			case <-ctx.Done():
			}
		}
		return nil
	}, worker.RetryDelays(), worker.Batch(1, 10), worker.Quarantine(1, time.Hour))
	h := newEnv(t, w)
	h.DB = storetest.Open(t, fmt.Sprintf("%s&idle_in_transaction_session_timeout=%d", h.URL, idle.Milliseconds()), 4)
	h.Publish(events...)
	r := h.RunWorker(w, 1)
	dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]
	h.wantEffects(len(events) - 1)
	if dead.ID != slow.ID.String() || !strings.Contains(dead.Failure().Error, "idle") || r.Metric("composerp_worker_paused_slots") != 0 {
		t.Errorf("want the slow one with its reason, got %s: %s", dead.ID, dead.Failure().Error)
	}
	// What the database has broken off fills no class.
	if rows := h.failures(); len(rows) != 1 || rows[0].Class != "" || rows[0].Outcome != "dead" || dead.Failure().Quarantine != "" {
		t.Errorf("want it written down and counted for nothing, got %+v", rows)
	}
}

// While another transaction locks the table of failures messages are kept in hand, and each failure is recorded.
func TestALockedFailureTableIsWaitedFor(t *testing.T) {
	t.Parallel()
	events := sales(t, 1)
	w := echoing(&tries{}, failing(events[0], errors.New("no")), worker.RetryDelays())
	h := newEnv(t, w)
	h.DB = storetest.Open(t, h.URL+"&lock_timeout=50", 4)
	release := storetest.Lock(t, h.URL, `LOCK TABLE failure IN ACCESS EXCLUSIVE MODE`)
	h.Publish(events...)
	r := h.RunWorker(w, 1)
	h.Eventually("the slot waits", func() bool {
		return r.Logs.Has("another transaction holds a lock for long")
	})
	if n := h.Depth(topology.DeadQueueName("echo")); n != 0 || r.Messages("dead") != 0 {
		t.Errorf("while the failure log is locked %d messages have left", n)
	}
	release()
	h.Receive(topology.DeadQueueName("echo"), 1)
	if rows := h.failures(); len(rows) != 1 || rows[0].Outcome != "dead" {
		t.Errorf("the failure log has %+v", rows)
	}
}

// A database can be away in several ways; in none is it a message's fault.
func TestADatabaseThatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(h *env) (away, back func()){
		"no server": func(h *env) (away, back func()) {
			g := workertest.NewLink(h, h.URL)
			h.DB = storetest.Open(h, g.URL, 4)
			return g.Break, g.Restore
		},
		"no such database": func(h *env) (away, back func()) {
			name := databaseName(h)
			return func() { h.admin("ALTER DATABASE %s RENAME TO %s_away", name, name) }, func() { h.admin("ALTER DATABASE %s_away RENAME TO %s", name, name) }
		},
		"no tables": func(h *env) (away, back func()) {
			return func() { storetest.Exec(h, h.URL, "ALTER TABLE inbox RENAME TO inbox_away") },
				func() { storetest.Exec(h, h.URL, "ALTER TABLE inbox_away RENAME TO inbox") }
		},
		"a full disk": func(h *env) (away, back func()) { // It can be read all the time.
			storetest.Exec(h, h.URL, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'full' USING ERRCODE = '53100'; END $$`)
			return func() {
					storetest.Exec(h, h.URL, "CREATE TRIGGER full_disk BEFORE INSERT ON inbox EXECUTE FUNCTION full_disk()")
				}, func() {
					storetest.Exec(h, h.URL, "DROP TRIGGER full_disk ON inbox")
				}
		},
		"a lock held for long": func(h *env) (away, back func()) {
			h.DB = storetest.Open(h, h.URL+"&lock_timeout=50", 4)
			var release func()
			return func() { release = storetest.Lock(h, h.URL, "LOCK TABLE inbox IN EXCLUSIVE MODE") }, func() { release() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := &tries{}
			w := echoing(seen, nil)
			h := newEnv(t, w)
			away, back := c(h)
			r := h.RunWorker(w, 1)
			h.Publish(sales(t, 1)...)
			h.wantEffects(1)
			away()
			h.Publish(sales(t, 10)...)
			h.Eventually("the slot pauses", func() bool { return r.Metric("composerp_worker_paused_slots") == 1 })
			back()
			h.wantEffects(11)
			h.Eventually("the slot goes on", func() bool { return r.Metric("composerp_worker_paused_slots") == 0 })
			if burned := r.Messages("retried") + r.Messages("dead"); burned != 0 {
				t.Errorf("want no attempt burned, got %d", burned)
			}
			if r.Logs.Has("broker session lost") {
				t.Error("want the messages kept in hand, not delivered again")
			}
		})
	}
}

func databaseName(h *env) string {
	return storetest.Value[string](h, h.URL, `SELECT current_database()`)
}

// admin runs a statement on the database's server, from another database, with no connection to this one.
func (h *env) admin(statement string, names ...any) {
	h.Helper()
	server, err := sql.Open("postgres", localtest.Database(h))
	h.Must(err)
	defer func() { _ = server.Close() }()
	h.Eventually("the database is let alone", func() bool {
		_, err := server.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = current_user", names[0])
		h.Must(err)
		_, err = server.Exec(fmt.Sprintf(statement, names...))
		return err == nil
	})
}
