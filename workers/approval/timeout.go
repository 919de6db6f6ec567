package approval

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	kept "github.com/composerp/composerp/store/process"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/process"
)

// # Orders that wait
//
// An order that the policy does not approve is a process from PURCHASE_ORDER_CREATED on. A person's decision moves it
// in the person's transaction. When its tenant's hours are over it is escalated (PURCHASE_ORDER_ESCALATED, which the
// worker alert brings to those on duty), and later cancelled, as a person would reject it. Hours are those of the
// clock, from the moment at which the process began.

// Timeout is who has cancelled an order that waited too long for a decision.
const Timeout = "timeout"

// The commands of people.
const (
	inputApprove = "approve"
	inputReject  = "reject"
)

var (
	waits   = []string{"waiting", "escalated"}
	inputOf = map[string]string{purchasing.OrderApproved: inputApprove, purchasing.OrderCancelled: inputReject}
)

// timerPeriod is how often orders that wait are looked at.
const timerPeriod = 5 * time.Second

// Process is the approval of an order that waits for a person.
func Process() *process.Process { return waiting }

var waiting = process.New(process.Definition{Name: "approval", What: "order", Transitions: []process.Transition{
	{On: string(event.TypePurchaseOrderCreated), To: "waiting"},
	{From: waits, On: inputApprove, To: "approved"},
	{From: waits, On: inputReject, To: "rejected"},
	{From: []string{"waiting"}, On: process.Timer("escalate"), To: "escalated", Do: escalate},
	{From: waits, On: process.Timer("cancel"), To: "cancelled", Do: expire},
}})

// wait begins the processes of those orders that are for a person.
func wait(ctx context.Context, tx store.Tx, created []event.Of[event.PurchaseOrderCreated]) error {
	if len(created) == 0 {
		return nil
	}
	keys := make([]purchasing.OrderKey, len(created))
	for i := range created {
		keys[i] = keyOf(created[i])
	}
	undecided, err := purchasing.Undecided(ctx, tx, keys)
	if err != nil {
		return err
	}
	var inputs []process.Input
	for i := range created {
		if undecided[keys[i]] {
			e := &created[i]
			inputs = append(inputs, process.Input{Tenant: e.TenantID, Correlation: keys[i].Order, Input: kept.Input{
				On: string(event.TypePurchaseOrderCreated), ID: e.ID, At: e.Timestamp, By: e.Metadata.Source,
			}})
		}
	}
	if len(inputs) == 0 {
		return nil
	}
	if _, err := waiting.Advance(ctx, tx, inputs); err != nil {
		return err
	}
	return purchasing.FollowTimeouts(ctx, tx)
}

// fire is the worker's timer.
func fire(ctx context.Context, tx *worker.Tx) (more bool, err error) {
	if err := begin(ctx, tx); err != nil {
		return false, err
	}
	if err := purchasing.FollowTimeouts(ctx, tx); err != nil {
		return false, err
	}
	return waiting.Fire(ctx, tx)
}

// mostBegun are begun in one transaction.
const mostBegun = 200

// begin begins the processes that a program of the version before has not begun, beside which this one has run.
func begin(ctx context.Context, tx store.Tx) error {
	orders, err := purchasing.UnbegunOrders(ctx, tx, mostBegun)
	if err != nil || len(orders) == 0 {
		return err
	}
	inputs := make([]process.Input, len(orders))
	for i, o := range orders {
		inputs[i] = process.Input{Tenant: o.Tenant, Correlation: o.Order, Input: kept.Input{
			On: string(event.TypePurchaseOrderCreated), ID: o.CreatedEvent, At: o.CreatedAt, By: source,
		}}
	}
	_, err = waiting.Advance(ctx, tx, inputs)
	return err
}

// decided moves the process of an order that a person has decided about.
func decided(ctx context.Context, tx store.Tx, d purchasing.OrderDecision, id uuid.UUID) error {
	_, err := waiting.Advance(ctx, tx, []process.Input{{Tenant: d.Tenant, Correlation: d.Order, Input: kept.Input{
		On: inputOf[d.Status], ID: id, At: *d.DecidedAt, By: d.DecidedBy, Note: d.Reason,
	}}})
	return err
}

// escalate names the order to those on duty.
func escalate(ctx context.Context, tx store.Tx, s *process.Step) error {
	x, err := purchasing.ReadEscalation(ctx, tx, purchasing.OrderKey{Tenant: s.Tenant, Order: s.Correlation})
	if err != nil {
		return err
	}
	payload := event.PurchaseOrderEscalated{
		PurchaseOrderID: x.Order, PONumber: x.Number, SupplierID: x.Supplier, LocationID: x.Location, TotalAmount: x.Total, Currency: x.Currency,
		WaitedHours: x.WaitedHours,
	}
	if x.CancelHours > 0 {
		payload.CancelledInHours = max(0, x.CancelHours-x.WaitedHours)
	}
	told, err := event.Encode(event.Envelope{
		ID: event.TimerID(source, s.Tenant+"\x00"+s.Correlation, "escalated"), AggregateID: x.Order, TenantID: x.Tenant, Timestamp: x.LatestAt.UTC(),
		Metadata: event.Metadata{Source: source, CorrelationID: x.CorrelationID, CausationID: causeOf(x.OrderDecision)},
	}, payload)
	if err != nil {
		return fmt.Errorf("telling of order %s: %w", x.Number, err)
	}
	return eventlog.Append(ctx, tx, []event.Any{told})
}

// expire cancels the order, as a person would reject it.
func expire(ctx context.Context, tx store.Tx, s *process.Step) error {
	d, err := purchasing.LockOrder(ctx, tx, purchasing.OrderKey{Tenant: s.Tenant, Order: s.Correlation})
	if err != nil || d.Status != purchasing.OrderPending {
		return err
	}
	s.Note = "no decision came in time"
	_, err = settle(ctx, tx, d, purchasing.OrderCancelled, Timeout, s.Note)
	return err
}
