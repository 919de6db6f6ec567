// Package stockview keeps the stock read model: what stands where, when it last
// moved, and whether it is low.
package stockview

import (
	"context"
	"maps"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/worker"
)

// New declares the stockview worker.
func New() worker.Worker {
	return worker.New("stockview", worker.OnBatch(update, event.TypeInventoryUpdated, event.TypeInventoryLowStock))
}

// update keeps of each position the event with the highest sequence: events may
// come in any order, the view never goes back.
func update(ctx context.Context, tx *worker.Tx, events []event.Any) error {
	stock, low := map[store.PositionKey]store.Stock{}, map[store.PositionKey]store.LowStock{}
	for _, e := range events {
		switch p := e.Payload.(type) {
		case event.InventoryUpdated:
			key := store.PositionKey{Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID}
			if seen, ok := stock[key]; !ok || seen.Sequence < e.Metadata.Sequence {
				stock[key] = store.Stock{
					Tenant: key.Tenant, Item: key.Item, Location: key.Location,
					OnHand: p.OnHand, Reserved: p.Reserved, Available: p.Available,
					Sequence: e.Metadata.Sequence, LastMovement: e.Timestamp, LastType: string(p.TransactionType),
				}
			}
		case event.InventoryLowStock:
			key := store.PositionKey{Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID}
			if seen, ok := low[key]; !ok || seen.Sequence < e.Metadata.Sequence {
				low[key] = store.LowStock{PositionKey: key, Threshold: p.Threshold, Sequence: e.Metadata.Sequence, SaidAt: e.Timestamp}
			}
		}
	}
	if len(stock) > 0 {
		if err := tx.UpdateStock(ctx, slices.Collect(maps.Values(stock))); err != nil {
			return err
		}
	}
	if len(low) > 0 {
		return tx.NoteLowStock(ctx, slices.Collect(maps.Values(low)))
	}
	return nil
}
