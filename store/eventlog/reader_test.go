package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

// follow reads the log until everything was written and read, dropping pages read (a crash) with the given chance, and
// returns what its cursor passed, in order.
func (w *concurrentWriters) follow(ctx context.Context, name string, limit int, crash float64, rnd *rand.Rand, written <-chan struct{}, passed *[]eventlog.Entry) error {
	lease, err := store.AcquireLease(ctx, w.Env.DB, name, name)
	if err != nil {
		return err
	}
	at, err := eventlog.OpenCursor(ctx, w.Env.DB, lease)
	if err != nil {
		return err
	}
	hints := w.Listen(ctx, eventlog.TickChannel)
	for {
		done := isClosed(written) && w.everythingTicked(ctx) // asked before reading: what was ticked by then is read now
		page, err := eventlog.ReadPage(ctx, w.Env.DB, at, 1+rnd.IntN(limit))
		if err != nil {
			return err
		}
		if rnd.Float64() < crash {
			if at, err = eventlog.OpenCursor(ctx, w.Env.DB, lease); err != nil {
				return err
			}
			continue
		}
		if page.Next == at {
			if done {
				return nil
			}
			await(hints)
			continue
		}
		if err := eventlog.MoveCursor(ctx, w.Env.DB, at, page.Next); err != nil {
			return err
		}
		at = page.Next
		*passed = append(*passed, page.Events...)
	}
}

// everythingTicked reports whether the newest tick sees everything that has ended.
func (w *concurrentWriters) everythingTicked(ctx context.Context) bool {
	var settled bool
	err := w.SQL().QueryRowContext(ctx, `
		SELECT NOT EXISTS (SELECT FROM event_log WHERE NOT pg_visible_in_snapshot(tx, t.snapshot))
		FROM tick t ORDER BY id DESC LIMIT 1`).Scan(&settled)
	return err == nil && settled
}

// await waits for a hint, or a little: a hint may be lost.
func await(hints <-chan struct{}) {
	select {
	case <-hints:
	case <-time.After(50 * time.Millisecond):
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// check compares what a reader passed with what was committed.
func (w *concurrentWriters) check(t *testing.T, reader string, passed []eventlog.Entry) {
	t.Helper()
	seen := map[uuid.UUID]bool{}
	last := map[string]int{}
	for _, e := range passed {
		n, known := w.committed[e.EventID]
		switch {
		case !known:
			t.Fatalf("%s: event %d was never committed", reader, e.Seq)
		case seen[e.EventID]:
			t.Fatalf("%s: event %d was read twice", reader, e.Seq)
		case n.N != last[n.Aggregate]+1:
			t.Fatalf("%s: event %d of %s came after %d", reader, n.N, n.Aggregate, last[n.Aggregate])
		}
		seen[e.EventID], last[n.Aggregate] = true, n.N
	}
	if len(seen) != len(w.committed) {
		t.Fatalf("%s: %d of %d committed events were read", reader, len(seen), len(w.committed))
	}
}

// Every committed event is read exactly once and in its aggregate's order, also with late commits, rollbacks, long
// transactions and crashes.
func TestEveryCommittedEventIsReadOnce(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newWriters(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ticking := make(chan struct{})
	go func() {
		defer close(ticking)
		store.Lead(ctx, w.Env.DB, "ticker", "one", eventlog.NewTicker(w.DB, slog.New(slog.DiscardHandler)).Run, func(err error) {
			// A busy machine may be late with a renewal: another term begins, and no reader may notice.
			if !errors.Is(err, store.ErrNotLeader) && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}()
	defer func() { stop(); <-ticking }()

	// One transaction is open from before the first to after the last of the others.
	held := w.OpenTx()
	heldEvents, err := w.appendNumbered(ctx, held, "held", 3)
	storetest.Must(t, err)

	written, over := make(chan struct{}), make(chan struct{})
	var running atomic.Int32
	running.Store(writers)
	var run []func(context.Context) error
	for i := range writers {
		run = append(run, func(ctx context.Context) error {
			defer func() {
				if running.Add(-1) == 0 {
					close(written)
				}
			}()
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for range transactions {
				if err := w.write(ctx, rnd); err != nil && !errors.Is(err, store.ErrRetryable) {
					return err
				}
			}
			return nil
		})
	}
	passed := make([][]eventlog.Entry, 2)
	for i, r := range []struct {
		limit int
		crash float64
	}{{300, 0}, {40, 0.2}} {
		run = append(run, func(ctx context.Context) error {
			rnd := rand.New(rand.NewPCG(seed, uint64(100+i)))
			return w.follow(ctx, fmt.Sprintf("reader%d", i), r.limit, r.crash, rnd, over, &passed[i])
		})
	}
	run = append(run, func(ctx context.Context) error {
		defer close(over)
		<-written
		return w.commitHeld(ctx, held, heldEvents)
	})
	storetest.Concurrently(t, run...)
	for i := range passed {
		w.check(t, fmt.Sprintf("reader %d", i), passed[i])
	}
	t.Logf("%d events in %d ticks", len(w.committed), storetest.One[int](t, w.SQL(), `SELECT max(id) FROM tick`))
	// Without the ticker no tick is thinned out between reading their list and reading their spans.
	stop()
	<-ticking
	w.checkSpans(t, seed)
}

// commitHeld waits until the ticks show all events but those of the open transaction, and then commits it.
func (w *concurrentWriters) commitHeld(ctx context.Context, held *store.Transaction, events []event.Any) error {
	deadline := time.Now().Add(localtest.Deadline(storetest.Timeout))
	for {
		var missing int
		err := w.SQL().QueryRowContext(ctx, `
			SELECT count(*) FROM event_log e, (SELECT snapshot FROM tick ORDER BY id DESC LIMIT 1) t
			WHERE NOT pg_visible_in_snapshot(e.tx, t.snapshot)`).Scan(&missing)
		if err != nil {
			return err
		}
		if missing == 0 {
			break
		}
		if time.Now().After(deadline) {
			return errors.New(localtest.Late(20*time.Second, fmt.Sprintf("%d events wait for the open transaction no more", missing)))
		}
		time.Sleep(2 * time.Millisecond)
	}
	w.recordCommitted(events)
	return held.Commit()
}

// checkSpans reads the whole log again, over random spans of ticks.
func (w *concurrentWriters) checkSpans(t *testing.T, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 200))
	var ticks []int64 // some may have been thinned out by now
	storetest.Must(t, sqlx.NewDb(w.SQL(), "postgres").Select(&ticks, `SELECT id FROM tick ORDER BY id`))
	at := eventlog.Cursor{Consumer: "spans"}
	var passed []eventlog.Entry
	for i := 0; i < len(ticks)-1; {
		i = min(len(ticks)-1, i+1+rnd.IntN(30))
		at.Upto = ticks[i]
		for upto := at.Upto; at.Tick != upto; {
			page, err := eventlog.ReadPage(t.Context(), w.Env.DB, at, 1+rnd.IntN(200))
			storetest.Must(t, err)
			passed, at = append(passed, page.Events...), page.Next
		}
	}
	w.check(t, "spans", passed)
}
