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
//
// # Receipts name orders
//
// A receipt names its order as the warehouse knows it. The ledger finds the order
// (purchasing.NamedOrders), and its INVENTORY_UPDATED carries the order's id: what
// the name meant when the goods came is in the log, and all consumers read the same.
// A name that means no order, or several, is carried on as it is.
//
// # Sums have a limit
//
// An event carries 15 integer digits. A movement that would lead a position beyond
// them is rejected, with nothing of it booked: its INVENTORY_UPDATED could not be
// made, neither now nor at the next try. Admission cannot foresee it, since it does
// not know the stock. The dead letter can be redriven once there is room.
//
// # A count has a time
//
// A count says what stood there at its business time; it may come hours later. So
// the stock is what the position's events give when they are sorted by business
// time, those of one moment in the order in which they came: a count sets it, the
// others add to it. The ledger keeps to that without sorting, by one movement more:
//
//   - A count moves the difference to the stock of its own time, which is the stock
//     now without the movements dated after it. They stand.
//   - What is dated before a count that is booked already was on the shelf or gone
//     when it was counted. It moves its quantity, and at the time of the next count
//     a correction moves it back: lines 2 and 3, of type COUNT.
//
// For example, of a position with 100 received at 8:00:
//
//	arrives                          books                      on hand
//	sale of 6 at 19:00               -6                         94
//	count of 100 at 18:00            0: at 18:00 there were 100 94
//	sale of 10 at 17:00, late        -10, and +10 at 18:00      94
//	count of 80 at 16:00, late       -20, and +20 at 18:00      94
//	count of 90 at 20:00             -4: at 20:00 there are 94  90
//	receipt of 5 at 20:00            +5: it came after it       95
//
// A correction is a movement like others: emitted, summed, audited. Movements are
// never changed, so a position built again from them is the same. What was booked
// before this rule was known stays as it is.
package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/shadow"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/again"
	"github.com/composerp/composerp/workers/worker/emits"
	"github.com/composerp/composerp/workers/worker/keeps"
)

// New declares the ledger worker.
func New() worker.Worker {
	return worker.New("ledger", countSales(), worker.OnBatch(post,
		event.TypeSaleCompleted, event.TypeReceiptCompleted, event.TypeTransferInitiated, event.TypeStockAdjusted, event.TypeStockCounted),
		emits.Types(event.TypeInventoryUpdated, event.TypeInventoryLowStock), again.Harmless(), keeps.Tables(tables...))
}

// tables are those that post writes.
var tables = []shadow.Table{
	{Name: "item", Key: []string{"tenant_id", "item_id"}, Except: []string{"first_seen"}},
	{Name: "location", Key: []string{"tenant_id", "location_id"}, Except: []string{"first_seen"}},
	{Name: "position", Key: []string{"tenant_id", "item_id", "location_id"}, Except: []string{"id"}},
	{Name: "movement", Key: []string{"event_id", "line"}, Except: []string{"position_id"}},
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
	if err := nameOrders(ctx, tx, transfers); err != nil {
		return err
	}
	positions, moved, err := ledger.LockUnmoved(ctx, tx, ids, keys, names)
	if err != nil {
		return err
	}
	transfers = slices.DeleteFunc(transfers, func(t transfer) bool { return moved[t.cause.ID] })
	b := book{tx: tx, positions: positions, changed: map[*ledger.Position]bool{}}
	if err := b.readSince(ctx, transfers); err != nil {
		return err
	}
	for i, t := range transfers {
		if err := b.move(i, t); err != nil {
			return fmt.Errorf("moving the goods of %s: %w", t.cause.ID, err)
		}
	}
	return b.close(ctx)
}
