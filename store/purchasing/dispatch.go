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

var noteOrderCreated = pg.SQL(`
INSERT INTO dispatch AS d (tenant_id, purchase_order_id, supplier_id, request) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, purchase_order_id) DO UPDATE
SET supplier_id = coalesce(d.supplier_id, excluded.supplier_id), request = coalesce(d.request, excluded.request)` + returnDispatch)

// NoteOrderCreated stores the request and its supplier. Once stored it never changes: a repeated call sends the same.
func NoteOrderCreated(ctx context.Context, tx store.Tx, key OrderKey, supplier string, request []byte) (Dispatch, error) {
	return noteOrder(ctx, tx, key, noteOrderCreated, key.Tenant, key.Order, supplier, string(request))
}

var noteOrderApproved = pg.SQL(`
INSERT INTO dispatch AS d (tenant_id, purchase_order_id, approved_at) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, purchase_order_id) DO UPDATE SET approved_at = coalesce(d.approved_at, excluded.approved_at)` + returnDispatch)

// NoteOrderApproved records that the order may be sent, since a moment of business time.
func NoteOrderApproved(ctx context.Context, tx store.Tx, key OrderKey, at time.Time) (Dispatch, error) {
	return noteOrder(ctx, tx, key, noteOrderApproved, key.Tenant, key.Order, at)
}

var noteOrderCancelled = pg.SQL(`
INSERT INTO dispatch AS d (tenant_id, purchase_order_id, cancelled_at) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, purchase_order_id) DO UPDATE SET cancelled_at = coalesce(d.cancelled_at, excluded.cancelled_at)` + returnDispatch)

// NoteOrderCancelled records that the order was cancelled, at a moment of business time.
func NoteOrderCancelled(ctx context.Context, tx store.Tx, key OrderKey, at time.Time) (Dispatch, error) {
	return noteOrder(ctx, tx, key, noteOrderCancelled, key.Tenant, key.Order, at)
}

func noteOrder(ctx context.Context, tx store.Tx, key OrderKey, note pg.Statement, args ...any) (Dispatch, error) {
	return pg.One[Dispatch](ctx, tx, fmt.Sprintf("noting order %s", key.Order), note, args...)
}

// An attempt withdraws a refusal: its outcome is not known yet.
var beginSending = pg.SQL(`
UPDATE dispatch SET attempts = attempts + 1, attempted_at = clock_timestamp(), refused_at = NULL
WHERE tenant_id = $1 AND purchase_order_id = $2`)

// BeginSending counts a call that is about to be made.
func BeginSending(ctx context.Context, tx store.Tx, key OrderKey) error {
	return moveOrder(ctx, tx, key, beginSending)
}

var takeBackSending = pg.SQL(`
UPDATE dispatch SET attempts = greatest(0, attempts - 1), attempted_at = CASE WHEN attempts > 1 THEN attempted_at END, failure = $3
WHERE tenant_id = $1 AND purchase_order_id = $2 AND sent_at IS NULL`)

// TakeBackSending uncounts a call that was begun and not made, and records why.
func TakeBackSending(ctx context.Context, tx store.Tx, key OrderKey, why string) error {
	return moveOrder(ctx, tx, key, takeBackSending, why)
}

var leaveToHand = pg.SQL(`
UPDATE dispatch SET by_hand_at = clock_timestamp() WHERE tenant_id = $1 AND purchase_order_id = $2 AND by_hand_at IS NULL`)

// LeaveToHand records that a person must send the order, because its supplier has no endpoint.
func LeaveToHand(ctx context.Context, tx store.Tx, key OrderKey) error {
	return moveOrder(ctx, tx, key, leaveToHand)
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
