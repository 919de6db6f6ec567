package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/internal/pg"
)

// # The ticker
//
// A tick is a row that holds a snapshot: which transactions had ended when it
// was made. Readers work from tick to tick (reader.go), so all that matters is
// that ticks with rising ids hold snapshots that never go backwards, and that
// sooner or later every committed event is seen by one.
//
// Invariants and what keeps them:
//
//   - Order. The snapshot is taken by a statement of its own after the lease's
//     row is locked, with max(id)+1 as the id. A second leader, late or wrong,
//     either finds another term on the lease or collides on the id; it can not
//     write an older snapshot under a higher id.
//   - seq_before < every event of a transaction with an id above the tick's own
//     (tx): a transaction has its id before it draws a number, and seq_before was
//     read before the tick's transaction got its. The snapshot's xmax is no such
//     border: it is one more than the last id that had ended, and transactions
//     from there on may long be at work (seen: the head of each was lost).
//   - max_seq >= every event the snapshot sees: it is read after the snapshot, by
//     the same statement.
//   - The sequence is read by pg_sequence_last_value, which locks its page: while
//     nextval logs, the page shows a number up to 32 ahead, and a SELECT of
//     last_value now and then sees it (seen: 4 times in 33 million reads). A
//     seq_before that is too high loses events.
//   - Progress. A tick is due when the sequence has moved past seq_before, or
//     when a transaction that was open in the last snapshot has ended, whether
//     or not it said anything. Every second a tick is made if anything at all
//     was written: a guard against a way nobody thought of.
//   - One server. Snapshots of different servers can not be compared, so a tick
//     is made only where the newest epoch is this server's (epoch.go).
//   - Durability. The tick is committed with synchronous_commit=on, and WAL is
//     flushed in order: a tick that can be read proves that all it covers is durable.
//
// A crash before the commit leaves no tick; after it, a tick nobody was told
// of, which readers find by polling. The notification is only a hint.

// Ticker makes ticks while it leads. One process at a time does.
type Ticker struct {
	db   *store.DB
	log  *slog.Logger
	poke chan struct{}
	// chores are run by the leader now and then, beside the ticks.
	chores []func(context.Context)
	last   tick
	made   time.Time
	// spent are the ticks of the burst that is going on, one less each tickPace.
	spent float64
}

// How often the ticker looks. A look is one cheap statement, a tick a
// transaction, and a page and another transaction of each reader's. So it looks
// often while events come, that one alone need not wait, and spaces the ticks
// once some have followed each other closely, so that under load each has many
// events. (One event alone often takes two: a look between the drawing of its
// number and its commit makes a tick that does not see it yet.) The longer nothing has come the more
// seldom it looks: an event waits for a small share of the silence before it,
// and a fleet at rest costs next to nothing.
const (
	tickAwake = time.Millisecond
	tickIdle  = 20 * time.Millisecond
	tickShare = 200                  // of the silence
	tickPace  = 5 * time.Millisecond // from one tick to the next at least, after a burst
	tickBurst = 3                    // ticks that may follow each other at once
	tickGuard = time.Second
	housekeep = 15 * time.Second
)

// TickChannel is the LISTEN channel on which each tick is told.
const TickChannel = "composerp_tick"

// NewTicker needs a pool of at least three connections: to tick, for housekeeping, to renew the lease.
// The chores are run while it leads, every few seconds, beside the ticks.
func NewTicker(db *store.DB, log *slog.Logger, chores ...func(context.Context)) *Ticker {
	return &Ticker{db: db, log: log, poke: make(chan struct{}, 1), chores: chores}
}

// Poke hints that something was appended just now. It never blocks.
func (t *Ticker) Poke() {
	select {
	case t.poke <- struct{}{}:
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

// parse reads the snapshot, with the transactions between its xmax and the
// tick's own among those in progress: they had their ids, and had not ended.
func (t *tick) parse() (err error) {
	if t.snapshot, err = parseSnapshot(t.Snapshot); err != nil {
		return err
	}
	for xid := t.snapshot.xmax; xid < t.Tx; xid++ {
		t.snapshot.inProgress = append(t.snapshot.inProgress, xid)
	}
	return nil
}

var lastSeq = pg.SQL(`SELECT coalesce(pg_sequence_last_value('event_log_seq'), 0)`)

var lastTick = pg.SQL(`SELECT id, epoch, seq_before, max_seq, snapshot::text AS snapshot, tx::text AS tx FROM tick ORDER BY id DESC LIMIT 1`)

var lookForTick = pg.SQL(`
SELECT coalesce(pg_sequence_last_value('event_log_seq'), 0) AS seq, pg_current_snapshot()::text AS snapshot`)

var makeTick = pg.SQL(`
WITH made AS (
    INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq)
    SELECT last.id + 1, e.epoch, pg_current_snapshot(), $1, coalesce(pg_sequence_last_value('event_log_seq'), 0)` + EpochFitsSQL + `
    RETURNING id, epoch, seq_before, max_seq, snapshot::text AS snapshot, tx::text AS tx
)
SELECT made.*, pg_notify('composerp_tick', made.id::text)::text AS told FROM made`)

// Run makes ticks while the lease is held; it is the work handed to DB.Lead.
func (t *Ticker) Run(ctx context.Context, lease store.Lease) error {
	if err := CheckEpoch(ctx, t.db); err != nil {
		return err
	}
	if err := t.resume(ctx); err != nil {
		return err
	}
	house, leave := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { t.housekeeping(house) })
	defer keeping.Wait()
	defer leave()
	moved, guarded := time.Now(), time.Now()
	for {
		due, err := t.due(ctx, time.Since(guarded) > tickGuard)
		if err != nil {
			return err
		}
		if time.Since(guarded) > tickGuard {
			guarded = time.Now()
		}
		if due.tick {
			failpoint.Hit("tick.due")
			if err := t.make(ctx, lease, due.seq); err != nil {
				return err
			}
		}
		if due.moved {
			moved = time.Now()
		}
		if !t.pause(ctx, time.Since(moved)) {
			return nil
		}
	}
}

type dueTick struct {
	tick, moved bool
	seq         int64
}

// due looks whether there is anything a new tick would tell.
func (t *Ticker) due(ctx context.Context, guard bool) (dueTick, error) {
	var now struct {
		Seq      int64  `db:"seq"`
		Snapshot string `db:"snapshot"`
	}
	if err := pg.Get(ctx, t.db, &now, lookForTick); err != nil {
		return dueTick{}, fmt.Errorf("looking for new events: %w", err)
	}
	current, err := parseSnapshot(now.Snapshot)
	if err != nil {
		return dueTick{}, err
	}
	moved := now.Seq > t.last.SeqBefore
	tick := moved || t.last.snapshot.endedSince(current) || guard && current.xmax > t.last.Tx+1
	return dueTick{tick: tick, moved: moved, seq: now.Seq}, nil
}

func (t *Ticker) make(ctx context.Context, lease store.Lease, seqBefore int64) error {
	var made struct {
		tick
		Told string `db:"told"`
	}
	err := t.db.InTx(ctx, func(tx store.Tx) error {
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		failpoint.Hit("tick.held")
		err := pg.Get(ctx, tx, &made, makeTick, seqBefore)
		if errors.Is(err, store.ErrNotFound) {
			return ErrRestored // while it led: its connections lead to another server now
		}
		failpoint.Hit("tick.made")
		return err
	})
	if err != nil {
		return fmt.Errorf("making a tick: %w", err)
	}
	failpoint.Hit("tick.committed")
	t.spent = max(0, t.spent-float64(time.Since(t.made))/float64(tickPace)) + 1
	t.last, t.made = made.tick, time.Now()
	return t.last.parse()
}

// resume reads the last tick: a new leader goes on where the old one stopped.
func (t *Ticker) resume(ctx context.Context) error {
	if err := pg.Get(ctx, t.db, &t.last, lastTick); err != nil {
		return fmt.Errorf("reading the last tick: %w", err)
	}
	return t.last.parse()
}

func (t *Ticker) pause(ctx context.Context, silence time.Duration) bool {
	timer := time.NewTimer(min(max(tickAwake, silence/tickShare), tickIdle))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.poke:
	case <-timer.C:
	}
	if early := tickPace - time.Since(t.made); early > 0 && t.spent >= tickBurst {
		return clock.Sleep(ctx, early)
	}
	return ctx.Err() == nil
}

// Ticks that all readers have passed tell nothing any more; each thousandth
// stays, as a point to replay from, and those that subscriptions began at, or
// epochs began and ended with.
var thinTicksSQL = pg.SQL(`
DELETE FROM tick t
WHERE t.id < (SELECT least(min(tick), (SELECT max(id) FROM tick)) FROM log_cursor)
  AND t.id % 1000 <> 0
  AND NOT EXISTS (SELECT FROM subscription s WHERE s.from_tick = t.id)
  AND NOT EXISTS (SELECT FROM epoch e WHERE t.id IN (e.first_tick - 1, e.first_tick))`)

// housekeeping makes partitions ahead of need, thins out old ticks and runs the
// chores, every housekeep. It runs beside the ticks: a lock it waits for must not hold them up.
func (t *Ticker) housekeeping(ctx context.Context) {
	for {
		if err := EnsurePartitions(ctx, t.db); err != nil && ctx.Err() == nil {
			t.log.Error("no new partition could be made: the log will fill up", "error", err)
		}
		if err := thinTicks(ctx, t.db); err != nil && ctx.Err() == nil {
			t.log.Warn("old ticks stay for now", "error", err)
		}
		for _, chore := range t.chores {
			chore(ctx)
		}
		if !clock.Sleep(ctx, housekeep) {
			return
		}
	}
}

func thinTicks(ctx context.Context, db *store.DB) error {
	return db.InTx(ctx, func(tx store.Tx) error {
		if _, err := pg.Exec(ctx, tx, thinTicksSQL); err != nil {
			return fmt.Errorf("thinning out ticks: %w", err)
		}
		failpoint.Hit("tick.thinned")
		return nil
	})
}

// Step looks once, as Run does, and makes a tick when one is due: for tests that go tick by tick.
func (t *Ticker) Step(ctx context.Context, lease store.Lease) (made bool, err error) {
	if t.last.Snapshot == "" {
		if err := t.resume(ctx); err != nil {
			return false, err
		}
	}
	due, err := t.due(ctx, false)
	if err != nil || !due.tick {
		return false, err
	}
	return true, t.make(ctx, lease, due.seq)
}
