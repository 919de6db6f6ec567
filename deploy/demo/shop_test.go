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

// Without deliveries the shop sells its opening stock and no more. Every change of the stock has its event, except for
// thefts.
func TestStockAddsUp(t *testing.T) {
	t.Parallel()
	shop := newShop(t, 1)
	book := map[masterdata.PositionKey]int64{}
	var total Tally
	stolen, ids := int64(0), map[string]bool{}
	for date := event.Date(opening); date < "2026-03-02"; date = date.AddDays(1) {
		before := inStock(shop)
		activity := runDay(t, shop, date)
		total.add(activity.Activity)
		moved := int64(0)
		for _, e := range activity.all {
			if ids[e.ID.String()] {
				t.Fatalf("%s of %s has the id of another event", e.AggregateID, date)
			}
			ids[e.ID.String()] = true
			moved += apply(book, e)
		}
		stolen += before + moved - inStock(shop)
	}
	for key, n := range book {
		if gap := n - shop.onHand[key]; n < 0 || gap < 0 {
			t.Errorf("%v: %d by the events, %d in stock", key, n, shop.onHand[key])
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
		t.Errorf("%d positions counted, %d pieces stolen", total.Counts, stolen)
	}
}

// At closing the shop throws away the lots that expire, as far as they are in stock, and no other.
func TestDiscardExpired(t *testing.T) {
	t.Parallel()
	shop := newShop(t, 1)
	milk, bread := shop.key(products[10], locations[0]), shop.key(products[15], locations[0])
	shop.onHand[milk], shop.onHand[bread] = 10, 2
	tonight, tomorrow, gone := 0, 1, -2
	lots := []lots.OnHandLots{
		{Tenant: Tenant, Item: milk.Item, Location: milk.Location, Lots: []lots.LotOnHand{
			{DaysLeft: &gone, Quantity: event.NewDecimal(1)}, {DaysLeft: &tonight, Quantity: event.NewDecimal(3)},
			{DaysLeft: &tomorrow, Quantity: event.NewDecimal(5)}, {Quantity: event.NewDecimal(1)}}},
		{Tenant: Tenant, Item: bread.Item, Location: bread.Location, Lots: []lots.LotOnHand{{DaysLeft: &tonight, Quantity: event.NewDecimal(4)}}},
	}
	activity := Activity{}
	shop.discardExpired(&activity, event.Date("2026-02-10").Time(), lots)
	var total Tally
	total.add(activity)
	if shop.onHand[milk] != 6 || shop.onHand[bread] != 0 || total.Expired.String() != "6" || len(activity.Logged) != 2 {
		t.Errorf("%d and %d are left, %s thrown away in %d events", shop.onHand[milk], shop.onHand[bread], total.Expired, len(activity.Logged))
	}
}

// The same seed gives the same bytes.
func TestSameSeedSameEvents(t *testing.T) {
	t.Parallel()
	var texts [2]strings.Builder
	for i := range texts {
		shop := newShop(t, 5)
		for date := event.Date(opening); date < "2026-02-09"; date = date.AddDays(1) {
			activity := runDay(t, shop, date)
			for _, e := range activity.all {
				texts[i].Write(e.Body)
			}
		}
	}
	if texts[0].String() != texts[1].String() {
		t.Error("the same seed gives other events")
	}
}

// A shop resumes with the next day and the goods in transit.
func TestResume(t *testing.T) {
	t.Parallel()
	shop := newShop(t, 1)
	stock := []stockview.Stock{{Tenant: Tenant, Item: "MUG-STN-035", Location: storeNorth, OnHand: event.NewDecimal(4)}}
	if err := shop.Resume("2026-02-10", stock, []Transfer{{"T-1", "MUG-STN-035", storeNorth, event.NewDecimal(3)}}); err != nil {
		t.Fatal(err)
	}
	if first, _ := shop.Days(); first != "2026-02-11" {
		t.Errorf("it resumes with %s", first)
	}
	activity, err := shop.OpenDay("2026-02-11")
	if err != nil || len(activity.Logged) != 1 {
		t.Fatalf("opening the day gives %d events, %v", len(activity.Logged), err)
	}
	receipt, ok := activity.Logged[0].Payload.(event.ReceiptCompleted)
	if !ok || receipt.TransferID != "T-1" || inStock(shop) != 7 {
		t.Errorf("opening the day gives %+v, %d pieces are in stock", activity.Logged[0].Payload, inStock(shop))
	}
}

// dayRun is a day with its events in the order of its parts.
type dayRun struct {
	Activity
	all []event.Any
}

func runDay(t *testing.T, shop *Shop, date event.Date) (day dayRun) {
	t.Helper()
	for _, part := range []func() (Activity, error){
		func() (Activity, error) { return shop.OpenDay(date) },
		func() (Activity, error) { return shop.Trade(t.Context(), date) },
		func() (Activity, error) { return shop.CloseDay(date, nil) },
	} {
		activity, err := part()
		if err != nil {
			t.Fatal(err)
		}
		day.Logged, day.Direct = append(day.Logged, activity.Logged...), append(day.Direct, activity.Direct...)
		day.all = append(append(day.all, activity.Logged...), activity.Direct...)
		day.Wanted, day.Lost = day.Wanted+activity.Wanted, day.Lost+activity.Lost
	}
	return day
}

// inStock counts the pieces in stock and in transit.
func inStock(shop *Shop) (n int64) {
	for _, pieces := range shop.onHand {
		n += pieces
	}
	for _, m := range shop.inTransit {
		n += m.Quantity.IntPart()
	}
	return n
}

// apply books an event as the ledger does and gives the change of the pieces in stock and in transit.
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
		panic(fmt.Sprintf("the shop publishes %s", e.Type))
	}
	return change
}
