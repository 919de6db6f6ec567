// Package procurement sends orders to their suppliers.
//
// An order is sent once it is known to be created and to be approved, which may
// be consumed in either order and by two slots at once. The order is sent as
// PURCHASE_ORDER_CREATED has it, kept as the bytes of the body, so that each call
// for an order is the same call. The supplier's protocol is in docs/reference/http-calls.md.
//
// # Invariants
//
//   - Each of the two events leaves its mark on the order's row in dispatch, under
//     the row's lock, in the transaction of its own inbox row or before its call.
//     Of two that come at once the second sees both marks: one of them calls, and
//     no third event is needed.
//   - Every call for an order carries the same Idempotency-Key, "<order>:send".
//     Whether a second one is sent on is for the supplier to decide; the answer
//     that is recorded first stays.
//   - An order that is cancelled, with its supplier, or left to a person is not
//     sent again, whatever comes again.
//   - What became of an order is in dispatch: attempts are counted before the call,
//     answers and refusals are written down after it, and the status follows from
//     what is there.
//
// # What a crash leaves, step by step
//
//	before the mark commits      nothing; the event comes again
//	after the mark, before the   the attempt, counted; the event comes again, finds
//	call's answer                both marks and calls again, with the same key
//	after the answer, before     the same: the supplier answers as before, or 409,
//	its record                   which means that it knows the order; recorded once
//	after the record, no ack     the second delivery is a duplicate
//
// An order cancelled while a call is under way is recorded as cancelled after
// sending once the answer is there; one cancelled between two tries is not tried
// again and stays in doubt, for the supplier may have taken the first.
//
// # When a supplier does not answer
//
// While a supplier is away or busy its orders wait, for as long as it takes, and a
// probe now and then finds out whether it is there again (package webcall, and the
// circuit breaker of package worker); other suppliers' orders go past them. An order
// that found the circuit open, or that could not be sent, takes its attempt back:
// dispatch counts calls that the supplier may know. A crash between the two
// leaves the count one too high, and a cancelled order in doubt rather than
// cancelled.
//
// After an answer that is neither yes nor no the order is retried for longer than a
// night. An order that is refused becomes a dead letter at once, with the supplier's
// text; it is sent again when a person redrives it.
package procurement

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
)

// retryDelays are longer than other workers': a supplier's system may fail in its own ways for a night. While it is
// away its orders wait and keep their attempts.
var retryDelays = []time.Duration{5 * time.Second, time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour}

// New declares the procurement worker. A nil signer signs no orders; a nil log writes nothing.
func New(signer *webcall.Signer, log *slog.Logger) worker.Worker {
	return declare(log, webcall.Caller{Breakers: &worker.Breakers{}, Signer: signer}, retryDelays)
}

func declare(log *slog.Logger, caller webcall.Caller, retryDelays []time.Duration) worker.Worker {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	o := office{log.With("worker", "procurement"), caller}
	return worker.New("procurement", worker.RetryDelays(retryDelays...), worker.Linger(50*time.Millisecond), worker.WithBreakers(caller.Breakers),
		worker.OnPreparedCalls(o.note, o.send, event.TypePurchaseOrderCreated, event.TypePurchaseOrderApproved),
		worker.On(o.cancelled))
}

// office sends orders.
type office struct {
	log    *slog.Logger
	caller webcall.Caller
}

// letter is an order that is due: its supplier and its body.
type letter struct {
	purchasing.OrderKey
	purchasing.Dispatch
}

// note writes down what events of different orders say, and decides under the rows' locks which of them send their
// order: those get a letter.
func (o office) note(ctx context.Context, tx *worker.Tx, events []event.Any) ([]*letter, error) {
	facts := make([]purchasing.OrderFact, len(events))
	for i := range events {
		var err error
		if facts[i], err = factOf(events[i]); err != nil {
			return nil, worker.Reject(err)
		}
	}
	states, err := purchasing.NoteOrders(ctx, tx, facts)
	if err != nil {
		return nil, err
	}
	letters := make([]*letter, len(events))
	var byHand, sending []purchasing.OrderKey
	for i, f := range facts {
		switch d := states[f.OrderKey]; {
		case !d.Due():
		case d.Endpoint == "":
			byHand = append(byHand, f.OrderKey)
			o.log.Info("an order is to be sent by hand: its supplier has no endpoint", "tenant", f.Tenant, "order", f.Order, "supplier", d.Supplier)
		default:
			sending, letters[i] = append(sending, f.OrderKey), &letter{f.OrderKey, d}
		}
	}
	if err := purchasing.LeaveToHand(ctx, tx, byHand); err != nil {
		return nil, err
	}
	return letters, purchasing.BeginSending(ctx, tx, sending)
}

// factOf is what an event says of its order.
func factOf(e event.Any) (purchasing.OrderFact, error) {
	if created, is := event.As[event.PurchaseOrderCreated](e); is {
		body, err := json.Marshal(orderOf(created))
		if err != nil {
			return purchasing.OrderFact{}, fmt.Errorf("writing order %s: %w", created.Payload.PurchaseOrderID, err)
		}
		key := purchasing.OrderKey{Tenant: e.TenantID, Order: created.Payload.PurchaseOrderID}
		return purchasing.OrderFact{OrderKey: key, Supplier: created.Payload.SupplierID, Request: body}, nil
	}
	approved, is := event.As[event.PurchaseOrderApproved](e)
	if !is {
		return purchasing.OrderFact{}, fmt.Errorf("procurement does not know %s", e.Type)
	}
	key := purchasing.OrderKey{Tenant: e.TenantID, Order: approved.Payload.PurchaseOrderID}
	return purchasing.OrderFact{OrderKey: key, ApprovedAt: e.Timestamp}, nil
}

func (o office) cancelled(ctx context.Context, tx *worker.Tx, e event.Of[event.PurchaseOrderCancelled]) error {
	key := purchasing.OrderKey{Tenant: e.TenantID, Order: e.Payload.PurchaseOrderID}
	d, err := purchasing.NoteOrderCancelled(ctx, tx, key, e.Timestamp)
	if err != nil {
		return err
	}
	if d.Status != purchasing.DispatchCancelled {
		o.log.Warn("an order was cancelled that its supplier may have", "tenant", key.Tenant, "order", key.Order, "supplier", d.Supplier, "status", d.Status)
	}
	return nil
}

// send calls the supplier. A failure is recorded and is the outcome.
func (o office) send(ctx context.Context, _ event.Any, l letter) (worker.Record, error) {
	answer, err := o.caller.Post(ctx, l.Endpoint, webcall.IdempotencyKey(l.Order, "send"), []byte(l.Request))
	if err != nil {
		err = fmt.Errorf("sending order %s to supplier %s: %w", l.Order, l.Supplier, err)
		return func(ctx context.Context, tx *worker.Tx) error {
			if errors.Is(err, worker.ErrCircuitOpen) || errors.Is(err, webcall.ErrNotSent) {
				return purchasing.TakeBackSending(ctx, tx, l.OrderKey, err.Error())
			}
			return purchasing.RecordUnsent(ctx, tx, l.OrderKey, err.Error(), errors.Is(err, worker.ErrRejected))
		}, err
	}
	receipt := o.read(l, answer)
	return func(ctx context.Context, tx *worker.Tx) error {
		return purchasing.RecordSent(ctx, tx, l.OrderKey, receipt)
	}, nil
}
