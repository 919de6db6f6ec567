package demo

import (
	"github.com/composerp/composerp/exchange/event"
)

// Tally counts the pieces of the published events; Counts and Events are numbers of events.
type Tally struct {
	Sold     event.Decimal `json:"sold"`
	Returned event.Decimal `json:"returned"`
	Opening  event.Decimal `json:"opening"`  // received before the first day
	Received event.Decimal `json:"received"` // from suppliers
	Moved    event.Decimal `json:"moved"`    // sent to another location
	Damaged  event.Decimal `json:"damaged"`  // adjusted away
	Expired  event.Decimal `json:"expired"`  // thrown away
	Found    event.Decimal `json:"found"`    // adjusted upwards
	Counts   int64         `json:"counts"`   // positions counted
	Wanted   event.Decimal `json:"wanted"`   // what customers asked for
	Lost     event.Decimal `json:"lost"`     // wanted and not in stock
	Events   int64         `json:"events"`
}

func (t *Tally) add(activity Activity) {
	t.Wanted = t.Wanted.Add(event.NewDecimal(activity.Wanted))
	t.Lost = t.Lost.Add(event.NewDecimal(activity.Lost))
	for _, events := range [][]event.Any{activity.Logged, activity.Direct} {
		for i := range events {
			t.count(events[i].Payload)
		}
	}
}

func (t *Tally) count(p event.Payload) {
	t.Events++
	switch p := p.(type) {
	case event.SaleCompleted:
		if p.Quantity.IsNegative() {
			t.Returned = t.Returned.Sub(p.Quantity)
		} else {
			t.Sold = t.Sold.Add(p.Quantity)
		}
	case event.ReceiptCompleted:
		switch {
		case p.PurchaseOrderID != "":
			t.Received = t.Received.Add(p.Quantity)
		case p.TransferID == "":
			t.Opening = t.Opening.Add(p.Quantity)
		}
	case event.TransferInitiated:
		t.Moved = t.Moved.Add(p.Quantity)
	case event.StockAdjusted:
		switch {
		case p.Reason == expired:
			t.Expired = t.Expired.Sub(p.Quantity)
		case p.Quantity.IsNegative():
			t.Damaged = t.Damaged.Sub(p.Quantity)
		default:
			t.Found = t.Found.Add(p.Quantity)
		}
	case event.StockCounted:
		t.Counts++
	}
}
