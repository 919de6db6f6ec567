package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/internal/pg"
)

// # The ticker
//
// A tick is a row that holds a snapshot: which transactions had ended when it was made. Readers work from tick to tick
// (reader.go). So ticks with rising ids must hold snapshots that never go backwards, and every committed event must
// eventually be seen by one.
//
// Invariants:
//
//   - Order. The snapshot is taken by a statement of its own (in the function make_tick) after the lease's row is
//     locked, with max(id)+1 as the id. A second leader either finds another term on the lease or collides on the
//     id; it cannot write an older snapshot under a higher id.
//   - seq_before < every event of a transaction with an id above the tick's own (tx): a transaction has its id before
//     it draws a number, and seq_before was read before the tick's transaction got its id. The snapshot's xmax is no
//     such border: it is one more than the last id that had ended, and transactions from there on may long be at work
//     (seen: the head of each was lost).
//   - max_seq >= every event the snapshot sees: it is read after the snapshot, by the same statement.
//   - The sequence is read by pg_sequence_last_value, which locks its page: while nextval logs, the page shows a
//     number up to 32 ahead, and a SELECT of last_value sometimes sees it (seen: 4 times in 33 million reads). A
//     seq_before that is too high loses events.
//   - Progress. A tick is due when the sequence has moved past seq_before, or when a transaction open in the last
//     snapshot has ended, whether or not it appended. Every second a tick is made if anything at all was written: a
//     guard against an unforeseen case.
//   - One server. Snapshots of different servers cannot be compared, so a tick is made only where the newest epoch is
//     this server's (epoch.go).
//   - A wake-up makes a tick without that check: the event it tells of was committed before. A commit of the leader's
//     own process wakes it by a call, one of another process by a notification, which costs a round trip; both arrive
//     on one channel.
//   - Durability. The tick is committed with synchronous_commit=on, and WAL is flushed in order: a readable tick
//     proves that everything it covers is durable.
//
// A crash before the commit leaves no tick; after it, a tick without a notification, which readers find by polling.
// The notification is only a hint. So is an announcement: a process that dies between its commit and the announcement
// leaves an event that the next check finds.

// Ticker makes ticks while it leads; one process does at a time.
type Ticker struct {
	db    *store.DB
	log   *slog.Logger
	leads atomic.Bool
	wake  chan struct{} // receives when events were appended, here or in another process
	hints chan struct{} // see Hints
	// chores run beside the ticks, at the pace of housekeeping.
	chores []func(context.Context)
	last   tick
	made   time.Time
	// spent is the number of ticks in the current burst, one less each tickPace.
	spent float64
}

// The pace of the ticker. Commits that append events wake it, so that it checks seldom. It spaces the ticks after a few
// in close succession: a tick is a transaction here and a page and a transaction in each reader, and under load each
// covers many events.
const (
	tickIdle  = 20 * time.Millisecond // between checks without a hint
	tickPace  = 5 * time.Millisecond  // the minimum between ticks after a burst
	tickBurst = 3                     // ticks that may follow each other at once
	tickGuard = time.Second
	housekeep = 15 * time.Second
)

// TickChannel is the LISTEN channel that announces each tick.
const TickChannel = "composerp_tick"

// NewTicker needs a pool of at least three connections: ticks, housekeeping, lease renewal. While it leads it listens
// on another one, and runs the chores every few seconds, beside the ticks.
func NewTicker(db *store.DB, log *slog.Logger, chores ...func(context.Context)) *Ticker {
	return &Ticker{db: db, log: log, wake: make(chan struct{}, 1), hints: make(chan struct{}, 1), chores: chores}
}

// Poke hints that an event was just appended, and reports whether this ticker leads: it makes a tick then. It never
// blocks.
func (t *Ticker) Poke() (leads bool) {
	hint(t.wake)
	return t.leads.Load()
}

// Hints receives when there may be a new tick, for one reader of this process: of this ticker at once, of another
// process's by a notification, for which it listens on db until ctx is done. Several ticks may be one hint.
func (t *Ticker) Hints(ctx context.Context, db *store.DB) <-chan struct{} {
	notified := db.Listen(ctx, TickChannel)
	go func() {
		for range notified {
			if !t.leads.Load() {
				hint(t.hints)
			}
		}
	}()
	return t.hints
}

func hint(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

type tick struct {
	ID        int64  `db:"id"`
	Epoch     int    `db:"epoch"`
	SeqBefore int64  `db:"seq_before"`
	MaxSeq    int64  `db:"max_seq"`
	Snapshot  string `db:"snapshot"`
	Tx        uint64 `db:"tx"`
	snapshot  snapshot
}

// parse reads the snapshot. Transactions between its xmax and the tick's own id count as in progress: they had their
// ids and had not ended.
func (t *tick) parse() (err error) {
	if t.snapshot, err = parseSnapshot(t.Snapshot); err != nil {
		return err
	}
	for xid := t.snapshot.xmax; xid < t.Tx; xid++ {
		t.snapshot.inProgress = append(t.snapshot.inProgress, xid)
	}
	return nil
}

var lastTick = pg.SQL(`SELECT id, epoch, seq_before, max_seq, snapshot::text AS snapshot, tx::text AS tx FROM tick ORDER BY id DESC LIMIT 1`)

var checkTickDue = pg.SQL(`
SELECT coalesce(pg_sequence_last_value('event_log_seq'), 0) AS seq, pg_current_snapshot()::text AS snapshot`)

// One round trip makes and commits a tick (migration 0028). The driver may repeat it after a connection error: one more
// tick harms nothing.
var makeTick = pg.SQL(`
SELECT coalesce(id, 0) AS id, coalesce(epoch, 0) AS epoch, coalesce(seq_before, 0) AS seq_before, coalesce(max_seq, 0) AS max_seq,
       coalesce(snapshot, '') AS snapshot, coalesce(tx, '0') AS tx
FROM make_tick($1, $2)`)

// Run makes ticks while the lease is held; it is the work for store.Lead.
func (t *Ticker) Run(ctx context.Context, lease store.Lease) error {
	if err := CheckEpoch(ctx, t.db); err != nil {
		return err
	}
	if err := t.resume(ctx); err != nil {
		return err
	}
	background, leave := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { t.housekeeping(background) })
	defer keeping.Wait()
	defer leave()
	announced := t.db.Listen(background, appendChannel)
	keeping.Go(func() {
		for range announced {
			hint(t.wake)
		}
	})
	t.leads.Store(true)
	defer t.leads.Store(false)
	guarded := time.Now()
	for hinted, ok := false, true; ok; hinted, ok = t.pause(ctx) {
		guard := time.Since(guarded) > tickGuard
		due, err := t.due(ctx, hinted, guard)
		if err != nil {
			return err
		}
		if guard {
			guarded = time.Now()
		}
		if due {
			failpoint.Hit("tick.due")
			if err := t.make(ctx, lease); err != nil {
				return err
			}
		}
	}
	return nil
}

// due checks whether a new tick would see anything new. After a hint it would.
func (t *Ticker) due(ctx context.Context, hinted, guard bool) (bool, error) {
	select {
	case <-t.wake: // the tick will see this one's event too
		hinted = true
	default:
	}
	if hinted {
		return true, nil
	}
	var seq int64
	var snapshot string
	err := pg.Each(ctx, t.db, "checking for new events", checkTickDue, func(row *sql.Rows) error { return row.Scan(&seq, &snapshot) })
	if err != nil {
		return false, err
	}
	current, err := parseSnapshot(snapshot)
	if err != nil {
		return false, err
	}
	return seq > t.last.SeqBefore || t.last.snapshot.endedSince(current) || guard && current.xmax > t.last.Tx+1, nil
}

func (t *Ticker) make(ctx context.Context, lease store.Lease) error {
	made, err := pg.One[tick](ctx, t.db, "making a tick", makeTick, lease.Name, lease.Term)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("making a tick: %w", store.ErrNotLeader)
	case err != nil:
		return err
	case made.ID == 0:
		return fmt.Errorf("making a tick: %w", ErrRestored) // the connections now lead to another server
	}
	failpoint.Hit("tick.committed")
	hint(t.hints)
	t.spent = max(0, t.spent-float64(time.Since(t.made))/float64(tickPace)) + 1
	t.last, t.made = made, time.Now()
	return t.last.parse()
}

// resume reads the last tick: a new leader goes on where the old one stopped.
func (t *Ticker) resume(ctx context.Context) error {
	if err := pg.Get(ctx, t.db, &t.last, lastTick); err != nil {
		return fmt.Errorf("reading the last tick: %w", err)
	}
	return t.last.parse()
}

// pause waits until the next check, or for a hint. After a burst it spaces the ticks.
func (t *Ticker) pause(ctx context.Context) (hinted, ok bool) {
	timer := time.NewTimer(tickIdle)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-t.wake:
		hinted = true
	case <-timer.C:
	}
	if early := tickPace - time.Since(t.made); early > 0 && t.spent >= tickBurst {
		clock.Sleep(ctx, early)
	}
	return hinted, ctx.Err() == nil
}

// Step checks once, as Run does, and makes a tick when one is due: for tests that go tick by tick.
func (t *Ticker) Step(ctx context.Context, lease store.Lease) (made bool, err error) {
	if t.last.Snapshot == "" {
		if err := t.resume(ctx); err != nil {
			return false, err
		}
	}
	due, err := t.due(ctx, false, false)
	if err != nil || !due {
		return false, err
	}
	return true, t.make(ctx, lease)
}
