package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// at gives an event another business time, of the same day.
func at(t *testing.T, e event.Any, hour, minute int) event.Any {
	t.Helper()
	day := workertest.Day.Truncate(24 * time.Hour)
	e.Timestamp = day.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
	made, err := event.Encode(e.Envelope, e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// The example of the package's documentation, event by event and in one batch.
func TestACountCorrectsTheStockOfItsTime(t *testing.T) {
	t.Parallel()
	steps := []struct {
		event event.Any
		said  string
	}{
		{at(t, workertest.Receipt(t, "cup", "shop", "100"), 8, 0), "shop 100 = 100 RECEIPT"},
		{at(t, workertest.Sale(t, "cup", "shop", "6"), 19, 0), "shop -6 = 94 SALE"},
		{at(t, workertest.Count(t, "cup", "shop", "100"), 18, 0), "shop 0 = 94 COUNT"},
		{at(t, workertest.Sale(t, "cup", "shop", "10"), 17, 0), "shop -10 = 84 SALE; shop 10 = 94 COUNT"},
		{at(t, workertest.Count(t, "cup", "shop", "80"), 16, 0), "shop -20 = 74 COUNT; shop 20 = 94 COUNT"},
		{at(t, workertest.Count(t, "cup", "shop", "90"), 20, 0), "shop -4 = 90 COUNT"},
		{at(t, workertest.Receipt(t, "cup", "shop", "5"), 20, 0), "shop 5 = 95 RECEIPT"},
	}
	for _, batch := range []int{1, 3, len(steps)} {
		url := storetest.URL(t)
		db := storetest.Open(t, url, 2)
		var want, got []string
		for part := range slices.Chunk(steps, batch) {
			var events []event.Any
			for _, s := range part {
				events, want = append(events, s.event), append(want, s.said)
			}
			for range 2 { // the second time nothing is said
				for _, e := range handle(t, db, events...) {
					got = append(got, say(t, e))
				}
			}
		}
		if all := strings.Join(want, "; "); strings.Join(got, "; ") != all {
			t.Errorf("in batches of %d:\n%s, want\n%s", batch, strings.Join(got, "; "), all)
		}
		if stock := onHand(t, url, "cup"); stock != "@customer 16, @loss -6, @supplier -105, shop 95" {
			t.Errorf("in batches of %d: %s", batch, stock)
		}
		wantBalance(t, url)
	}
}

// However events come, in whatever batches, the stock is what they give when they are sorted by business time.
func TestStockIsThatOfTheEventsSortedByTime(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	const positions = 8
	arrived := map[string][]event.Any{}
	for round := range 40 {
		var batch []event.Any
		for range 1 + random.IntN(12) {
			item, n := fmt.Sprint("item-", random.IntN(positions)), fmt.Sprint(1+random.IntN(20))
			var e event.Any
			switch random.IntN(5) {
			case 0, 1:
				e = workertest.Sale(t, item, "shop", n)
			case 2:
				e = workertest.Receipt(t, item, "shop", n)
			case 3:
				e = workertest.Adjustment(t, item, "shop", "-"+n)
			default:
				e = workertest.Count(t, item, "shop", n)
			}
			e = at(t, e, random.IntN(4), random.IntN(3))
			batch = append(batch, e)
			arrived[item] = append(arrived[item], e)
		}
		handle(t, db, batch...)
		for item, events := range arrived {
			want := sortedByTime(events)
			got := storetest.Value[string](t, url, `SELECT on_hand::text FROM position WHERE item_id = $1 AND location_id = 'shop'`, item)
			if got != want.String() {
				t.Fatalf("round %d: %s has %s on hand, and its %d events sorted by time give %s", round, item, got, len(events), want)
			}
		}
	}
	wantBalance(t, url)
}

// sortedByTime is the stock that the events of a position give in the order of their business time.
func sortedByTime(arrived []event.Any) (onHand event.Decimal) {
	sorted := slices.Clone(arrived)
	slices.SortStableFunc(sorted, func(a, b event.Any) int { return a.Timestamp.Compare(b.Timestamp) })
	for _, e := range sorted {
		switch p := e.Payload.(type) {
		case event.SaleCompleted:
			onHand = onHand.Sub(p.Quantity)
		case event.ReceiptCompleted:
			onHand = onHand.Add(p.Quantity)
		case event.StockAdjusted:
			onHand = onHand.Add(p.Quantity)
		case event.StockCounted:
			onHand = p.Quantity
		}
	}
	return onHand
}
