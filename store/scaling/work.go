package scaling

import (
	"context"
	"fmt"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Work is what the slots of a node have done of a queue since its process began. From Acked on all of it only grows
// within a term.
type Work struct {
	Node     string `db:"node"`
	Queue    string `db:"queue"`
	Term     int64  `db:"term"`
	Batch    int    `db:"batch"`    // messages of a full batch
	Held     int    `db:"held"`     // messages that slots hold now: prefetched, or in a batch
	Acked    int64  `db:"acked"`    // messages that left the queue
	Returned int64  `db:"returned"` // of them, those that had come out of a retry queue
	Retried  int64  `db:"retried"`  // of them, those that failed and went to a retry queue
	Deferred int64  `db:"deferred"` // of them, those that went there because their dependency was away
	// Sums over batches of n messages that took t seconds: Σ 1, Σ n, Σ n², Σ t, Σ n·t.
	Batches  float64 `db:"batches"`
	Messages float64 `db:"messages"`
	Squares  float64 `db:"squares"`
	Seconds  float64 `db:"seconds"`
	Products float64 `db:"products"`
	// Busy is for how many seconds slots have had batches in hand, those of now included. A node of the version before
	// reports 0.
	Busy float64 `db:"busy"`
}

// Since is what was done since another reading of the same term; Node to Held are those of w.
func (w Work) Since(was Work) Work {
	w.Acked -= was.Acked
	w.Returned -= was.Returned
	w.Retried -= was.Retried
	w.Deferred -= was.Deferred
	w.Batches -= was.Batches
	w.Messages -= was.Messages
	w.Squares -= was.Squares
	w.Seconds -= was.Seconds
	w.Products -= was.Products
	w.Busy -= was.Busy
	return w
}

var writeWork = pg.SQL(`
INSERT INTO worker_work (node, term, queue, batch, held, acked, returned, retried, deferred, batches, messages, squares, seconds, products, busy)
SELECT $1, $2, w.* FROM unnest($3::text[], $4::int[], $5::int[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::float8[], $11::float8[], $12::float8[], $13::float8[], $14::float8[], $15::float8[]) w
ON CONFLICT (node, queue) DO UPDATE SET term = excluded.term, batch = excluded.batch, held = excluded.held, acked = excluded.acked, returned = excluded.returned,
    retried = excluded.retried, deferred = excluded.deferred, batches = excluded.batches, messages = excluded.messages,
    squares = excluded.squares, seconds = excluded.seconds, products = excluded.products, busy = excluded.busy, at = clock_timestamp()`)

// Did records what a node's slots have done.
func Did(ctx context.Context, db *store.DB, n Node, works []Work) error {
	c, sums := pg.NewColumns(7, len(works)), make([]pq.Float64Array, 6)
	for _, w := range works {
		c.Add(w.Queue, w.Batch, w.Held, w.Acked, w.Returned, w.Retried, w.Deferred)
		for i, sum := range []float64{w.Batches, w.Messages, w.Squares, w.Seconds, w.Products, w.Busy} {
			sums[i] = append(sums[i], sum)
		}
	}
	args := append([]any{n.ID, n.Term}, c...)
	for _, sum := range sums {
		args = append(args, sum)
	}
	return pg.WriteAlone(ctx, db, "reporting the work of node "+n.ID, writeWork, args...)
}

var readWork = pg.SQL(`
SELECT w.node, w.queue, w.term, w.batch, w.held, w.acked, w.returned, w.retried, w.deferred, w.batches, w.messages, w.squares, w.seconds, w.products, w.busy
FROM worker_work w JOIN worker_node n ON n.id = w.node AND n.term = w.term WHERE ` + AliveSQL + ` ORDER BY w.queue, w.node`)

var databaseRoom = pg.SQL(`
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int`)

var quarantinedQueues = pg.SQL(`SELECT DISTINCT consumer FROM quarantine WHERE released_at IS NULL`)

// Measured is what the autoscaler decides by, at one moment.
type Measured struct {
	Work        []Work          // of living nodes
	Quarantined map[string]bool // queues with a class of events in quarantine
	Free        int             // connections that the database has left
}

// Measure reads what nodes have reported.
func Measure(ctx context.Context, db *store.DB) (m Measured, err error) {
	tx, err := pg.BeginSnapshot(ctx, db)
	if err != nil {
		return m, err
	}
	defer func() { _ = tx.Rollback() }()
	var held []string
	err = pg.Select(ctx, tx, &m.Work, readWork)
	if err == nil {
		err = pg.Select(ctx, tx, &held, quarantinedQueues)
	}
	if err == nil {
		err = pg.Get(ctx, tx, &m.Free, databaseRoom)
	}
	if err != nil {
		return m, fmt.Errorf("reading the work of nodes: %w", err)
	}
	m.Quarantined = map[string]bool{}
	for _, queue := range held {
		m.Quarantined[queue] = true
	}
	return m, nil
}
