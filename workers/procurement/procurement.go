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

// New declares the procurement worker. A nil log writes nothing.
func New(log *slog.Logger) worker.Worker {
	return declare(log, webcall.Caller{Breakers: &worker.Breakers{}}, retryDelays)
}

func declare(log *slog.Logger, caller webcall.Caller, retryDelays []time.Duration) worker.Worker {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	o := office{log.With("worker", "procurement"), caller}
	return worker.New("procurement", worker.RetryDelays(retryDelays...), worker.Linger(50*time.Millisecond), worker.WithBreakers(caller.Breakers),
		worker.OnPreparedCall(o.created, send[event.PurchaseOrderCreated](o)),
		worker.OnPreparedCall(o.approved, send[event.PurchaseOrderApproved](o)),
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

func (o office) created(ctx context.Context, tx *worker.Tx, e event.Of[event.PurchaseOrderCreated]) (letter, error) {
	body, err := json.Marshal(orderOf(e))
	if err != nil {
		return letter{}, worker.Reject(fmt.Errorf("writing order %s: %w", e.Payload.PurchaseOrderID, err))
	}
	key := purchasing.OrderKey{Tenant: e.TenantID, Order: e.Payload.PurchaseOrderID}
	d, err := purchasing.NoteOrderCreated(ctx, tx, key, e.Payload.SupplierID, body)
	if err != nil {
		return letter{}, err
	}
	return o.next(ctx, tx, letter{key, d})
}

func (o office) approved(ctx context.Context, tx *worker.Tx, e event.Of[event.PurchaseOrderApproved]) (letter, error) {
	key := purchasing.OrderKey{Tenant: e.TenantID, Order: e.Payload.PurchaseOrderID}
	d, err := purchasing.NoteOrderApproved(ctx, tx, key, e.Timestamp)
	if err != nil {
		return letter{}, err
	}
	return o.next(ctx, tx, letter{key, d})
}

// next decides under the row's lock whether this event is the one that sends the order.
func (o office) next(ctx context.Context, tx *worker.Tx, l letter) (letter, error) {
	if !l.Due() {
		return letter{}, worker.ErrNoCall
	}
	if l.Endpoint == "" {
		if err := purchasing.LeaveToHand(ctx, tx, l.OrderKey); err != nil {
			return letter{}, err
		}
		o.log.Info("an order is to be sent by hand: its supplier has no endpoint", "tenant", l.Tenant, "order", l.Order, "supplier", l.Supplier)
		return letter{}, worker.ErrNoCall
	}
	return l, purchasing.BeginSending(ctx, tx, l.OrderKey)
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
func send[T event.Payload](o office) func(context.Context, event.Of[T], letter) (worker.Record, error) {
	return func(ctx context.Context, _ event.Of[T], l letter) (worker.Record, error) {
		answer, err := o.caller.Post(ctx, l.Endpoint, worker.IdempotencyKey(l.Order, "send"), []byte(l.Request))
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
}
