// Package replenishment orders items that run short. It keeps for each position
// what is on hand and on order, and when both together have fallen to the reorder
// point of the position's rule it makes one order.
//
// # Invariants
//
//   - The inventory position is on hand + on order + in transit - reserved. An order is made
//     only when it is at or below the reorder point, and lifts it above. So the
//     next event about the same need finds it met: however many events there are,
//     in whatever order, in however many slots.
//   - What is on order at a position is the sum of what its open lines await. Each
//     change of it is one booking, numbered; state, lines and bookings are written
//     in one transaction, together with their events.
//   - All of it happens under the lock of the position's row. Rows are locked in
//     key order, and nothing else that others wait for is taken before they are:
//     slots wait for each other, and do not deadlock.
//   - A receipt moves on hand up and on order down in the same transaction: it is
//     consumed as INVENTORY_UPDATED, which carries its quantity and its order, and
//     not as RECEIPT_COMPLETED. Else the position would dip between the two and be ordered twice.
//   - Goods in transit to a position are what transfers have sent there, less what has
//     come (transit.go): the same transaction moves them from in transit to on hand.
//   - Of a closed order nothing more is awaited, and its need is not held: what is short is ordered again at once.
//   - A cancelled need is held: it is not ordered again before an event of a later
//     business day at the position, or before its rule changes.
//   - History (metadata.history) changes what is on hand and on order, and orders nothing.
//   - No order is made for a position whose stock is not known: one with a rule alone,
//     or that only sales and returns have moved. A count of zero is enough.
//
// # What goes wrong, and what then
//
//	the event comes again         the inbox has it: nothing. Were it forgotten there, the
//	                              order would have the id it had, and the database refuses it
//	an old event comes late       sequence guards on hand; its receipt still counts
//	                              on order down, since no other event has, unless
//	                              the order was made with these goods in sight
//	a crash before the commit     nothing has happened; the broker delivers again
//	a crash after it              the order is in the log with its id; the relay publishes it
//	two slots, one position       the second waits for the first's commit, and reads what is
//	                              on order after it
//	a receipt of no known order   on hand goes up, and nothing was on order for it: the goods are there
//	more comes than was ordered   the line's rest leaves on order and no more
//	the cancellation comes after  the line is closed: nothing is on order for it, nothing is held
//	the goods
//	goods arrive before their     nothing is in transit by this transfer, neither before
//	transfer is known             nor after it is known
//	goods of a transfer arrive    they are not on their way any more; the position that they were
//	somewhere else                for is considered at its next event
//	the transfer is lost          it stays in transit: doctor and audit name it after transit_days
//	the goods come after the      on hand goes up; the line tells that they came
//	cancellation
//	the rule changes between its  the next event finds levels of another version of the rule, and
//	writing and RULE_CHANGED      makes them anew
//	no supplier, or no reorder    nothing is ordered
//	point
//	the price is not known, or    the order is made without it, and is for a person to decide
//	not in the location's
//	currency, or the total is
//	beyond what an
//	event can carry
//	a till's clock is ahead       admission bounds by how much; meanwhile the position's latest business
//	                              day is then, and a rejection is held until the rule changes
package replenishment

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/shadow"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/emits"
	"github.com/composerp/composerp/workers/worker/keeps"
)

// New declares the replenishment worker.
func New() worker.Worker {
	var known planning.Replenishments
	return worker.New("replenishment", worker.OnBatch(
		func(ctx context.Context, tx *worker.Tx, events []event.Any) error {
			return replenish(ctx, tx, &known, events)
		},
		event.TypeInventoryUpdated, event.TypeInventoryLowStock, event.TypeForecastGenerated, event.TypeRuleChanged, event.TypePurchaseOrderCancelled, event.TypePurchaseOrderClosed),
		emits.Types(event.TypeReplenishmentTriggered, event.TypePurchaseOrderCreated), worker.Linger(100*time.Millisecond), keeps.Tables(tables...))
}

// tables are those that replenish writes.
var tables = []shadow.Table{
	{Name: "replenishment_state", Key: []string{"tenant_id", "item_id", "location_id"}, Except: []string{"id"}},
	{Name: "replenishment_forecast"}, // its rows have no key but the state's number
	{Name: "purchase_order", Key: []string{"tenant_id", "purchase_order_id"}},
	{Name: "purchase_order_line", Key: []string{"tenant_id", "purchase_order_id", "item_id", "location_id"}},
	{Name: "purchase_order_number", Key: []string{"tenant_id", "year"}},
	{Name: "on_order_booking", Key: []string{"tenant_id", "purchase_order_id", "kind", "event_id", "ordinal"}, Except: []string{"state_id"}},
	{Name: "transfer", Key: []string{"tenant_id", "transfer_id", "item_id", "location_id"}},
}

// replenish handles a batch of events, in arrival order, set-based: first all that
// they may need is read, then all is decided in memory, then written.
func replenish(ctx context.Context, tx *worker.Tx, known *planning.Replenishments, events []event.Any) error {
	b := &batch{tx: tx, changed: map[*purchasing.OrderLine]*planning.Replenishment{}}
	if err := b.open(ctx, known, events); err != nil {
		return err
	}
	for i := range events {
		if err := b.apply(ctx, &events[i]); err != nil {
			return fmt.Errorf("replenishing because of %s: %w", events[i].ID, err)
		}
	}
	return b.close(ctx)
}

// apply lets one event change its position, and then considers an order.
func (b *batch) apply(ctx context.Context, e *event.Any) error {
	switch payload := e.Payload.(type) {
	case event.InventoryUpdated:
		p := b.at(e.TenantID, payload.ItemID, payload.LocationID)
		p.stand(e, payload)
		if isReceipt(payload) {
			b.receive(p, e, payload)
		}
		b.transfer(e, payload)
		return b.consider(ctx, p, e.Envelope)
	case event.InventoryLowStock:
		return b.consider(ctx, b.at(e.TenantID, payload.ItemID, payload.LocationID), e.Envelope)
	case event.ForecastGenerated:
		p := b.at(e.TenantID, payload.ItemID, payload.LocationID)
		p.expect(payload)
		return b.consider(ctx, p, e.Envelope)
	case event.RuleChanged:
		p := b.at(e.TenantID, payload.ItemID, payload.LocationID)
		p.follow()
		return b.consider(ctx, p, e.Envelope)
	case event.PurchaseOrderCancelled:
		return b.cancel(ctx, e, payload)
	case event.PurchaseOrderClosed:
		return b.closeOrder(ctx, e, payload)
	}
	return fmt.Errorf("replenishment does not know %s", e.Type)
}
