package stockview_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	storestockview "github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/stockview"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func updated(t *testing.T, item, location, onHand string, sequence int64) event.Any {
	t.Helper()
	return workertest.Event(t, event.InventoryUpdated{
		ItemID: item, LocationID: location, OnHand: workertest.Decimal(onHand), Available: workertest.Decimal(onHand), Quantity: workertest.Decimal("1"),
		TransactionID: "x", TransactionType: event.TransactionSale,
	}, func(env *event.Envelope) { env.Metadata.Sequence = sequence })
}

func low(t *testing.T, item, location, threshold string, sequence int64) event.Any {
	t.Helper()
	return workertest.Event(t, event.InventoryLowStock{
		ItemID: item, LocationID: location, Available: workertest.Decimal("0"), Threshold: workertest.Decimal(threshold),
	}, func(env *event.Envelope) { env.Metadata.Sequence = sequence })
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
			rows, err := storestockview.StockRows(t.Context(), db, masterdata.PositionKey{})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for i, r := range rows {
				if i > 0 {
					got += ", "
				}
				got += fmt.Sprintf("%s %s %s of %d", r.Item, r.Location, r.OnHand, r.Sequence)
				if r.Low {
					got += " low"
				}
				if !r.LastMovement.Equal(workertest.Day) || r.LastType != "SALE" || r.Tenant != workertest.Tenant {
					t.Errorf("want the last movement and whose it is, got %+v", r)
				}
			}
			if got != c.want {
				t.Errorf("want %s, got %s", c.want, got)
			}
		})
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
