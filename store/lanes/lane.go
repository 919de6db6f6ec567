package lanes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/scaling"
)

// Entrance is the lane number of the worker's own queue. While lanes are consumed, its owner puts messages into them;
// before that it empties the queue.
const Entrance = -1

// Lane is a lane that is consumed, and who handles it.
type Lane struct {
	Queue    string    `db:"queue" json:"queue"`
	Number   int       `db:"lane" json:"lane"`
	Node     *string   `db:"node" json:"node"` // nil: no node
	NodeTerm *int64    `db:"node_term" json:"-"`
	Term     int64     `db:"term" json:"-"`
	Leaving  bool      `db:"leaving" json:"leaving,omitempty"` // the owner is to give it up
	Drained  bool      `db:"drained" json:"drained,omitempty"` // it is empty, and nothing more comes: see the switch
	Since    time.Time `db:"since" json:"since"`               // when it was given to the node, or lost one
}

const laneColumns = `queue, lane, node, node_term, term, leaving, drained, since`

// ErrLost means that this process does not own the lane any more: another may handle it.
var ErrLost = errors.New("the lane has another owner")

var holdLane = pg.SQL(`SELECT lane FROM lane WHERE queue = $1 AND lane = $2 AND term = $3 AND node IS NOT NULL FOR SHARE`)

// Hold makes sure that no other owner of the lane commits anything before this transaction ends; ErrLost when another
// one may have done so already.
func Hold(ctx context.Context, tx store.Tx, l Lane) error {
	var number int
	err := pg.Get(ctx, tx, &number, holdLane, l.Queue, l.Number, l.Term)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("lane %d of %s: %w", l.Number, l.Queue, ErrLost)
	}
	return err
}

var releaseLane = pg.SQL(`
UPDATE lane SET node = NULL, node_term = NULL, term = nextval('lane_term'), leaving = false, since = clock_timestamp()
WHERE queue = $1 AND lane = $2 AND term = $3`)

// Release gives a lane up whose messages this process has returned or finished.
func Release(ctx context.Context, db *store.DB, l Lane) error {
	err := db.InTx(ctx, func(tx store.Tx) error {
		n, err := pg.Exec(ctx, tx, releaseLane, l.Queue, l.Number, l.Term)
		if err != nil || n == 0 {
			return err
		}
		return pg.Write(ctx, tx, "telling the leader", notifyLanes)
	})
	if err != nil {
		return fmt.Errorf("giving up lane %d of %s: %w", l.Number, l.Queue, err)
	}
	return nil
}

var drainLane = pg.SQL(`UPDATE lane SET drained = true WHERE queue = $1 AND lane = $2 AND term = $3`)

// Drained says that a lane whose Plan is Quiet was found empty.
func Drained(ctx context.Context, db *store.DB, l Lane) error {
	return pg.WriteAlone(ctx, db, fmt.Sprintf("noting that lane %d of %s is empty", l.Number, l.Queue), drainLane, l.Queue, l.Number, l.Term)
}

// Plan is what a node has to do with the lanes of a queue.
type Plan struct {
	Set
	Own []Lane
	// Quiet says that nothing more comes into the lanes that are consumed: what their owners find empty is drained.
	Quiet bool
	// Due are the values of aggregates whose parked events are to be handled now.
	Due []int
}

var (
	ownLanes = pg.SQL(`SELECT ` + laneColumns + ` FROM lane WHERE node = $1 AND node_term = $2 ORDER BY queue, lane`)
	// Nothing comes into old lanes once nothing is on its way out of the entrance, and nothing into the old queue but
	// what was there when its last slot had ended.
	noisy = pg.SQL(`
SELECT s.queue FROM lane_set s
WHERE s.consumed > 0 AND EXISTS (SELECT FROM lane l WHERE l.queue = s.queue AND l.lane = -1 AND l.node IS NOT NULL AND NOT l.drained)
   OR s.consumed = 0 AND EXISTS (SELECT FROM worker_report r JOIN worker_node n ON n.id = r.node WHERE r.queue = s.queue AND NOT r.in_lanes AND ` + scaling.AliveSQL + `)`)
	dueValues = pg.SQL(`
SELECT DISTINCT h.consumer, h.value FROM held_aggregate h JOIN parked_event p ON p.consumer = h.consumer AND p.event_id = h.head`)
)

// Plans returns what a node has to do, of every queue that ever had lanes.
func Plans(ctx context.Context, db *store.DB, n scaling.Node) (plans []Plan, err error) {
	tx, err := pg.BeginSnapshot(ctx, db)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	sets, err := pg.List[Set](ctx, tx, "reading the lanes of queues", readSets)
	if err != nil || len(sets) == 0 {
		return nil, err
	}
	own, err := pg.List[Lane](ctx, tx, "reading the lanes of node "+n.ID, ownLanes, n.ID, n.Term)
	if err != nil {
		return nil, err
	}
	loud, err := pg.Set[string](ctx, tx, "reading what comes into old lanes", noisy)
	if err != nil {
		return nil, err
	}
	due, err := pg.List[struct {
		Consumer string
		Value    int
	}](ctx, tx, "reading which parked events are due", dueValues)
	for _, s := range sets {
		p := Plan{Set: s, Quiet: s.Switching() && s.Calm && !loud[s.Queue]}
		for _, l := range own {
			if l.Queue == s.Queue {
				p.Own = append(p.Own, l)
			}
		}
		for _, d := range due {
			if d.Consumer == s.Queue {
				p.Due = append(p.Due, d.Value)
			}
		}
		plans = append(plans, p)
	}
	return plans, err
}

var readLanes = pg.SQL(`SELECT ` + laneColumns + ` FROM lane ORDER BY queue, lane`)

// All reads every lane that is consumed.
func All(ctx context.Context, db *store.DB) ([]Lane, error) {
	return pg.List[Lane](ctx, db, "reading the lanes", readLanes)
}

// UnownedAfter is for how long a lane may have no owner before that is a finding: longer than a dead node keeps it.
const UnownedAfter = 30 * time.Second

// A lane has no owner when no node has it, or when the node that has it is dead. Those of a paused queue wait on
// purpose, and those of a queue that the autoscaler lets sleep for their first message.
var unowned = pg.SQL(`
SELECT l.queue, count(*) AS lanes FROM lane l
LEFT JOIN worker_pool p ON p.queue = l.queue
LEFT JOIN worker_node n ON n.id = l.node AND n.term = l.node_term AND ` + scaling.AliveSQL + `
WHERE n.id IS NULL AND NOT coalesce(p.paused OR p.mode = 'auto' AND p.desired = 0, false) AND l.since < clock_timestamp() - make_interval(secs => $1)
  AND (l.lane >= 0 OR EXISTS (SELECT FROM lane_set s WHERE s.queue = l.queue AND s.routed > 0 AND (s.wanted > 0 OR s.routed <> s.consumed)))
GROUP BY l.queue ORDER BY l.queue`)

// Unowned counts, by queue, the lanes that have had no owner for UnownedAfter: their events wait.
func Unowned(ctx context.Context, db *store.DB) (map[string]int, error) {
	rows, err := pg.List[struct {
		Queue string
		Lanes int
	}](ctx, db, "reading which lanes have no owner", unowned, UnownedAfter.Seconds())
	counts := make(map[string]int, len(rows))
	for _, r := range rows {
		counts[r.Queue] = r.Lanes
	}
	return counts, err
}

var (
	lockLanes = pg.SQL(`SELECT ` + laneColumns + ` FROM lane ORDER BY queue, lane FOR NO KEY UPDATE`)
	readHosts = pg.SQL(`
SELECT o.queue, n.id AS node, n.term AS node_term, CASE WHEN coalesce(p.managed, false) THEN coalesce(a.slots, 0) ELSE o.slots END AS slots
FROM worker_node n CROSS JOIN unnest(n.queues, n.flag_slots) o(queue, slots)
JOIN worker_report r ON r.node = n.id AND r.queue = o.queue AND r.in_lanes
LEFT JOIN worker_pool p ON p.queue = o.queue
LEFT JOIN worker_assignment a ON a.queue = o.queue AND a.node = n.id
WHERE ` + scaling.AliveSQL + ` AND NOT n.draining AND NOT coalesce(p.paused, false) AND NOT o.queue = ANY (n.paused)
ORDER BY o.queue, n.id`)
	addLanes    = pg.SQL(`INSERT INTO lane (queue, lane) SELECT $1, n FROM unnest($2::int[]) n ON CONFLICT DO NOTHING`)
	takeLanes   = pg.SQL(`UPDATE lane SET node = NULL, node_term = NULL, term = nextval('lane_term'), leaving = false, since = clock_timestamp() WHERE queue = $1 AND lane = ANY ($2::int[])`)
	leaveLanes  = pg.SQL(`UPDATE lane SET leaving = true WHERE queue = $1 AND lane = ANY ($2::int[])`)
	giveLanes   = pg.SQL(`UPDATE lane SET node = $3, node_term = $4, term = nextval('lane_term'), leaving = false, since = clock_timestamp() WHERE queue = $1 AND lane = ANY ($2::int[])`)
	aliveOwners = pg.SQL(`SELECT id || ' ' || term FROM worker_node WHERE ` + scaling.AliveSQL)
)
