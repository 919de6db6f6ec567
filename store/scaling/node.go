package scaling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// NodeTTL is how long a node that says nothing keeps its slots.
const NodeTTL = 15 * time.Second

// Node is a process that runs workers.
type Node struct {
	ID       string         `db:"id"`
	Term     int64          `db:"term"`
	Host     string         `db:"host"`
	PID      int            `db:"pid"`
	Version  string         `db:"version"`
	Capacity int            `db:"capacity"` // the most slots its database pool bears
	Labels   pq.StringArray `db:"labels"`
	// Queues are those that it can consume, and FlagSlots the slots of each by its flags.
	Queues    pq.StringArray `db:"queues"`
	FlagSlots pq.Int64Array  `db:"flag_slots"`
	Paused    pq.StringArray `db:"paused"`
	Reads     pq.StringArray `db:"reads"` // the versions of event types that its program reads: store/versions
	Draining  bool           `db:"draining"`
	StartedAt time.Time      `db:"started_at"`
	Alive     bool           `db:"alive"`      // its lease has not ended
	SilentFor float64        `db:"silent_for"` // seconds since it renewed its lease
}

// Offers is how many slots of a queue the node's flags say; ok is false when it does not run that worker.
func (n Node) Offers(queue string) (slots int, ok bool) {
	i := slices.Index(n.Queues, queue)
	if i < 0 {
		return 0, false
	}
	return int(n.FlagSlots[i]), true
}

// AliveSQL is true of a node whose lease has not ended. A lease that ends later than any renewal allows is from before
// the clock was set back: it has ended (store.Lease).
const AliveSQL = `(lease_until >= clock_timestamp() AND lease_until <= clock_timestamp() + interval '30 seconds')`

const nodeColumns = `id, term, host, pid, version, capacity, labels, queues, flag_slots, paused, reads, draining, started_at, ` + AliveSQL + ` AS alive,
       extract(epoch FROM clock_timestamp() - lease_until) + 15 AS silent_for`

var registerNode = pg.SQL(`
INSERT INTO worker_node AS n (id, host, pid, version, capacity, labels, queues, flag_slots, reads, lease_until)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10, clock_timestamp() + make_interval(secs => $9))
ON CONFLICT (id) DO UPDATE SET term = n.term + 1, host = excluded.host, pid = excluded.pid, version = excluded.version, capacity = excluded.capacity,
    labels = excluded.labels, queues = excluded.queues, flag_slots = excluded.flag_slots, reads = excluded.reads, lease_until = excluded.lease_until,
    paused = '{}', draining = false, started_at = clock_timestamp()
WHERE NOT (n.lease_until >= clock_timestamp() AND n.lease_until <= clock_timestamp() + interval '30 seconds')
RETURNING term`)

// Register enters a node and returns its id and term. Where a living node has its id already, as in two containers
// with one host name, the id gets a number.
func Register(ctx context.Context, db *store.DB, n Node) (Node, error) {
	name := n.ID
	for again := 2; ; again++ {
		err := db.InTx(ctx, func(tx store.Tx) error {
			err := pg.Get(ctx, tx, &n.Term, registerNode, n.ID, n.Host, n.PID, n.Version, n.Capacity, list(n.Labels), list(n.Queues), n.FlagSlots, NodeTTL.Seconds(), list(n.Reads))
			if err != nil {
				return err
			}
			return hint(ctx, tx)
		})
		if !errors.Is(err, store.ErrNotFound) {
			if err != nil {
				err = fmt.Errorf("registering node %s: %w", n.ID, err)
			}
			return n, err
		}
		n.ID = fmt.Sprintf("%s-%d", name, again)
	}
}

func list(texts pq.StringArray) pq.StringArray {
	if texts == nil {
		return pq.StringArray{}
	}
	return texts
}

// Planned is what a node is to run of a queue, by the assignment that belongs to Revision.
type Planned struct {
	Queue    string `db:"queue"`
	Slots    int    `db:"slots"`
	Revision int64  `db:"revision"`
	Fleet    int    `db:"fleet"` // slots of the queue on all nodes; 0 in a Report that was read
}

var draining = pg.SQL(`SELECT EXISTS (SELECT FROM worker_node WHERE id = $1 AND draining)`)

// Draining tells whether a node was told to run no slots.
func Draining(ctx context.Context, db *store.DB, node string) (bool, error) {
	return pg.One[bool](ctx, db, "asking whether "+node+" drains", draining, node)
}

var renewNode = pg.SQL(`
UPDATE worker_node SET lease_until = clock_timestamp() + make_interval(secs => $3) WHERE id = $1 AND term = $2`)

var plan = pg.SQL(`
WITH flagged AS (SELECT f.queue, sum(f.slots) AS slots FROM worker_node CROSS JOIN unnest(queues, flag_slots) f(queue, slots) WHERE ` + AliveSQL + ` GROUP BY f.queue),
assigned AS (SELECT queue, sum(slots) AS slots FROM worker_assignment GROUP BY queue)
SELECT o.queue, CASE WHEN coalesce(p.managed, false) THEN coalesce(assigned.slots, 0) ELSE coalesce(flagged.slots, 0) END AS fleet, coalesce(p.assigned, 0) AS revision,
       CASE WHEN n.draining OR coalesce(p.paused, false) OR o.queue = ANY (n.paused) THEN 0
            WHEN coalesce(p.managed, false) THEN coalesce(a.slots, 0)
            ELSE o.slots END AS slots
FROM worker_node n CROSS JOIN unnest(n.queues, n.flag_slots) o(queue, slots)
LEFT JOIN worker_pool p ON p.queue = o.queue
LEFT JOIN worker_assignment a ON a.queue = o.queue AND a.node = n.id
LEFT JOIN flagged ON flagged.queue = o.queue
LEFT JOIN assigned ON assigned.queue = o.queue
WHERE n.id = $1 ORDER BY o.queue`)

// Renew prolongs the node's lease and returns what it is to run. ErrNotLeader: another process has its id, or it was
// silent for so long that it is forgotten; it registers anew.
func Renew(ctx context.Context, db *store.DB, n Node) (planned []Planned, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		renewed, err := pg.Exec(ctx, tx, renewNode, n.ID, n.Term, NodeTTL.Seconds())
		if err == nil && renewed == 0 {
			err = store.ErrNotLeader
		}
		if err != nil {
			return err
		}
		planned = nil
		return pg.Select(ctx, tx, &planned, plan, n.ID)
	})
	if err != nil {
		return nil, fmt.Errorf("renewing the lease of node %s: %w", n.ID, err)
	}
	return planned, nil
}

// Report is what a node runs of a queue.
type Report struct {
	Node string `db:"node"`
	Planned
	Running int   `db:"running"`
	Busy    int   `db:"busy"`
	Seq     int64 `db:"seq"`      // the log position of the newest message taken; 0: none
	InLanes bool  `db:"in_lanes"` // no slot handles the queue but in lanes: see package lanes
}

var report = pg.SQL(`
INSERT INTO worker_report AS r (node, queue, planned, running, busy, seq, revision, in_lanes)
SELECT $1, w.queue, w.planned, w.running, w.busy, w.seq, w.revision, w.in_lanes
FROM unnest($2::text[], $3::int[], $4::int[], $5::int[], $6::bigint[], $7::bigint[], $8::boolean[]) w(queue, planned, running, busy, seq, revision, in_lanes)
ON CONFLICT (node, queue) DO UPDATE SET planned = excluded.planned, running = excluded.running, busy = excluded.busy,
    seq = excluded.seq, revision = excluded.revision, in_lanes = excluded.in_lanes, reported_at = clock_timestamp()`)

// Say records what a node runs.
func Say(ctx context.Context, db *store.DB, n Node, reports []Report) error {
	var queues pq.StringArray
	columns := make([]pq.Int64Array, 5)
	var inLanes pq.BoolArray
	for _, r := range reports {
		queues, inLanes = append(queues, r.Queue), append(inLanes, r.InLanes)
		for i, v := range []int64{int64(r.Slots), int64(r.Running), int64(r.Busy), r.Seq, r.Revision} {
			columns[i] = append(columns[i], v)
		}
	}
	return pg.WriteAlone(ctx, db, "reporting the slots of node "+n.ID, report, n.ID, queues, columns[0], columns[1], columns[2], columns[3], columns[4], inLanes)
}

var (
	leaveNode   = pg.SQL(`DELETE FROM worker_node WHERE id = $1 AND term = $2`)
	leaveReport = pg.SQL(`WITH work AS (DELETE FROM worker_work WHERE node = $1) DELETE FROM worker_report WHERE node = $1`)
	forgetNodes = pg.SQL(`
WITH gone AS (DELETE FROM worker_node WHERE lease_until < clock_timestamp() - interval '1 hour' RETURNING id),
work AS (DELETE FROM worker_work w USING gone WHERE w.node = gone.id)
DELETE FROM worker_report r USING gone WHERE r.node = gone.id`)
	readNodes       = pg.SQL(`SELECT ` + nodeColumns + ` FROM worker_node ORDER BY id`)
	readPools       = pg.SQL(`SELECT ` + poolColumns + ` FROM worker_pool ORDER BY queue`)
	readAssignments = pg.SQL(`SELECT queue, node, slots FROM worker_assignment ORDER BY queue, node`)
	readReports     = pg.SQL(`SELECT node, queue, planned AS slots, running, busy, seq, revision, in_lanes FROM worker_report ORDER BY queue, node`)
)

// Leave forgets a node that ends, so that the leader need not wait for its lease.
func Leave(ctx context.Context, db *store.DB, n Node) error {
	err := db.InTx(ctx, func(tx store.Tx) error {
		left, err := pg.Exec(ctx, tx, leaveNode, n.ID, n.Term)
		if err != nil || left == 0 {
			return err
		}
		if _, err := pg.Exec(ctx, tx, leaveReport, n.ID); err != nil {
			return err
		}
		return hint(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("leaving as node %s: %w", n.ID, err)
	}
	return nil
}
