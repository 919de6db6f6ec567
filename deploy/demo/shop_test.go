package demo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/stockview"
)

// Without a delivery the shop sells what it began with and no more, and nothing
// appears or vanishes but by what is said: but for what is taken unseen.
func TestShelvesAddUp(t *testing.T) {
	t.Parallel()
	shop := newShop(t, 1)
	book := map[masterdata.PositionKey]int64{}
	var total Tally
	stolen, ids := int64(0), map[string]bool{}
	for date := event.Date(opening); date < "2026-03-02"; date = date.AddDays(1) {
		before := onShelves(shop)
		said := liveDay(t, shop, date)
		total.add(said.Said)
		moved := int64(0)
		for _, e := range said.all {
			if ids[e.ID.String()] {
				t.Fatalf("%s of %s has the id of another event", e.AggregateID, date)
			}
			ids[e.ID.String()] = true
			moved += apply(book, e)
		}
		stolen += before + moved - onShelves(shop)
	}
	for key, n := range book {
		if gap := n - shop.shelf[key]; n < 0 || gap < 0 {
			t.Errorf("%v: %d by the book, %d on the shelf", key, n, shop.shelf[key])
		}
	}
	if total.Lost.IsZero() || total.Wanted.Sub(total.Lost).Cmp(total.Sold) != 0 {
		t.Errorf("wanted %s, lost %s, sold %s", total.Wanted, total.Lost, total.Sold)
	}
	for name, n := range map[string]event.Decimal{"returned": total.Returned, "moved": total.Moved, "damaged": total.Damaged, "opening": total.Opening} {
		if n.Sign() <= 0 {
			t.Errorf("nothing was %s", name)
		}
	}
	if total.Counts <= int64(len(products)) || stolen <= 0 {
		t.Errorf("%d positions counted, %d pieces taken unseen", total.Counts, stolen)
	}
}

// In the evening goes to the bin what expires, as far as it is there, and nothing else.
func TestThrowAway(t *testing.T) {
	t.Parallel()
	shop := newShop(t, 1)
	milk, bread := shop.key(products[10], places[0]), shop.key(products[15], places[0])
	shop.shelf[milk], shop.shelf[bread] = 10, 2
	tonight, tomorrow, gone := 0, 1, -2
	lots := []lots.OnHandLots{
		{Tenant: Tenant, Item: milk.Item, Location: milk.Location, Lots: []lots.LotOnHand{
			{DaysLeft: &gone, Quantity: event.NewDecimal(1)}, {DaysLeft: &tonight, Quantity: event.NewDecimal(3)},
			{DaysLeft: &tomorrow, Quantity: event.NewDecimal(5)}, {Quantity: event.NewDecimal(1)}}},
		{Tenant: Tenant, Item: bread.Item, Location: bread.Location, Lots: []lots.LotOnHand{{DaysLeft: &tonight, Quantity: event.NewDecimal(4)}}},
	}
	said := Said{}
	shop.throwAway(&said, event.Date("2026-02-10").Time(), lots)
	var total Tally
	total.add(said)
	if shop.shelf[milk] != 6 || shop.shelf[bread] != 0 || total.Expired.String() != "6" || len(said.Logged) != 2 {
		t.Errorf("%d and %d are left, %s thrown away in %d events", shop.shelf[milk], shop.shelf[bread], total.Expired, len(said.Logged))
	}
}

// The same seed says the same bytes.
func TestSameSeedSameEvents(t *testing.T) {
	t.Parallel()
	var texts [2]strings.Builder
	for i := range texts {
		shop := newShop(t, 5)
		for date := event.Date(opening); date < "2026-02-09"; date = date.AddDays(1) {
			said := liveDay(t, shop, date)
			for _, e := range said.all {
				texts[i].Write(e.Body)
			}
		}
	}
	if texts[0].String() != texts[1].String() {
		t.Error("one seed, two stories")
	}
}

// A shop taken up again goes on with the next day and the goods that were on the road.
func TestResume(t *testing.T) {
	t.Parallel()
	shop := newShop(t, 1)
	stock := []stockview.Stock{{Tenant: Tenant, Item: "MUG-STN-035", Location: storeNorth, OnHand: event.NewDecimal(4)}}
	if err := shop.Resume("2026-02-10", stock, []Underway{{"T-1", "MUG-STN-035", storeNorth, event.NewDecimal(3)}}); err != nil {
		t.Fatal(err)
	}
	if first, _ := shop.Days(); first != "2026-02-11" {
		t.Errorf("it goes on with %s", first)
	}
	said, err := shop.Morning("2026-02-11")
	if err != nil || len(said.Logged) != 1 {
		t.Fatalf("the morning says %d events, %v", len(said.Logged), err)
	}
	receipt, ok := said.Logged[0].Payload.(event.ReceiptCompleted)
	if !ok || receipt.TransferID != "T-1" || onShelves(shop) != 7 {
		t.Errorf("the morning says %+v, %d pieces are there", said.Logged[0].Payload, onShelves(shop))
	}
}

// lived is a day with its events in the order of its parts.
type lived struct {
	Said
	all []event.Any
}

func liveDay(t *testing.T, shop *Shop, date event.Date) (day lived) {
	t.Helper()
	for _, part := range []func() (Said, error){
		func() (Said, error) { return shop.Morning(date) },
		func() (Said, error) { return shop.Trade(t.Context(), date) },
		func() (Said, error) { return shop.Evening(date, nil) },
	} {
		said, err := part()
		if err != nil {
			t.Fatal(err)
		}
		day.Logged, day.Direct = append(day.Logged, said.Logged...), append(day.Direct, said.Direct...)
		day.all = append(append(day.all, said.Logged...), said.Direct...)
		day.Wanted, day.Lost = day.Wanted+said.Wanted, day.Lost+said.Lost
	}
	return day
}

// onShelves counts what lies in the shop and what is on its roads.
func onShelves(shop *Shop) (n int64) {
	for _, pieces := range shop.shelf {
		n += pieces
	}
	for _, m := range shop.underway {
		n += m.pieces
	}
	return n
}

// apply books an event as the ledger does and gives by how much it changed what
// is on the shelves and roads.
func apply(book map[masterdata.PositionKey]int64, e event.Any) (change int64) {
	key := func(item, location string) masterdata.PositionKey {
		return masterdata.PositionKey{Tenant: e.TenantID, Item: item, Location: location}
	}
	switch p := e.Payload.(type) {
	case event.SaleCompleted:
		change = -p.Quantity.IntPart()
		book[key(p.ItemID, p.LocationID)] += change
	case event.ReceiptCompleted:
		book[key(p.ItemID, p.LocationID)] += p.Quantity.IntPart()
		if p.TransferID == "" {
			change = p.Quantity.IntPart()
		}
	case event.TransferInitiated:
		book[key(p.ItemID, p.FromLocationID)] -= p.Quantity.IntPart()
	case event.StockAdjusted:
		change = p.Quantity.IntPart()
		book[key(p.ItemID, p.LocationID)] += change
	case event.StockCounted:
		if e.AggregateID[:7] == "OPENING" {
			change = p.Quantity.IntPart()
		}
		book[key(p.ItemID, p.LocationID)] = p.Quantity.IntPart()
	default:
		panic(fmt.Sprintf("the shop says %s", e.Type))
	}
	return change
}
