package approval

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/operatorlog"
	kept "github.com/composerp/composerp/store/process"
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

// actions name a decision in the operator log.
var actions = map[string]string{purchasing.OrderApproved: "po approve", purchasing.OrderCancelled: "po reject"}

// Approve lets a person approve an order that waits. The error is a
// *DecidedError when it waits no longer, store.ErrNotFound when there is none.
// The operator log has the decision and by.Reason.
func Approve(ctx context.Context, db *store.DB, order purchasing.OrderKey, by operatorlog.By) (purchasing.OrderDecision, error) {
	return decide(ctx, db, order, purchasing.OrderApproved, by)
}

// Reject lets a person take back an order that waits, for a reason, which the
// order keeps. Its errors are Approve's. What it was for is not ordered again
// before the next business day, unless its rule changes.
func Reject(ctx context.Context, db *store.DB, order purchasing.OrderKey, by operatorlog.By) (purchasing.OrderDecision, error) {
	return decide(ctx, db, order, purchasing.OrderCancelled, by)
}

// decide writes the decision and its entry in the operator log, appends its event and moves its process, in one
// transaction. Its business time is the latest that is known of what was ordered, not the clock's: the day of the
// decision is a day of the shop's.
func decide(ctx context.Context, db *store.DB, order purchasing.OrderKey, status string, by operatorlog.By) (d purchasing.OrderDecision, err error) {
	if by.Operator == "" {
		return d, errors.New("a decision needs a name: who decides?")
	}
	err = db.InTx(ctx, func(tx store.Tx) error {
		// The process is locked before the order, as its timers do.
		key := kept.Key{Tenant: order.Tenant, Process: waiting.Name, Correlation: order.Order}
		if _, err := kept.Lock(ctx, tx, []kept.Key{key}, nil, nil); err != nil {
			return err
		}
		if d, err = purchasing.LockOrder(ctx, tx, order); err != nil {
			return err
		}
		if d.Status != purchasing.OrderPending {
			return &DecidedError{d}
		}
		was := d.Status
		if d, err = settle(ctx, tx, d, status, by.Operator, by.Reason); err != nil {
			return err
		}
		if err := decided(ctx, tx, d, decisionID(d)); err != nil {
			return err
		}
		return operatorlog.Note(ctx, tx, by, actions[status], d.Number, map[string]any{"status": was},
			map[string]any{"status": status, "tenant": d.Tenant, "order": d.Order})
	})
	if err != nil && !errors.Is(err, ErrDecided) {
		return purchasing.OrderDecision{}, err
	}
	return d, err
}

// settle writes a decision about a locked order that waits, and appends its event.
func settle(ctx context.Context, tx store.Tx, d purchasing.OrderDecision, status, by, reason string) (purchasing.OrderDecision, error) {
	at := d.LatestAt.UTC()
	d.Status, d.Version, d.DecidedAt, d.DecidedBy = status, d.Version+1, &at, by
	if status == purchasing.OrderCancelled {
		d.Reason = reason
	}
	if err := purchasing.DecideOrder(ctx, tx, d); err != nil {
		return d, err
	}
	decided, err := decision(d)
	if err != nil {
		return d, fmt.Errorf("emitting the decision about %s: %w", d.Number, err)
	}
	return d, eventlog.Append(ctx, tx, []event.Any{decided})
}

// decisionID is the id of a decision's event: the order's version gives it.
func decisionID(d purchasing.OrderDecision) uuid.UUID {
	return event.TimerID(source, d.Tenant+"\x00"+d.Order, strconv.FormatInt(d.Version, 10))
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
	user := d.DecidedBy
	if user == Timeout {
		user = "" // no person has decided
	}
	return event.Encode(event.Envelope{
		ID:          decisionID(d),
		AggregateID: d.Order, TenantID: d.Tenant, Timestamp: *d.DecidedAt,
		Metadata: event.Metadata{Source: source, UserID: user, CorrelationID: d.CorrelationID, CausationID: causeOf(d), Sequence: d.Version},
	}, payload)
}
