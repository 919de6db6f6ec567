package approval

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/purchasing"
)

// ErrDecided is what every DecidedError is, for errors.Is.
var ErrDecided = errors.New("already decided")

// DecidedError means that another decision was first. Order is that decision.
type DecidedError struct{ Order purchasing.OrderDecision }

func (e *DecidedError) Error() string {
	text := fmt.Sprintf("%s was %s by %s", e.Order.Number, decisions[e.Order.Status], e.Order.DecidedBy)
	if e.Order.Reason != "" {
		text += ": " + e.Order.Reason
	}
	return text
}

// Is makes errors.Is(err, ErrDecided) true.
func (e *DecidedError) Is(target error) bool { return target == ErrDecided }

var decisions = map[string]string{purchasing.OrderApproved: "approved", purchasing.OrderCancelled: "rejected"}

// Approve lets a person approve an order that waits. The error is a
// *DecidedError when it waits no longer, store.ErrNotFound when there is none.
func Approve(ctx context.Context, db *store.DB, order purchasing.OrderKey, by string) (purchasing.OrderDecision, error) {
	return decide(ctx, db, order, purchasing.OrderApproved, by, "")
}

// Reject lets a person take back an order that waits, for a reason. Its errors
// are Approve's. What it was for is not ordered again before the next business
// day, unless its rule changes.
func Reject(ctx context.Context, db *store.DB, order purchasing.OrderKey, by, reason string) (purchasing.OrderDecision, error) {
	return decide(ctx, db, order, purchasing.OrderCancelled, by, reason)
}

// decide writes the decision and appends its event, in one transaction. Its business time
// is the latest that is known of what was ordered, not the clock's: the day of
// the decision is a day of the shop's.
func decide(ctx context.Context, db *store.DB, order purchasing.OrderKey, status, by, reason string) (d purchasing.OrderDecision, err error) {
	if by == "" {
		return d, errors.New("a decision needs a name: who decides?")
	}
	err = db.InTx(ctx, func(tx store.Tx) error {
		if d, err = purchasing.LockOrder(ctx, tx, order); err != nil {
			return err
		}
		if d.Status != purchasing.OrderPending {
			return &DecidedError{d}
		}
		at := d.LatestAt.UTC()
		d.Status, d.Version, d.DecidedAt, d.DecidedBy, d.Reason = status, d.Version+1, &at, by, reason
		if err := purchasing.DecideOrder(ctx, tx, d); err != nil {
			return err
		}
		decided, err := decision(d)
		if err != nil {
			return fmt.Errorf("emitting the decision about %s: %w", d.Number, err)
		}
		return eventlog.Append(ctx, tx, []event.Any{decided})
	})
	if err != nil && !errors.Is(err, ErrDecided) {
		return purchasing.OrderDecision{}, err
	}
	return d, err
}

// causeOf is the id of the event that told of the order; empty for an order of a version that did not note it.
func causeOf(d purchasing.OrderDecision) string {
	if !d.CreatedEvent.Valid {
		return ""
	}
	return d.CreatedEvent.UUID.String()
}

// decision is the event of a decision, with the id that the order's version gives it.
func decision(d purchasing.OrderDecision) (event.Any, error) {
	var payload event.Payload = event.PurchaseOrderApproved{
		PurchaseOrderID: d.Order, ApprovedBy: d.DecidedBy, ApprovedAt: *d.DecidedAt, PONumber: d.Number, DecisionMadeAt: d.MadeAt,
	}
	if d.Status == purchasing.OrderCancelled {
		payload = event.PurchaseOrderCancelled{
			PurchaseOrderID: d.Order, Reason: d.Reason, CancelledBy: d.DecidedBy, PONumber: d.Number, DecisionMadeAt: d.MadeAt,
		}
	}
	return event.Encode(event.Envelope{
		ID:          event.TimerID(source, d.Tenant+"\x00"+d.Order, strconv.FormatInt(d.Version, 10)),
		AggregateID: d.Order, TenantID: d.Tenant, Timestamp: *d.DecidedAt,
		Metadata: event.Metadata{Source: source, UserID: d.DecidedBy, CorrelationID: d.CorrelationID, CausationID: causeOf(d), Sequence: d.Version},
	}, payload)
}
