// Package approval decides which orders may be sent. Those up to the tenant's
// approval limit it approves by policy; the others wait for a person, who decides
// with Approve or Reject (`composerp po approve|reject`), or its time runs out (timeout.go).
//
// # Invariants
//
//   - An order is decided once: the decision is written under the lock of the
//     order's row, only while it is PENDING, in the transaction that emits
//     PURCHASE_ORDER_APPROVED or PURCHASE_ORDER_CANCELLED.
//   - The policy approves only what it can add up and compare: every line has a known
//     price, and the order is in the currency of the limit, the tenant's.
//   - The decision is about the order as it was written, not about its event.
//
// # What goes wrong, and what then
//
//	the event comes again           the order is no longer PENDING: nothing
//	a crash before the commit       nothing has happened; the broker delivers again
//	two people at once, or a        the row's lock lets one be first; the other
//	person and the policy           gets a DecidedError
//	the hours change while an       its timers follow within seconds
//	order waits
//	the limit changes later         orders that wait go on waiting for a person
//	no limit is set, a price is     the order waits for a person
//	not known, or the order is in
//	another currency
package approval

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/shadow"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/emits"
	"github.com/composerp/composerp/workers/worker/keeps"
)

// Policy is who has approved an order that no person had to look at.
const Policy = "policy"

// source is the source of a decision's event.
const source = "approval"

// New declares the approval worker.
func New() worker.Worker {
	instance := []string{"tenant_id", "process", "correlation"}
	return worker.New(source, worker.OnBatch(approve, event.TypePurchaseOrderCreated), worker.Every(timerPeriod, fire),
		emits.Types(event.TypePurchaseOrderApproved, event.TypePurchaseOrderCancelled, event.TypePurchaseOrderEscalated), worker.Linger(50*time.Millisecond),
		keeps.Tables(
			shadow.Table{Name: "purchase_order", Key: []string{"tenant_id", "purchase_order_id"}},
			shadow.Table{Name: "process_instance", Key: instance, Except: []string{"begun_at", "changed_at"}},
			shadow.Table{Name: "process_step", Key: append(instance, "input_id"), Except: []string{"ordinal", "taken_at"}},
			shadow.Table{Name: "process_timer", Key: append(instance, "name"), Except: []string{"due_at"}},
			shadow.Table{Name: "process_early", Key: append(instance, "input_id"), Except: []string{"ordinal", "kept_at"}}))
}

// approve decides about all the orders at once, and emits the decisions in their order.
func approve(ctx context.Context, tx *worker.Tx, events []event.Any) error {
	orders, told := make(map[purchasing.OrderKey]time.Time, len(events)), make(map[purchasing.OrderKey]uuid.UUID, len(events))
	for i := range events {
		created, ok := event.As[event.PurchaseOrderCreated](events[i])
		if !ok {
			return worker.Reject(fmt.Errorf("approval does not know %s", events[i].Type))
		}
		orders[keyOf(created)], told[keyOf(created)] = created.Timestamp, created.ID
	}
	if err := purchasing.NoteCreated(ctx, tx, told); err != nil {
		return err
	}
	versions, err := purchasing.ApproveByPolicy(ctx, tx, orders, Policy)
	if err != nil {
		return err
	}
	var others []event.Of[event.PurchaseOrderCreated]
	for i := range events {
		created, _ := event.As[event.PurchaseOrderCreated](events[i])
		order := keyOf(created)
		version, approved := versions[order]
		if !approved {
			others = append(others, created)
			continue
		}
		delete(versions, order) // an order is approved once, also when it was created twice in the batch
		err := tx.For(created.Envelope).Emit(order.Order, version, event.PurchaseOrderApproved{
			PurchaseOrderID: order.Order, ApprovedBy: Policy, ApprovedAt: orders[order], PONumber: created.Payload.PONumber,
		})
		if err != nil {
			return err
		}
	}
	return wait(ctx, tx, others)
}

func keyOf(e event.Of[event.PurchaseOrderCreated]) purchasing.OrderKey {
	return purchasing.OrderKey{Tenant: e.TenantID, Order: e.Payload.PurchaseOrderID}
}
