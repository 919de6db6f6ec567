package workers_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	storelots "github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/projection"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/lots"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func projectionOf(t testing.TB, name string) projection.Projection {
	t.Helper()
	i := slices.IndexFunc(workers.Projections(), func(p projection.Projection) bool { return p.Name == name })
	return workers.Projections()[i]
}

// warehouse is a lots worker with the log that it has handled, but for what it still has in its queue.
type warehouse struct {
	*workertest.Env
	worker worker.Worker
	items  int // how many there are
	onHand map[string]event.Decimal
	count  map[string]int64
	at     time.Time
	told   map[string]int // how often a lot was said to expire
}

// moves are random movements of a few items, some days long: receipts with and without a date, and sales.
func (w *warehouse) moves(random *rand.Rand, n int) []event.Any {
	events := make([]event.Any, n)
	for i := range events {
		item := fmt.Sprint("item-", random.IntN(w.items))
		change := workertest.Decimal(fmt.Sprint(-1 - random.IntN(4)))
		p := event.InventoryUpdated{ItemID: item, LocationID: "shop", TransactionID: "x", TransactionType: event.TransactionSale}
		if random.IntN(3) == 0 {
			change = workertest.Decimal(fmt.Sprint(1 + random.IntN(12)))
			p.TransactionType, p.LotNumber = event.TransactionReceipt, []string{"", "A", "B"}[random.IntN(3)]
			p.ExpiryDate = []event.Date{"", "2024-03-25", "2024-04-05"}[random.IntN(3)]
		}
		w.onHand[item] = w.onHand[item].Add(change)
		w.count[item]++
		w.at = w.at.Add(20 * time.Minute)
		p.Change, p.OnHand, p.Available = change, w.onHand[item], w.onHand[item]
		events[i] = workertest.Event(w, p, func(env *event.Envelope) {
			env.AggregateID, env.Timestamp, env.Metadata.Sequence = item+"@shop", w.at, w.count[item]
		})
	}
	w.Must(w.InTx(w.Context(), func(tx store.Tx) error { return eventlog.Append(w.Context(), tx, events) }))
	return events
}

func (w *warehouse) handle(events []event.Any) {
	w.Helper()
	for batch := range slices.Chunk(events, 20) {
		for _, e := range storetest.MustGet(workertest.Handle(w, w.DB, w.worker, batch...))(w) {
			if p, is := e.Payload.(event.LotExpiring); is {
				w.told[p.ItemID+" "+p.LotNumber+" "+string(p.ExpiryDate)]++
			}
		}
	}
}

func (w *warehouse) tick() {
	w.Helper()
	w.Expire("ticker")
	w.NewTicker().Tick()
}

// standing are all lots, as a planner sees them.
func (w *warehouse) standing() string {
	w.Helper()
	text, err := json.Marshal(storetest.MustGet(storelots.OnHand(w.Context(), w.DB, masterdata.PositionKey{}))(w))
	w.Must(err)
	return string(text)
}

// The lots rebuilt from the log are those that the worker has kept, and take their place while events wait for it; what
// was said to expire is not said again.
func TestLotsAreRebuiltAndSwitched(t *testing.T) {
	t.Parallel()
	w := &warehouse{
		Env: workertest.NewDatabaseEnv(t), worker: lots.New(), items: 5, at: workertest.Day, onHand: map[string]event.Decimal{}, count: map[string]int64{}, told: map[string]int{},
	}
	random, p, by := rand.New(rand.NewPCG(7, 7)), projectionOf(t, "lots"), operatorlog.By{Operator: "ann", Reason: "test"}
	ctx := t.Context()
	w.handle(w.moves(random, 400))
	queue := w.moves(random, 40)
	w.handle(queue[20:]) // an item's movements do not come in order
	w.tick()
	w.Must(projection.Rebuild(ctx, w.DB, p, "test", by, nil))
	diff := func(when string) projection.Report {
		report := storetest.MustGet(projection.Diff(ctx, w.DB, p, "test", 5))(t)
		if report.Totals[0].Same == 0 || report.Totals[1].Same == 0 {
			t.Errorf("%s: the diff compares nothing: %+v", when, report)
		}
		return report
	}
	if report := diff("rebuilt"); report.Differs() {
		t.Fatalf("rebuilt they differ: %+v", report)
	}
	if len(w.told) == 0 {
		t.Fatal("no lot was said to expire: the test says nothing")
	}
	right := w.standing()
	w.Exec(`UPDATE lot SET quantity = quantity + 1 WHERE ctid = (SELECT max(ctid) FROM lot)`)
	if report := diff("with a damaged row"); report.Totals[1].Changed != 1 {
		t.Errorf("a damaged row is no difference: %+v", report)
	}
	w.Must(projection.Switch(ctx, w.DB, p, "test", by))
	if got := w.standing(); got != right {
		t.Errorf("after the switch the lots are\n%s\nwant\n%s", got, right)
	}
	w.handle(queue[:20])
	w.handle(queue) // again, as after a crash
	w.items = 8     // new ones have ids of their own
	w.handle(w.moves(random, 200))
	for item, sum := range w.onHand {
		got := storetest.One[string](t, w.SQL(), `
SELECT (coalesce((SELECT sum(quantity) FROM lot WHERE balance_id = b.id), 0) - b.shortfall)::text FROM lot_balance b WHERE item_id = $1`, item)
		if !workertest.Decimal(got).Equal(sum) {
			t.Errorf("of %s there is %s by its lots, want %s", item, got, sum)
		}
	}
	for lot, n := range w.told {
		if n != 1 {
			t.Errorf("lot %s was said to expire %d times", lot, n)
		}
	}
}
