package cli_test

import (
	"database/sql"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/chaos/laneorder"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// orderedNodes are processes that run stockview, an ordered worker, and movements of positions for them.
type orderedNodes struct {
	*environment
	look  *sql.DB
	nodes []*fleet
	sent  int64 // movements of each position
}

// movedPositions is how many positions move.
const movedPositions = 48

func newOrderedNodes(t *testing.T) *orderedNodes {
	t.Helper()
	h := newEnvironment(t)
	h.ok("migrate", "up")
	h.ok("topology", "apply")
	look, err := sql.Open("postgres", h.database)
	storetest.Must(t, err)
	t.Cleanup(func() { look.Close() })
	storetest.Must(t, laneorder.Watch(t.Context(), look, "stockview"))
	h.part("metrics at ", "relay")
	return &orderedNodes{environment: h, look: look}
}

// node starts a node that reaches the database by a URL.
func (o *orderedNodes) node(database string) *fleet {
	o.Helper()
	path, err := program()
	storetest.Must(o, err)
	f := o.start(path, append(o.variables(), "COMPOSERP_DATABASE_URL="+database), "metrics at ", "worker", "run", "stockview")
	f.isUp(o.T)
	joined := fmt.Sprintf(`SELECT EXISTS (SELECT FROM worker_node WHERE id LIKE '%%#%d')`, f.cmd.Process.Pid)
	localtest.Eventually(o, time.Minute, "the process is a node", func() bool { return storetest.One[bool](o, o.look, joined) })
	return f
}

// join starts some more nodes, and scales the worker to two slots for each, and for one more.
func (o *orderedNodes) join(n int) {
	o.Helper()
	for range n {
		o.nodes = append(o.nodes, o.node(o.database))
	}
	o.ok("scale", fmt.Sprintf("stockview=%d", 2*len(o.nodes)+2), "--wait")
}

// lanesOf is how many lanes a node has and is not giving up; of all living nodes for nil.
func (o *orderedNodes) lanesOf(f *fleet) int {
	o.Helper()
	like := "%"
	if f != nil {
		like = fmt.Sprintf("%%#%d", f.cmd.Process.Pid)
	}
	return storetest.Value[int](o, o.database, `
SELECT count(*) FROM lane l JOIN worker_node n ON n.id = l.node AND n.term = l.node_term AND n.lease_until > clock_timestamp()
WHERE l.lane >= 0 AND NOT l.leaving AND l.node LIKE $1`, like)
}

// settled waits until the queue has that many lanes, and each a living node.
func (o *orderedNodes) settled(lanes int) {
	o.Helper()
	o.until(fmt.Sprintf("%d lanes have nodes", lanes), func() bool {
		return o.lanesOf(nil) == lanes && storetest.Value[bool](o, o.database, `SELECT consumed = $1 AND routed = $1 AND former IS NULL FROM lane_set`, lanes)
	})
}

// owner takes the node out of the list that has most lanes.
func (o *orderedNodes) owner() *fleet {
	o.Helper()
	most := slices.MaxFunc(o.nodes, func(a, b *fleet) int { return o.lanesOf(a) - o.lanesOf(b) })
	if o.lanesOf(most) == 0 {
		o.Fatal("no node has lanes")
	}
	o.nodes = slices.DeleteFunc(o.nodes, func(f *fleet) bool { return f == most })
	return most
}

// load logs ten movements of each position a second until stop is called, unless far too many wait: what a stopped node
// holds does not keep others from having newer ones.
func (o *orderedNodes) load() (stop func()) {
	o.Helper()
	const mostWaiting = 20_000
	db := storetest.Open(o, o.database, 1)
	ask, stopped, pace := make(chan struct{}), make(chan struct{}), time.NewTicker(time.Second)
	go func() {
		defer close(stopped)
		defer pace.Stop()
		for {
			select {
			case <-o.Context().Done():
				return
			case <-ask:
				return
			case <-pace.C:
			}
			handled, _, err := laneorder.Read(o.Context(), o.look)
			if err != nil || int(o.sent)*movedPositions-handled > mostWaiting {
				continue
			}
			if _, err := eventlog.AdmitOnce(o.Context(), db, o.movements(10), true); err != nil {
				o.Errorf("logging movements: %v", err)
				return
			}
		}
	}()
	return func() { close(ask); <-stopped }
}

// movements are the next of each position, mixed.
func (o *orderedNodes) movements(each int) (events []event.Any) {
	for range each {
		o.sent++
		for p := range movedPositions {
			item := fmt.Sprintf("item-%02d", p)
			events = append(events, workertest.Event(o, event.InventoryUpdated{
				ItemID: item, LocationID: "shop", OnHand: event.NewDecimal(-o.sent), Available: event.NewDecimal(-o.sent), Change: event.NewDecimal(-1),
				TransactionID: "x", TransactionType: event.TransactionSale,
			}, func(env *event.Envelope) { env.AggregateID, env.Metadata.Sequence = item, o.sent }))
		}
	}
	return events
}

// wantInOrder waits until every movement is handled, and fails unless each was so once and in order.
func (o *orderedNodes) wantInOrder() {
	o.Helper()
	all := int(o.sent) * movedPositions
	o.until(fmt.Sprintf("%d movements are handled", all), func() bool {
		return storetest.Value[int](o, o.database, `SELECT count(DISTINCT event_id) FROM watched_claim`) == all
	})
	handled, late, err := laneorder.Read(o.Context(), o.look)
	if err != nil || handled != all {
		o.Errorf("%d movements were handled in lanes (%v), want each of %d once", handled, err, all)
	}
	for _, l := range late {
		o.Error(l)
	}
	if n := storetest.Value[int](o, o.database, `SELECT count(*) FROM stock WHERE sequence = $1 AND on_hand = -$1`, o.sent); n != movedPositions {
		o.Errorf("%d positions stand at their last movement, want %d", n, movedPositions)
	}
	o.Logf("%d movements were handled", handled)
}

// Owners of lanes are killed, stopped for longer than their lease and told to end while movements flow, nodes come and
// go, and the number of lanes changes. No position's movements are handled in another order, and none is lost.
func TestLanesKeepOrderWhileOwnersDie(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: make test-faults")
	}
	o := newOrderedNodes(t)
	cut := workertest.NewLink(t, o.database)
	lonely := o.node(cut.URL)
	o.join(3)
	o.ok("lanes", "set", "stockview", "16", "--wait")
	stop := o.load()

	o.owner().kill(t)
	o.settled(16)
	o.join(3)

	o.ok("lanes", "set", "stockview", "32")
	o.owner().kill(t)
	o.settled(32)

	// What the broker sends a stopped process stays in hand there, while another node owns its lanes.
	stopped := o.owner()
	storetest.Must(t, stopped.cmd.Process.Signal(syscall.SIGSTOP))
	o.settled(32)
	o.ok("lanes", "set", "stockview", "8", "--wait")
	storetest.Must(t, stopped.cmd.Process.Signal(syscall.SIGCONT))
	o.until("it has lanes again", func() bool { return o.lanesOf(stopped) > 0 })

	// The same of a node whose connections to the broker live while it does not reach the database.
	cut.Break()
	o.until("others own its lanes", func() bool { return o.lanesOf(lonely) == 0 && o.lanesOf(nil) == 8 })
	cut.Restore()
	o.until("it has lanes again", func() bool { return o.lanesOf(lonely) > 0 })

	o.owner().stop(t)
	o.settled(8)
	stop()
	o.wantInOrder()
}
