package purchasing

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Dispatch
//
// Sending an order to its supplier is kept as facts: the request from PURCHASE_ORDER_CREATED, its approval, its
// cancellation, a call begun, an answer. Facts come in any order and each upserts its own column under the row's lock,
// so the transaction that writes the last of two needed facts sees both. The status is a generated column: it follows
// from the facts and cannot contradict them.

// DispatchStatus is how far an order is in being sent to its supplier.
type DispatchStatus string

// The statuses. An order is in doubt when it was cancelled after a call without an answer, or after a person was asked
// to send it: the supplier may have it.
const (
	DispatchWaiting               DispatchStatus = "WAITING"
	DispatchSending               DispatchStatus = "SENDING"
	DispatchSent                  DispatchStatus = "SENT"
	DispatchRefused               DispatchStatus = "REFUSED"
	DispatchByHand                DispatchStatus = "BY_HAND"
	DispatchCancelled             DispatchStatus = "CANCELLED"
	DispatchCancelledInDoubt      DispatchStatus = "CANCELLED_IN_DOUBT"
	DispatchCancelledAfterSending DispatchStatus = "CANCELLED_AFTER_SENDING"
)

// Dispatch is the state of sending an order, its row locked by the transaction that noted the last fact. Request is
// the body to send, empty until PURCHASE_ORDER_CREATED arrived; Endpoint is the supplier's, empty when it has none or
// the supplier is unknown.
type Dispatch struct {
	Status   DispatchStatus `db:"status"`
	Supplier string         `db:"supplier_id"`
	Request  string         `db:"request"`
	Approved bool           `db:"approved"`
	Endpoint string         `db:"endpoint"`
}

// Due reports whether the order is to be sent: created, approved, and neither sent, left to a person, nor cancelled. A
// refused one is due too: its event comes again only after the cause was repaired.
func (d Dispatch) Due() bool {
	switch d.Status {
	case DispatchWaiting, DispatchSending, DispatchRefused:
		return d.Request != "" && d.Approved
	}
	return false
}

const returnDispatch = `
RETURNING d.status, coalesce(d.supplier_id, '') AS supplier_id, coalesce(d.request, '') AS request, d.approved_at IS NOT NULL AS approved,
          coalesce((SELECT s.endpoint FROM supplier s WHERE s.tenant_id = d.tenant_id AND s.supplier_id = d.supplier_id), '') AS endpoint`

// OrderFact is what an event says of an order: its request and supplier, or that it may be sent, since a moment of
// business time. What it does not say is empty.
type OrderFact struct {
	OrderKey
	Supplier   string
	Request    []byte
	ApprovedAt time.Time
}

var noteOrders = pg.SQL(`
INSERT INTO dispatch AS d (tenant_id, purchase_order_id, supplier_id, request, approved_at)
SELECT tenant_id, purchase_order_id, supplier_id, request, approved_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
     WITH ORDINALITY AS n(tenant_id, purchase_order_id, supplier_id, request, approved_at, ord)
ORDER BY ord
ON CONFLICT (tenant_id, purchase_order_id) DO UPDATE
SET supplier_id = coalesce(d.supplier_id, excluded.supplier_id), request = coalesce(d.request, excluded.request),
    approved_at = coalesce(d.approved_at, excluded.approved_at)` + returnDispatch + `, d.tenant_id, d.purchase_order_id`)

// NoteOrders stores facts, one an order, in the order given, and returns each order's state. What is stored never
// changes: a repeated call sends the same.
func NoteOrders(ctx context.Context, tx store.Tx, facts []OrderFact) (map[OrderKey]Dispatch, error) {
	columns := pg.NewColumns(5, len(facts))
	for _, f := range facts {
		var supplier, request, approved any
		if f.Request != nil {
			supplier, request = f.Supplier, string(f.Request)
		}
		if !f.ApprovedAt.IsZero() {
			approved = f.ApprovedAt
		}
		columns.Add(f.Tenant, f.Order, supplier, request, approved)
	}
	noted, err := pg.List[struct {
		OrderKey
		Dispatch
	}](ctx, tx, fmt.Sprintf("noting %d orders", len(facts)), noteOrders, columns...)
	orders := make(map[OrderKey]Dispatch, len(noted))
	for _, n := range noted {
		orders[n.OrderKey] = n.Dispatch
	}
	return orders, err
}

var noteOrderCancelled = pg.SQL(`
INSERT INTO dispatch AS d (tenant_id, purchase_order_id, cancelled_at) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, purchase_order_id) DO UPDATE SET cancelled_at = coalesce(d.cancelled_at, excluded.cancelled_at)` + returnDispatch)

// NoteOrderCancelled records that the order was cancelled, at a moment of business time.
func NoteOrderCancelled(ctx context.Context, tx store.Tx, key OrderKey, at time.Time) (Dispatch, error) {
	return pg.One[Dispatch](ctx, tx, fmt.Sprintf("noting order %s", key.Order), noteOrderCancelled, key.Tenant, key.Order, at)
}

const ofOrders = `
FROM unnest($1::text[], $2::text[]) AS n(tenant_id, purchase_order_id) WHERE d.tenant_id = n.tenant_id AND d.purchase_order_id = n.purchase_order_id`

// moveOrders updates orders whose rows this transaction has locked.
func moveOrders(ctx context.Context, tx store.Tx, orders []OrderKey, move pg.Statement) error {
	if len(orders) == 0 {
		return nil
	}
	columns := pg.NewColumns(2, len(orders))
	for _, o := range orders {
		columns.Add(o.Tenant, o.Order)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("recording the dispatch of %d orders", len(orders)), move, columns...)
}

// An attempt withdraws a refusal: its outcome is not known yet.
var beginSending = pg.SQL(`
UPDATE dispatch d SET attempts = attempts + 1, attempted_at = clock_timestamp(), refused_at = NULL` + ofOrders)

// BeginSending counts the calls that are about to be made for noted orders.
func BeginSending(ctx context.Context, tx store.Tx, orders []OrderKey) error {
	return moveOrders(ctx, tx, orders, beginSending)
}

var takeBackSending = pg.SQL(`
UPDATE dispatch SET attempts = greatest(0, attempts - 1), attempted_at = CASE WHEN attempts > 1 THEN attempted_at END, failure = $3
WHERE tenant_id = $1 AND purchase_order_id = $2 AND sent_at IS NULL`)

// TakeBackSending uncounts a call that was begun and not made, and records why.
func TakeBackSending(ctx context.Context, tx store.Tx, key OrderKey, why string) error {
	return moveOrder(ctx, tx, key, takeBackSending, why)
}

var leaveToHand = pg.SQL(`
UPDATE dispatch d SET by_hand_at = clock_timestamp()` + ofOrders + ` AND d.by_hand_at IS NULL`)

// LeaveToHand records that a person must send noted orders, because their supplier has no endpoint.
func LeaveToHand(ctx context.Context, tx store.Tx, orders []OrderKey) error {
	return moveOrders(ctx, tx, orders, leaveToHand)
}

// Receipt is the answer of a supplier that accepted an order. PromisedDate is empty when it promised none.
type Receipt struct {
	Status            int
	SupplierReference string
	PromisedDate      event.Date
}

var recordSent = pg.SQL(`
UPDATE dispatch SET sent_at = clock_timestamp(), answer_status = $3, supplier_reference = $4, promised_date = CAST(nullif($5, '') AS date),
    failure = '', refused_at = NULL
WHERE tenant_id = $1 AND purchase_order_id = $2 AND sent_at IS NULL`)

// RecordSent stores a supplier's answer, the first one recorded: two slots may have called.
func RecordSent(ctx context.Context, tx store.Tx, key OrderKey, r Receipt) error {
	return moveOrder(ctx, tx, key, recordSent, r.Status, r.SupplierReference, string(r.PromisedDate))
}

var recordUnsent = pg.SQL(`
UPDATE dispatch SET failure = $3, refused_at = CASE WHEN $4::boolean THEN clock_timestamp() END
WHERE tenant_id = $1 AND purchase_order_id = $2 AND sent_at IS NULL`)

// RecordUnsent stores why a call failed, and whether the supplier refused for good.
func RecordUnsent(ctx context.Context, tx store.Tx, key OrderKey, failure string, refused bool) error {
	return moveOrder(ctx, tx, key, recordUnsent, failure, refused)
}

func moveOrder(ctx context.Context, tx store.Tx, key OrderKey, move pg.Statement, args ...any) error {
	return pg.Write(ctx, tx, fmt.Sprintf("recording the dispatch of order %s", key.Order), move, append([]any{key.Tenant, key.Order}, args...)...)
}
