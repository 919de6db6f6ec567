package ledger

import (
	"context"

	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/workers/worker"
)

// nameOrders replaces the names of the receipts' orders by the ids of the orders that they mean.
func nameOrders(ctx context.Context, tx *worker.Tx, transfers []transfer) error {
	var names []purchasing.ReceiptName
	for _, t := range transfers {
		if t.purchaseOrderID != "" {
			names = append(names, purchasing.ReceiptName{PositionKey: t.at, Order: t.purchaseOrderID})
		}
	}
	if len(names) == 0 {
		return nil
	}
	ids, err := purchasing.NamedOrders(ctx, tx, names)
	if err != nil {
		return err
	}
	for i := range transfers {
		t := &transfers[i]
		if id, found := ids[purchasing.ReceiptName{PositionKey: t.at, Order: t.purchaseOrderID}]; found {
			t.purchaseOrderID = id
		}
	}
	return nil
}
