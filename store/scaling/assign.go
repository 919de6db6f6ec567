package scaling

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/internal/pg"
)

// Slots are numbers of slots by queue and node.
type Slots map[string]map[string]int

// Of is how many slots of a queue there are on all nodes.
func (s Slots) Of(queue string) (sum int) {
	for _, n := range s[queue] {
		sum += n
	}
	return sum
}

func (s Slots) set(queue, node string, slots int) {
	if s[queue] == nil {
		s[queue] = map[string]int{}
	}
	s[queue][node] = slots
}

// State is what the leader decides by.
type State struct {
	Pools    []Pool
	Nodes    []Node
	Assigned Slots
}

// Pool finds a queue's pool; the zero Pool, with its name, when it has none.
func (s State) Pool(queue string) Pool {
	for _, p := range s.Pools {
		if p.Queue == queue {
			return p
		}
	}
	return Pool{Queue: queue, Mode: "manual"}
}

// Living are the reports of nodes that are alive.
func (s State) Living(reports []Report) (living []Report) {
	for _, r := range reports {
		if slices.ContainsFunc(s.Nodes, func(n Node) bool { return n.ID == r.Node && n.Alive }) {
			living = append(living, r)
		}
	}
	return living
}

func read(ctx context.Context, tx store.Tx) (s State, reports []Report, err error) {
	if err := pg.Select(ctx, tx, &s.Pools, readPools); err != nil {
		return s, nil, err
	}
	if err := pg.Select(ctx, tx, &s.Nodes, readNodes); err != nil {
		return s, nil, err
	}
	var rows []struct {
		Queue, Node string
		Slots       int
	}
	if err := pg.Select(ctx, tx, &rows, readAssignments); err != nil {
		return s, nil, err
	}
	s.Assigned = Slots{}
	for _, r := range rows {
		s.Assigned.set(r.Queue, r.Node, r.Slots)
	}
	return s, reports, pg.Select(ctx, tx, &reports, readReports)
}

// Read returns the state and what the nodes report, at one moment.
func Read(ctx context.Context, db *store.DB) (s State, reports []Report, err error) {
	tx, err := pg.BeginSnapshot(ctx, db)
	if err != nil {
		return s, nil, err
	}
	defer func() { _ = tx.Rollback() }()
	if s, reports, err = read(ctx, tx); err != nil {
		return s, nil, fmt.Errorf("reading how the workers are scaled: %w", err)
	}
	return s, reports, nil
}

var endOverrides = pg.SQL(`
WITH ended AS (SELECT queue, desired, restored FROM worker_pool WHERE override_until <= clock_timestamp() FOR UPDATE),
restored AS (
    UPDATE worker_pool p SET desired = e.restored, restored = NULL, override_until = NULL, revision = revision + 1, updated_at = clock_timestamp(),
        reason = 'the time given by --for has passed'
    FROM ended e WHERE e.queue = p.queue)
INSERT INTO scale_event (queue, before, after, reason) SELECT queue, desired, restored, 'the time given by --for has passed' FROM ended`)

var writeAssignments = pg.SQL(`
INSERT INTO worker_assignment AS a (queue, node, slots) SELECT queue, node, slots FROM unnest($1::text[], $2::text[], $3::int[]) w(queue, node, slots)
ON CONFLICT (queue, node) DO UPDATE SET slots = excluded.slots`)

var deleteAssignments = pg.SQL(`
DELETE FROM worker_assignment a USING unnest($1::text[], $2::text[]) w(queue, node) WHERE a.queue = w.queue AND a.node = w.node`)

var markAssigned = pg.SQL(`
UPDATE worker_pool SET assigned = revision, managed = desired IS NOT NULL
WHERE queue = $1 AND revision = $2 AND (assigned <> revision OR managed <> (desired IS NOT NULL))`)

// Assign lets decide say how many slots each node runs of the queues that have a desired number, and writes what
// differs, under the leader's lease. It reports whether anything changed. ErrNotLeader: the lease has another term.
func Assign(ctx context.Context, db *store.DB, lease store.Lease, decide func(State, []Report) Slots) (changed bool, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		changed = false
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, endOverrides); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, forgetNodes); err != nil {
			return err
		}
		s, reports, err := read(ctx, tx)
		if err != nil {
			return err
		}
		failpoint.Hit("scaler.read")
		if changed, err = s.write(ctx, tx, decide(s, reports)); err != nil || !changed {
			return err
		}
		failpoint.Hit("scaler.assigned")
		return hint(ctx, tx)
	})
	if err != nil {
		return false, fmt.Errorf("assigning slots: %w", err)
	}
	if changed {
		failpoint.Hit("scaler.committed")
	}
	return changed, nil
}

// write writes the difference between what is assigned and what is to be.
func (s State) write(ctx context.Context, tx store.Tx, wanted Slots) (changed bool, err error) {
	var put, drop struct {
		queues, nodes pq.StringArray
		slots         pq.Int64Array
	}
	err = s.differences(wanted, func(queue, node string, before, after int) error {
		changed = true
		if after > 0 {
			put.queues, put.nodes, put.slots = append(put.queues, queue), append(put.nodes, node), append(put.slots, int64(after))
		} else {
			drop.queues, drop.nodes = append(drop.queues, queue), append(drop.nodes, node)
		}
		return event(ctx, tx, queue, node, &before, &after, "", s.because(queue, node))
	})
	if err == nil && len(put.queues) > 0 {
		_, err = pg.Exec(ctx, tx, writeAssignments, put.queues, put.nodes, put.slots)
	}
	if err == nil && len(drop.queues) > 0 {
		_, err = pg.Exec(ctx, tx, deleteAssignments, drop.queues, drop.nodes)
	}
	for _, p := range s.Pools {
		if err == nil && (p.Assigned != p.Revision || p.Managed != (p.Desired != nil)) {
			changed = true
			_, err = pg.Exec(ctx, tx, markAssigned, p.Queue, p.Revision)
		}
	}
	return changed, err
}

// differences calls do for each queue and node whose number changes, in order.
func (s State) differences(wanted Slots, do func(queue, node string, before, after int) error) error {
	all := Slots{}
	for _, slots := range []Slots{s.Assigned, wanted} {
		for queue, nodes := range slots {
			for node := range nodes {
				all.set(queue, node, 0)
			}
		}
	}
	for _, queue := range slices.Sorted(maps.Keys(all)) {
		for _, node := range slices.Sorted(maps.Keys(all[queue])) {
			before, after := s.Assigned[queue][node], wanted[queue][node]
			if before == after {
				continue
			}
			if err := do(queue, node, before, after); err != nil {
				return err
			}
		}
	}
	return nil
}

// because says why a node's slots of a queue change.
func (s State) because(queue, node string) string {
	i := slices.IndexFunc(s.Nodes, func(n Node) bool { return n.ID == node })
	switch {
	case i < 0:
		return "the node has left"
	case !s.Nodes[i].Alive:
		return "the node's lease has ended"
	case s.Nodes[i].Draining:
		return "the node drains"
	}
	if p := s.Pool(queue); p.Desired == nil {
		return "each node follows its flags"
	} else if p.Assigned == p.Revision {
		return "nodes have changed"
	}
	return "the desired number has changed"
}

// lookedThrough is how many places of the log behind the last message taken are looked through for the next one: a
// queue of rare events costs no more.
const lookedThrough = 20_000

var waitingSince = pg.SQL(`
SELECT q.queue, extract(epoch FROM clock_timestamp() - (
    SELECT e.logged_at FROM (SELECT l.type, l.logged_at FROM event_log l WHERE l.seq > q.seq ORDER BY l.seq LIMIT $4) e
    WHERE e.type = ANY (string_to_array(q.types, ' ')) LIMIT 1)) AS seconds
FROM unnest($1::text[], $2::bigint[], $3::text[]) q(queue, seq, types)`)

// Ages tells for how many seconds the oldest event that a queue's slots have not taken has been in the log: the
// first one of the queue's types behind the newest that they have taken. That one itself says nothing: a queue may
// have had no message for a night. A queue is left out where no slot has taken an event from the log yet, or where
// none is behind it, because what waits are retries or came straight over AMQP.
func Ages(ctx context.Context, db *store.DB, reports []Report, types map[string][]string) (map[string]float64, error) {
	newest := map[string]int64{}
	for _, r := range reports {
		newest[r.Queue] = max(newest[r.Queue], r.Seq)
	}
	queues, seqs, wanted := pq.StringArray{}, pq.Int64Array{}, pq.StringArray{}
	for queue, seq := range newest {
		if seq > 0 && len(types[queue]) > 0 {
			queues, seqs, wanted = append(queues, queue), append(seqs, seq), append(wanted, strings.Join(types[queue], " "))
		}
	}
	ages := make(map[string]float64, len(queues))
	if len(queues) == 0 {
		return ages, nil
	}
	rows, err := pg.List[struct {
		Queue   string
		Seconds *float64
	}](ctx, db, "reading the age of queued messages", waitingSince, queues, seqs, wanted, lookedThrough)
	for _, r := range rows {
		if r.Seconds != nil {
			ages[r.Queue] = *r.Seconds
		}
	}
	return ages, err
}
