// Package stockview keeps the stock read model: what a planner asks of a
// position. What stands there and when it last moved, whether it is low, what is
// on order and which order is next, and how long it will last.
//
// The view is made of events alone, and of nothing that other workers have written.
//
// # Invariant
//
// The view is the same in whatever order its events arrive, however often, by
// however many slots.
//
//   - Of a position's movements the one with the highest sequence stays.
//   - Orders and receipts are kept as their events have them, and what came for which
//     line is worked out from all of them in log order (supply.go).
//   - Of forecasts the one that starts last stays, of triggers the last in the log.
//
// All slots write in one order (positions, low stock, orders, supplies, outlook,
// each in key order), so that none waits for one that waits for it.
package stockview

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/again"
)

// Types are the events that the view is made of.
var Types = []event.Type{
	event.TypeInventoryUpdated, event.TypeInventoryLowStock, event.TypeReplenishmentTriggered, event.TypeForecastGenerated,
	event.TypePurchaseOrderCreated, event.TypePurchaseOrderApproved, event.TypePurchaseOrderCancelled, event.TypePurchaseOrderClosed,
}

// New declares the stockview worker.
func New() worker.Worker {
	return worker.New("stockview", worker.OnBatch(
		func(ctx context.Context, tx *worker.Tx, events []event.Any) error { return Fold(ctx, tx, events) }, Types...),
		worker.Linger(100*time.Millisecond), worker.Ordered(), again.Harmless())
}

// Fold sorts a batch by what each event tells, and writes each kind at once. A
// batch of sales, the hot one, is one statement.
func Fold(ctx context.Context, tx store.Tx, events []event.Any) error {
	n := newNews(len(events))
	for i := range events {
		n.read(&events[i])
	}
	if len(n.stock) > 0 {
		if err := stockview.UpdateStock(ctx, tx, slices.Collect(maps.Values(n.stock))); err != nil {
			return err
		}
	}
	if len(n.low) > 0 {
		if err := stockview.NoteLowStock(ctx, tx, slices.Collect(maps.Values(n.low))); err != nil {
			return err
		}
	}
	if err := n.supply(ctx, tx); err != nil {
		return err
	}
	if len(n.outlook) > 0 {
		return stockview.NoteOutlook(ctx, tx, slices.Collect(maps.Values(n.outlook)))
	}
	return nil
}

// news is what a batch tells, the newest of each kind and thing.
type news struct {
	stock    map[masterdata.PositionKey]stockview.Stock
	low      map[masterdata.PositionKey]stockview.LowStock
	orders   map[purchasing.OrderKey]stockview.OrderUpdate
	receipts map[masterdata.PositionKey][]stockview.SupplyReceipt
	outlook  map[masterdata.PositionKey]stockview.Outlook
}

func newNews(events int) *news {
	return &news{
		stock: make(map[masterdata.PositionKey]stockview.Stock, events), low: map[masterdata.PositionKey]stockview.LowStock{},
		orders: map[purchasing.OrderKey]stockview.OrderUpdate{}, receipts: map[masterdata.PositionKey][]stockview.SupplyReceipt{},
		outlook: map[masterdata.PositionKey]stockview.Outlook{},
	}
}

func (n *news) read(e *event.Any) {
	at := func(item, location string) masterdata.PositionKey {
		return masterdata.PositionKey{Tenant: e.TenantID, Item: item, Location: location}
	}
	switch p := e.Payload.(type) {
	case event.InventoryUpdated:
		n.moved(e, at(p.ItemID, p.LocationID), &p)
	case event.InventoryLowStock:
		key := at(p.ItemID, p.LocationID)
		if seen, ok := n.low[key]; !ok || seen.Sequence < e.Metadata.Sequence {
			n.low[key] = stockview.LowStock{PositionKey: key, Threshold: p.Threshold, Sequence: e.Metadata.Sequence, OccurredAt: e.Timestamp}
		}
	case event.PurchaseOrderCreated:
		n.created(e, p)
	case event.PurchaseOrderApproved:
		n.order(e, p.PurchaseOrderID, func(o *stockview.OrderUpdate) { o.Approved = true })
	case event.PurchaseOrderCancelled:
		n.order(e, p.PurchaseOrderID, func(o *stockview.OrderUpdate) { o.CancelledAt = &e.LogSeq })
	case event.PurchaseOrderClosed: // nothing more is awaited, as of a cancelled one
		n.order(e, p.PurchaseOrderID, func(o *stockview.OrderUpdate) { o.CancelledAt = &e.LogSeq })
	case event.ForecastGenerated:
		n.forecast(e, at(p.ItemID, p.LocationID), p)
	case event.ReplenishmentTriggered:
		n.triggered(e, at(p.ItemID, p.LocationID), p)
	}
}

func (n *news) moved(e *event.Any, key masterdata.PositionKey, p *event.InventoryUpdated) {
	if seen, ok := n.stock[key]; !ok || seen.Sequence < e.Metadata.Sequence {
		n.stock[key] = stockview.Stock{
			Tenant: key.Tenant, Item: key.Item, Location: key.Location,
			OnHand: p.OnHand, Reserved: p.Reserved, Available: p.Available,
			Sequence: e.Metadata.Sequence, LastMovement: e.Timestamp, LastType: string(p.TransactionType),
		}
	}
	if p.TransactionType == event.TransactionReceipt && p.Change.IsPositive() {
		n.receipts[key] = append(n.receipts[key], stockview.SupplyReceipt{EventID: e.ID, Seq: e.LogSeq, Sequence: e.Metadata.Sequence, Order: p.PurchaseOrderID, Quantity: p.Change})
	}
}
