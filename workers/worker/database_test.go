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
	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
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
	h := newHouse(t, w)
	h.publish(sales(t, n)...)
	r := h.run(w, 1)
	h.wantEffects(n)
	for i, batch := range seen.all()[:4] {
		if len(batch) != len(seen.all()[0]) || batch[0] != seen.all()[0][0] {
			t.Errorf("try %d: want the first batch again whole, got %d of %d", i+1, len(batch), len(seen.all()[0]))
		}
	}
	if r.messages("retried") != 0 {
		t.Errorf("want no attempt burned, got %d", r.messages("retried"))
	}
}

// Two slots lock two positions crosswise: PostgreSQL shoots one of them down.
func TestADeadlockCostsNoAttempt(t *testing.T) {
	t.Parallel()
	position := func(item string) []store.PositionKey {
		return []store.PositionKey{{Tenant: workertest.Tenant, Item: item, Location: "shop"}}
	}
	var handled atomic.Int32
	met := make(chan struct{})
	w := worker.New("echo", worker.Batch(1, 1), worker.On(func(ctx context.Context, tx *worker.Tx, e event.Of[event.SaleCompleted]) error {
		first, second := "cup", "saucer"
		if e.Payload.ItemID == "saucer" {
			first, second = second, first
		}
		if _, err := tx.LockPositions(ctx, position(first), nil); err != nil {
			return err
		}
		if handled.Add(1) == 2 {
			close(met)
		}
		<-met
		if _, err := tx.LockPositions(ctx, position(second), nil); err != nil {
			return err
		}
		return echo(tx, e.Envelope)
	}))
	h := newHouse(t, w)
	h.must(h.db.InTx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.LockPositions(t.Context(), append(position("cup"), position("saucer")...), nil)
		return err
	}))
	r := h.run(w, 2)
	h.publish(workertest.Sale(t, "cup", "shop", "1"), workertest.Sale(t, "saucer", "shop", "1"))
	h.wantEffects(2)
	if handled.Load() < 3 || r.messages("retried") != 0 {
		t.Errorf("want a deadlock and no attempt burned, got %d tries, %d retried", handled.Load(), r.messages("retried"))
	}
}

const killBackends = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
	WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name = 'test'`

// Most kills come at any moment; each fifth waits until a batch is in hand, and the batch for the kill.
func TestKilledBackendsLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	const n, kills = 3000, 25
	var wanted atomic.Bool
	inHand, killed := make(chan struct{}), make(chan struct{})
	w := echoing(&tries{}, func(context.Context, []event.Any) error {
		if wanted.CompareAndSwap(true, false) {
			inHand <- struct{}{}
			<-killed
		}
		return nil
	}, worker.Batch(20, 100))
	h := newHouse(t, w)
	r := h.run(w, 2)
	events := sales(t, n)
	for i := range kills {
		hit := i%5 == 0
		wanted.Store(hit)
		h.publish(events[i*n/kills : (i+1)*n/kills]...)
		if hit {
			within(h, "a batch is in hand", inHand)
		}
		storetest.Exec(t, h.url, killBackends)
		if hit {
			killed <- struct{}{}
		}
	}
	h.wantEffects(n)
	if burned := r.messages("retried") + r.messages("dead"); burned != 0 {
		t.Errorf("want no attempt burned, got %d", burned)
	}
	if !r.log.has(func(line string) bool { return strings.Contains(line, "a transaction was broken off") }) {
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
	w := echoing(&tries{}, func(ctx context.Context, batch []event.Any) error {
		if slices.ContainsFunc(batch, func(e event.Any) bool { return e.ID == slow.ID }) {
			select { // no wait for anything: this is the slowness
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		return nil
	}, worker.Ladder(), worker.Batch(1, 10), worker.Quarantine(1, time.Hour))
	h := newHouse(t, w)
	h.db = storetest.Open(t, h.url+"&idle_in_transaction_session_timeout=100", 4)
	h.publish(events...)
	r := h.run(w, 1)
	dead := h.take(exchange.DeadName("echo"), 1)[0]
	h.wantEffects(len(events) - 1)
	if dead.ID != slow.ID.String() || !strings.Contains(dead.Failure().Error, "idle") || r.metric("composerp_worker_paused_slots", "") != 0 {
		t.Errorf("want the slow one with its reason, got %s: %s", dead.ID, dead.Failure().Error)
	}
	// What the database has broken off fills no class.
	if rows := h.journal(); len(rows) != 1 || rows[0].Class != "" || rows[0].Outcome != "dead" || dead.Failure().Quarantine != "" {
		t.Errorf("want it written down and counted for nothing, got %+v", rows)
	}
}

// Whoever holds the journal of failures locked keeps messages in hand, and none goes unwritten.
func TestALockedJournalIsWaitedFor(t *testing.T) {
	t.Parallel()
	events := sales(t, 1)
	w := echoing(&tries{}, failing(events[0], errors.New("no")), worker.Ladder())
	h := newHouse(t, w)
	h.db = storetest.Open(t, h.url+"&lock_timeout=50", 4)
	release := storetest.Lock(t, h.url, `LOCK TABLE failure IN ACCESS EXCLUSIVE MODE`)
	h.publish(events...)
	r := h.run(w, 1)
	h.soon("the slot waits", func() bool {
		return r.log.has(func(line string) bool { return strings.Contains(line, "somebody holds a lock for long") })
	})
	if n := h.depth(exchange.DeadName("echo")); n != 0 || r.messages("dead") != 0 {
		t.Errorf("while the journal is locked %d messages have left", n)
	}
	release()
	h.take(exchange.DeadName("echo"), 1)
	if rows := h.journal(); len(rows) != 1 || rows[0].Outcome != "dead" {
		t.Errorf("the journal has %+v", rows)
	}
}

// A database can be away in several ways; in none is it a message's fault.
func TestADatabaseThatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(h *house) (away, back func()){
		"no server": func(h *house) (away, back func()) {
			g := newGate(h, h.url)
			h.db = storetest.Open(h, g.url, 4)
			return g.shut, g.open
		},
		"no such database": func(h *house) (away, back func()) {
			name := databaseName(h)
			return func() { h.admin("ALTER DATABASE %s RENAME TO %s_away", name, name) }, func() { h.admin("ALTER DATABASE %s_away RENAME TO %s", name, name) }
		},
		"no tables": func(h *house) (away, back func()) {
			return func() { storetest.Exec(h, h.url, "ALTER TABLE inbox RENAME TO inbox_away") },
				func() { storetest.Exec(h, h.url, "ALTER TABLE inbox_away RENAME TO inbox") }
		},
		"a full disk": func(h *house) (away, back func()) { // It can be read all the time.
			storetest.Exec(h, h.url, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'full' USING ERRCODE = '53100'; END $$`)
			return func() {
					storetest.Exec(h, h.url, "CREATE TRIGGER full_disk BEFORE INSERT ON inbox EXECUTE FUNCTION full_disk()")
				}, func() {
					storetest.Exec(h, h.url, "DROP TRIGGER full_disk ON inbox")
				}
		},
		"a lock held for long": func(h *house) (away, back func()) {
			h.db = storetest.Open(h, h.url+"&lock_timeout=50", 4)
			var release func()
			return func() { release = storetest.Lock(h, h.url, "LOCK TABLE inbox IN EXCLUSIVE MODE") }, func() { release() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := &tries{}
			w := echoing(seen, nil)
			h := newHouse(t, w)
			away, back := c(h)
			r := h.run(w, 1)
			h.publish(sales(t, 1)...)
			h.wantEffects(1)
			away()
			h.publish(sales(t, 10)...)
			h.soon("the slot pauses", func() bool { return r.metric("composerp_worker_paused_slots", "") == 1 })
			back()
			h.wantEffects(11)
			h.soon("the slot goes on", func() bool { return r.metric("composerp_worker_paused_slots", "") == 0 })
			if burned := r.messages("retried") + r.messages("dead"); burned != 0 {
				t.Errorf("want no attempt burned, got %d", burned)
			}
			if r.log.has(func(line string) bool { return strings.Contains(line, "session with the broker ends") }) {
				t.Error("want the messages kept in hand, not delivered again")
			}
		})
	}
}

func databaseName(h *house) string {
	return storetest.Value[string](h, h.url, `SELECT current_database()`)
}

// admin runs a statement on the database's server, from another database, with nobody connected to this one.
func (h *house) admin(statement string, names ...any) {
	h.Helper()
	server, err := sql.Open("postgres", localtest.Database(h))
	h.must(err)
	defer func() { _ = server.Close() }()
	h.soon("the database is let alone", func() bool {
		_, err := server.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", names[0])
		h.must(err)
		_, err = server.Exec(fmt.Sprintf(statement, names...))
		return err == nil
	})
}
