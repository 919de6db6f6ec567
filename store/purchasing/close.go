package purchasing

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// ClosingOrder is an order that this transaction has locked in order to close it.
type ClosingOrder struct {
	OrderDecision
	ClosedAt *time.Time     `db:"closed_at"`
	ClosedBy string         `db:"closed_by"`
	Dispatch DispatchStatus `db:"dispatch"` // its status; "": procurement has consumed no event of it
	// Rests are what its open lines still await.
	Rests []Rest `db:"-"`
}

// Rest is what an open line of an order awaits.
type Rest struct {
	Item     string        `db:"item_id" json:"itemId"`
	Location string        `db:"location_id" json:"locationId"`
	Quantity event.Decimal `db:"quantity" json:"quantity"`
	Received event.Decimal `db:"received" json:"received"`
	Rest     event.Decimal `db:"rest" json:"rest"`
}

var (
	lockClosing = pg.SQL(`
SELECT o.tenant_id, o.purchase_order_id, o.po_number, o.status, o.version, o.total_amount, o.correlation_id, o.decided_by, o.decided_at, o.reason,
       o.created_event, clock_timestamp() AS made_at, o.closed_at, o.closed_by,
       coalesce((SELECT d.status FROM dispatch d WHERE d.tenant_id = o.tenant_id AND d.purchase_order_id = o.purchase_order_id), '') AS dispatch,
       greatest(o.created_at, (SELECT max(s.latest_at) FROM purchase_order_line l JOIN replenishment_state s USING (tenant_id, item_id, location_id)
                               WHERE l.tenant_id = o.tenant_id AND l.purchase_order_id = o.purchase_order_id)) AS latest_at
FROM purchase_order o WHERE o.tenant_id = $1 AND o.purchase_order_id = $2
FOR NO KEY UPDATE OF o`)
	openRests = pg.SQL(`
SELECT item_id, location_id, quantity, received, quantity - received AS rest FROM purchase_order_line
WHERE tenant_id = $1 AND purchase_order_id = $2 AND open ORDER BY item_id, location_id`)
	closeOrder = pg.SQL(`
UPDATE purchase_order SET version = $3, closed_at = $4, closed_by = $5, close_reason = $6 WHERE tenant_id = $1 AND purchase_order_id = $2`)
)

// LockClosing reads and locks an order that is to be closed; ErrNotFound when there is none.
func LockClosing(ctx context.Context, tx store.Tx, order OrderKey) (c ClosingOrder, err error) {
	doing := fmt.Sprintf("reading order %s", order.Order)
	if c, err = pg.One[ClosingOrder](ctx, tx, doing, lockClosing, order.Tenant, order.Order); err != nil {
		return c, err
	}
	c.Rests, err = pg.List[Rest](ctx, tx, doing, openRests, order.Tenant, order.Order)
	return c, err
}

// CloseOrder writes that a locked order is closed. Its lines close when replenishment handles the event.
func CloseOrder(ctx context.Context, tx store.Tx, order OrderKey, version int64, at time.Time, by, reason string) error {
	return pg.Write(ctx, tx, fmt.Sprintf("closing order %s", order.Order), closeOrder, order.Tenant, order.Order, version, at, by, reason)
}
