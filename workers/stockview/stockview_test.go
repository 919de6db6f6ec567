package stockview_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/parking"
	storestockview "github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/stockview"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func updated(t *testing.T, item, location, onHand string, sequence int64) event.Any {
	t.Helper()
	return workertest.Event(t, event.InventoryUpdated{
		ItemID: item, LocationID: location, OnHand: workertest.Decimal(onHand), Available: workertest.Decimal(onHand), Change: workertest.Decimal("1"),
		TransactionID: "x", TransactionType: event.TransactionSale,
	}, func(env *event.Envelope) { env.AggregateID, env.Metadata.Sequence = item+"@"+location, sequence })
}

func low(t *testing.T, item, location, threshold string, sequence int64) event.Any {
	t.Helper()
	return workertest.Event(t, event.InventoryLowStock{
		ItemID: item, LocationID: location, Available: workertest.Decimal("0"), Threshold: workertest.Decimal(threshold),
	}, func(env *event.Envelope) { env.Metadata.Sequence = sequence })
}

// view is what the view shows: on hand and the sequence of each position.
func view(t *testing.T, db *store.DB) (shown string) {
	t.Helper()
	rows := storetest.MustGet(storestockview.StockRows(t.Context(), db, masterdata.PositionKey{}))(t)
	for i, r := range rows {
		if i > 0 {
			shown += ", "
		}
		shown += fmt.Sprintf("%s %s %s of %d", r.Item, r.Location, r.OnHand, r.Sequence)
		if r.Low {
			shown += " low"
		}
		if !r.LastMovement.Equal(workertest.Day) || r.LastType != "SALE" || r.Tenant != workertest.Tenant {
			t.Errorf("want the last movement and whose it is, got %+v", r)
		}
	}
	return shown
}

// Whatever order events come in, in one batch or in several, the view shows the
// position as the event with the highest sequence told it.
func TestTheViewNeverGoesBack(t *testing.T) {
	t.Parallel()
	one, two, three := updated(t, "cup", "shop", "1", 1), updated(t, "cup", "shop", "2", 2), updated(t, "cup", "shop", "3", 3)
	isLow := low(t, "cup", "shop", "2.5", 2)
	for name, c := range map[string]struct {
		batches [][]event.Any
		want    string
	}{
		"in order, one batch":           {[][]event.Any{{one, two, three}}, "cup shop 3 of 3"},
		"turned round, one batch":       {[][]event.Any{{three, one, two}}, "cup shop 3 of 3"},
		"in order, batch by batch":      {[][]event.Any{{one}, {two}, {three}}, "cup shop 3 of 3"},
		"turned round, batch by batch":  {[][]event.Any{{three}, {two}, {one}}, "cup shop 3 of 3"},
		"one missing":                   {[][]event.Any{{three}, {one}}, "cup shop 3 of 3"},
		"the same again":                {[][]event.Any{{two}, {two, two}}, "cup shop 2 of 2"},
		"low":                           {[][]event.Any{{two, isLow}}, "cup shop 2 of 2 low"},
		"low, told before the position": {[][]event.Any{{isLow}, {two}}, "cup shop 2 of 2 low"},
		"low no more":                   {[][]event.Any{{two, isLow}, {three}}, "cup shop 3 of 3"},
		"low no more, turned round":     {[][]event.Any{{three}, {isLow}, {two}}, "cup shop 3 of 3"},
		"two places": {[][]event.Any{{two, updated(t, "cup", "store", "7", 1)}},
			"cup shop 2 of 2, cup store 7 of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.DB(t)
			for _, batch := range c.batches {
				if said, err := workertest.Handle(t, db, stockview.New(), batch...); err != nil || len(said) != 0 {
					t.Fatalf("want no word, got %d events and %v", len(said), err)
				}
			}
			if got := view(t, db); got != c.want {
				t.Errorf("want %s, got %s", c.want, got)
			}
		})
	}
}

// Which aggregates are held is asked, under a lock, only while one is: then what is behind its head is kept back, in
// the same batch with events that go on.
func TestEventsBehindAHeldOneWait(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	w, ctx := stockview.New(), t.Context()
	handle := func(events ...event.Any) {
		t.Helper()
		storetest.MustGet(workertest.Handle(t, p.DB, w, events...))(t)
	}
	want := func(positions string) {
		t.Helper()
		if got := view(t, p.DB); got != positions {
			t.Errorf("the view shows %q, want %q", got, positions)
		}
	}
	cup, plate := updated(t, "cup", "shop", "1", 1), updated(t, "plate", "shop", "1", 1)
	release := storetest.Lock(t, p.URL, `LOCK TABLE held_aggregate IN EXCLUSIVE MODE`) // its rows can be read, not locked
	handle(cup, plate)
	release()
	want("cup shop 1 of 1, plate shop 1 of 1")

	held := parking.Aggregate{Tenant: cup.TenantID, ID: cup.AggregateID}
	failed := updated(t, "cup", "shop", "2", 2)
	storetest.Must(t, p.InTx(ctx, func(tx store.Tx) error {
		_, err := parking.Hold(ctx, tx, w.Name(), held, 0, failed.ID)
		return err
	}))
	behind := updated(t, "cup", "shop", "3", 3)
	handle(behind, updated(t, "plate", "shop", "2", 2))
	want("cup shop 1 of 1, plate shop 2 of 2")
	handle(failed)
	want("cup shop 2 of 2, plate shop 2 of 2")
	if list, err := parking.List(ctx, p.DB); err != nil || len(list) != 1 || list[0].Head != behind.ID {
		t.Errorf("held are %+v, %v: want the event behind it as the head", list, err)
	}
}

// Slots write the same positions at once, each in its own order: none waits for ever.
func TestManySlotsAtOnce(t *testing.T) {
	t.Parallel()
	const positions, batches = 20, 8
	db := storetest.DB(t)
	errs := make(chan error, batches)
	for b := range batches {
		var events []event.Any
		for i := range positions {
			events = append(events, updated(t, fmt.Sprintf("item-%d", i), "shop", fmt.Sprint(b+1), int64(b+1)))
		}
		if b%2 == 1 {
			slices.Reverse(events)
		}
		go func() {
			_, err := workertest.Handle(t, db, stockview.New(), events...)
			errs <- err
		}()
	}
	for range batches {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	rows, err := storestockview.StockRows(t.Context(), db, masterdata.PositionKey{})
	if err != nil || len(rows) != positions {
		t.Fatalf("want %d rows, got %d, %v", positions, len(rows), err)
	}
	for _, r := range rows {
		if r.Sequence != batches || r.OnHand.String() != fmt.Sprint(batches) {
			t.Errorf("want the last word on %s, got %s of %d", r.Item, r.OnHand, r.Sequence)
		}
	}
}
