package lanes

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/scaling"
)

// Set is how many lanes a queue has; 0 is the queue alone.
type Set struct {
	Queue  string `db:"queue" json:"queue"`
	Wanted int    `db:"wanted" json:"wanted"` // what an operator asked for
	topology.Lanes
	Former   *int   `db:"former" json:"-"`  // lanes whose queues are to be deleted
	Unbound  *int64 `db:"unbound" json:"-"` // the tick from which on no event reaches the lanes that are consumed
	Revision int64  `db:"revision" json:"-"`
	// Calm tells that the relay has passed the tick Unbound: what was published into the old lanes is there.
	Calm      bool      `db:"calm" json:"-"`
	UpdatedAt time.Time `db:"updated_at" json:"updatedAt"`
	UpdatedBy string    `db:"updated_by" json:"updatedBy"`
	Reason    string    `db:"reason" json:"reason,omitempty"`
}

// On tells whether the slots of the queue handle lanes, or empty it before they will.
func (s Set) On() bool { return s.Routed > 0 || s.Consumed > 0 }

// Switching tells whether the old lanes are still to be emptied.
func (s Set) Switching() bool { return s.Routed != s.Consumed }

// Settled tells whether there is nothing more to do.
func (s Set) Settled() bool { return s.Wanted == s.Routed && !s.Switching() && s.Former == nil }

// A relay whose cursor stands at that tick has passed what the tick had seen; and one that has passed everything has
// passed that.
const setColumns = `s.queue, s.wanted, s.routed, s.consumed, s.former, s.unbound, s.revision, s.updated_at, s.updated_by, s.reason,
       s.unbound IS NOT NULL AND EXISTS (
           SELECT FROM log_cursor c JOIN tick t ON t.id = c.tick
           WHERE c.consumer = 'relay' AND (c.tick >= s.unbound OR t.max_seq >= coalesce(pg_sequence_last_value('event_log_seq'), 0))) AS calm`

var readSets = pg.SQL(`SELECT ` + setColumns + ` FROM lane_set s ORDER BY s.queue`)

// Sets reads the sets that an operator ever asked for.
func Sets(ctx context.Context, db *store.DB) ([]Set, error) {
	return pg.List[Set](ctx, db, "reading the lanes of queues", readSets)
}

// Of finds the set of a queue; without lanes where there is none.
func Of(sets []Set, queue string) Set {
	for _, s := range sets {
		if s.Queue == queue {
			return s
		}
	}
	return Set{Queue: queue}
}

// Divided adds to the subscriptions of ordered workers how many lanes they have now.
func Divided(sets []Set, subscriptions []topology.Subscription) []topology.Subscription {
	with := make([]topology.Subscription, len(subscriptions))
	for i, sub := range subscriptions {
		if sub.Ordered {
			sub.Lanes = Of(sets, sub.Worker).Lanes
		}
		with[i] = sub
	}
	return with
}

var lockSet = pg.SQL(`SELECT ` + setColumns + ` FROM lane_set s WHERE s.queue = $1 FOR UPDATE OF s`)

var wantSet = pg.SQL(`
INSERT INTO lane_set AS s (queue, wanted, updated_by, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT (queue) DO UPDATE SET wanted = excluded.wanted, revision = s.revision + 1,
    updated_at = clock_timestamp(), updated_by = excluded.updated_by, reason = excluded.reason`)

var notifyLanes = pg.SQL(`SELECT pg_notify('` + scaling.Channel + `', '')::text`)

// Want asks for a number of lanes; 0 for none. The leader switches to them, one switch after the other. It returns the
// set before.
func Want(ctx context.Context, db *store.DB, by operatorlog.By, queue string, wanted int) (before Set, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		sets, err := pg.List[Set](ctx, tx, "reading them", lockSet, queue)
		if err != nil {
			return err
		}
		before = Of(sets, queue)
		if _, err := pg.Exec(ctx, tx, wantSet, queue, wanted, by.Operator, by.Reason); err != nil {
			return err
		}
		if err := operatorlog.Note(ctx, tx, by, "lanes set", queue, map[string]int{"lanes": before.Wanted}, map[string]int{"lanes": wanted}); err != nil {
			return err
		}
		return pg.Write(ctx, tx, "telling the leader", notifyLanes)
	})
	if err != nil {
		return Set{}, fmt.Errorf("setting the lanes of %s: %w", queue, err)
	}
	return before, nil
}

var (
	routeSet = pg.SQL(`UPDATE lane_set SET routed = $3, unbound = NULL WHERE queue = $1 AND routed = $2 AND consumed = $2`)
	// The next tick may be under way already; the one after it is made after the removal of the bindings.
	unboundSet  = pg.SQL(`UPDATE lane_set SET unbound = (SELECT max(id) + 2 FROM tick) WHERE queue = $1 AND routed = $2 AND consumed = $3 AND unbound IS NULL`)
	consumeSet  = pg.SQL(`UPDATE lane_set SET consumed = routed, former = nullif(consumed, 0), unbound = NULL WHERE queue = $1 AND routed = $2 AND consumed = $3`)
	cleanedSet  = pg.SQL(`UPDATE lane_set SET former = NULL WHERE queue = $1 AND former = $2`)
	removeLanes = pg.SQL(`DELETE FROM lane WHERE queue = $1`)
	drainedRows = pg.SQL(`SELECT count(*) FROM lane WHERE queue = $1 AND drained AND (lane >= 0) = ($2 > 0)`)
)

// Route says that the bindings of to lanes are declared, beside those of the lanes that are consumed.
func Route(ctx context.Context, db *store.DB, lease store.Lease, s Set, to int) error {
	return step(ctx, db, lease, s, routeSet, s.Queue, s.Consumed, to)
}

// Unbound says that the bindings of the lanes that are consumed are removed.
func Unbound(ctx context.Context, db *store.DB, lease store.Lease, s Set) error {
	return step(ctx, db, lease, s, unboundSet, s.Queue, s.Routed, s.Consumed)
}

// Cleaned says that the queues of the former lanes are deleted.
func Cleaned(ctx context.Context, db *store.DB, lease store.Lease, s Set) error {
	return step(ctx, db, lease, s, cleanedSet, s.Queue, *s.Former)
}

func step(ctx context.Context, db *store.DB, lease store.Lease, s Set, statement pg.Statement, args ...any) error {
	err := db.InTx(ctx, func(tx store.Tx) error {
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		_, err := pg.Exec(ctx, tx, statement, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("switching the lanes of %s: %w", s.Queue, err)
	}
	return nil
}

// Consume has the lanes consumed that events are routed to, once all of the old ones are drained. It reports whether
// they are.
func Consume(ctx context.Context, db *store.DB, lease store.Lease, s Set) (done bool, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		var drained int
		if err := pg.Get(ctx, tx, &drained, drainedRows, s.Queue, s.Consumed); err != nil {
			return err
		}
		if done = drained == max(1, s.Consumed); !done {
			return nil
		}
		rows, err := pg.Exec(ctx, tx, consumeSet, s.Queue, s.Routed, s.Consumed)
		if err != nil || rows == 0 {
			return err
		}
		if _, err := pg.Exec(ctx, tx, removeLanes, s.Queue); err != nil {
			return err
		}
		return pg.Write(ctx, tx, "telling the nodes", notifyLanes)
	})
	if err != nil {
		return false, fmt.Errorf("switching the lanes of %s: %w", s.Queue, err)
	}
	return done, nil
}
