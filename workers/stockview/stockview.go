// Package stockview keeps the stock read model: what stands where, and when it
// last moved.
package stockview

import (
	"context"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/worker"
)

// New declares the stockview worker.
func New() worker.Worker {
	return worker.New("stockview", worker.OnBatch(update, event.TypeInventoryUpdated))
}

// update keeps of each position the event with the highest sequence: events may
// come in any order, the view never goes back.
func update(ctx context.Context, tx *worker.Tx, events []event.Any) error {
	newest := map[store.PositionKey]store.Stock{}
	for _, e := range events {
		p := e.Payload.(event.InventoryUpdated)
		key := store.PositionKey{Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID}
		if seen, ok := newest[key]; ok && seen.Sequence >= e.Metadata.Sequence {
			continue
		}
		newest[key] = store.Stock{
			Tenant: key.Tenant, Item: key.Item, Location: key.Location,
			OnHand: p.OnHand, Reserved: p.Reserved, Available: p.Available,
			Sequence: e.Metadata.Sequence, LastMovement: e.Timestamp, LastType: string(p.TransactionType),
		}
	}
	rows := make([]store.Stock, 0, len(newest))
	for _, row := range newest {
		rows = append(rows, row)
	}
	return tx.UpdateStock(ctx, rows)
}
