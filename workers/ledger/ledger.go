// Package ledger keeps stock. It consumes the events of tills and warehouses, moves
// goods between locations, and emits the new state of each position.
//
// Goods come from somewhere and go somewhere: every event moves a quantity
// between the location it names and a counterpart, which for sales, receipts,
// losses and goods in transit is a virtual location. So the movements of an item
// always sum to zero, and a position is the sum of its movements.
//
// Stock may go negative: the till is right and the system is late. That is
// something to investigate, not an error.
package ledger

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/workers/worker"
)

// New declares the ledger worker.
func New() worker.Worker {
	return worker.New("ledger", worker.OnBatch(post,
		event.TypeSaleCompleted, event.TypeReceiptCompleted, event.TypeTransferInitiated, event.TypeStockAdjusted, event.TypeStockCounted))
}

// post moves the goods of a batch of events, in arrival order, set-based.
func post(ctx context.Context, tx *worker.Tx, events []event.Any) error {
	transfers := make([]transfer, len(events))
	keys := make([]masterdata.PositionKey, 0, 2*len(events))
	names := map[masterdata.ItemKey]string{}
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		t, err := read(e)
		if err != nil {
			return worker.Reject(err)
		}
		transfers[i], ids[i] = t, e.ID
		keys = append(keys, t.at, t.counterpart)
		if t.itemName != "" {
			names[masterdata.ItemKey{Tenant: t.at.Tenant, Item: t.at.Item}] = t.itemName
		}
	}
	positions, moved, err := ledger.LockUnmoved(ctx, tx, ids, keys, names)
	if err != nil {
		return err
	}
	b := book{tx: tx, positions: positions, changed: map[*ledger.Position]bool{}}
	for _, t := range transfers {
		if moved[t.cause.ID] {
			continue
		}
		if err := b.move(t); err != nil {
			return fmt.Errorf("moving the goods of %s: %w", t.cause.ID, err)
		}
	}
	return b.close(ctx)
}
