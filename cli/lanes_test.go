package cli_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

// heldLanes is what `lanes describe` says of aggregates that are held.
type heldLanes struct {
	Held, Parked int
	Aggregates   []struct {
		AggregateID string
		Head        string
		Parked      int
		Dead        bool
	}
}

func (o *orderedNodes) held() (d heldLanes) {
	o.Helper()
	r := o.ok("lanes", "describe", "stockview", "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &d); err != nil {
		o.Fatalf("%v: %s", err, r.out)
	}
	return d
}

// An event that stockview refuses holds the rest of its position and no other. Once its cause is repaired, `dlq
// redrive` has it handled, and then what was parked behind it, in order.
func TestARedriveLetsAPositionGoOnInOrder(t *testing.T) {
	t.Parallel()
	o := newOrderedNodes(t)
	o.part("metrics at ", "worker", "run", "deadletterlog")
	o.join(1)
	o.ok("lanes", "set", "stockview", "4", "--wait")
	db := storetest.Open(t, o.database, 1)
	log := func(events []event.Any) {
		t.Helper()
		storetest.Must(t, db.InTx(t.Context(), func(tx store.Tx) error { return eventlog.Append(t.Context(), tx, events) }))
	}
	handled := func(item string) int {
		t.Helper()
		return storetest.Value[int](t, o.database, `SELECT coalesce(max(sequence), 0) FROM stock WHERE item_id = $1`, item)
	}
	events := o.movements(3)
	poison := &events[7]
	poison.Timestamp = time.Now().Add(100 * time.Hour)
	e, err := event.Encode(poison.Envelope, poison.Payload)
	storetest.Must(t, err)
	*poison = e
	log(events)
	const position = "item-07"
	o.until("the first movement is a dead letter, and the others are parked", func() bool {
		d := o.held()
		return d.Held == 1 && d.Parked == 2 && d.Aggregates[0].Dead
	})
	if a := o.held().Aggregates[0]; a.AggregateID != position || a.Head != poison.ID.String() {
		t.Errorf("held is %+v, want %s behind %s", a, position, poison.ID)
	}
	log(o.movements(2))
	o.until("other positions go on, and this one waits", func() bool {
		return storetest.Value[int](t, o.database, `SELECT count(*) FROM stock WHERE sequence = 5`) == movedPositions-1 && o.held().Parked == 4
	})
	if n := handled(position); n != 0 {
		t.Errorf("%s is at movement %d, want none handled", position, n)
	}

	o.ok("tenant", "set", "--tenant", poison.TenantID, "--max-ahead-hours", "200")
	o.ok("dlq", "redrive", "--queue", "stockview")
	o.wantInOrder()
	o.until("nothing is held", func() bool { d := o.held(); return d.Held == 0 && d.Parked == 0 })
}
