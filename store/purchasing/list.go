package purchasing

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
)

// PurchaseOrder is an order for display. The JSON names are the events'.
type PurchaseOrder struct {
	Tenant       string `json:"tenantId"`
	ID           string `json:"purchaseOrderId"`
	Number       string `json:"poNumber"`
	Status       string `json:"status"`
	Supplier     string `json:"supplierId"`
	SupplierName string `json:"supplierName,omitempty"`
	Location     string `json:"locationId"`
	// Total is the sum of the lines with a known price; Priced means that all lines have one.
	Total     event.Decimal `json:"totalAmount"`
	Priced    bool          `json:"priced"`
	Currency  string        `json:"currency,omitempty"`
	CreatedAt time.Time     `json:"createdAt"`
	DecidedAt *time.Time    `json:"decidedAt,omitempty"`
	DecidedBy string        `json:"decidedBy,omitempty"`
	// DecisionMadeAt is when a person decided, by the clock; DecidedAt is business time.
	DecisionMadeAt *time.Time `json:"decisionMadeAt,omitempty"`
	Reason         string     `json:"reason,omitempty"`
	// ClosedAt is when a person closed the order, by the clock: its rest was not to come.
	ClosedAt    *time.Time `json:"closedAt,omitempty"`
	ClosedBy    string     `json:"closedBy,omitempty"`
	CloseReason string     `json:"closeReason,omitempty"`
	// State is how far the order is: its status, and for an approved one what has come of it.
	State string `json:"state"`
	// Dispatch is nil before the order was to be sent.
	Dispatch *OrderDispatch      `json:"dispatch,omitempty"`
	Lines    []PurchaseOrderLine `json:"lines"`
}

// OrderDispatch is how far an order is in being sent to its supplier.
type OrderDispatch struct {
	Status       string     `json:"status"`
	SentAt       *time.Time `json:"sentAt,omitempty"`
	Reference    string     `json:"supplierReference,omitempty"`
	PromisedDate string     `json:"promisedDate,omitempty"`
	Failure      string     `json:"failure,omitempty"`
}

// PurchaseOrderLine is a line of an order, what was received for it, and the state in which the rule asked for it.
type PurchaseOrderLine struct {
	Item         string         `json:"itemId"`
	ItemName     string         `json:"itemName,omitempty"`
	Location     string         `json:"locationId"`
	Quantity     event.Decimal  `json:"quantity"`
	UnitPrice    *event.Decimal `json:"unitPrice,omitempty"`
	Received     event.Decimal  `json:"received"`
	Open         bool           `json:"open"`
	Available    event.Decimal  `json:"available"`
	OnOrder      event.Decimal  `json:"onOrder"`
	InTransit    event.Decimal  `json:"inTransit"`
	ReorderPoint event.Decimal  `json:"reorderPoint"`
	RuleVersion  int64          `json:"ruleVersion"`
	Sequence     int64          `json:"sequence"`
}

// OrderFilter selects orders; empty fields select all. Name is an order's id or its number.
type OrderFilter struct{ Tenant, Name, Status, Supplier, Item, Location string }

var listOrders = pg.SQL(`
SELECT o.tenant_id, o.purchase_order_id, o.po_number, o.status, o.supplier_id, coalesce(s.name, ''), o.location_id, o.total_amount, o.priced, o.currency,
       o.created_at, o.decided_at, o.decision_made_at, o.decided_by, o.reason, o.closed_at, o.closed_by, o.close_reason,
       coalesce(d.status, ''), d.sent_at, coalesce(d.supplier_reference, ''), coalesce(d.promised_date::text, ''), coalesce(d.failure, '')
FROM purchase_order o
LEFT JOIN supplier s USING (tenant_id, supplier_id)
LEFT JOIN dispatch d ON d.tenant_id = o.tenant_id AND d.purchase_order_id = o.purchase_order_id
WHERE ($1 = '' OR o.tenant_id = $1) AND ($2 = '' OR o.purchase_order_id = $2 OR o.po_number = $2) AND ($3 = '' OR o.status = $3)
  AND ($4 = '' OR o.supplier_id = $4) AND ($6 = '' OR o.location_id = $6)
  AND ($5 = '' OR EXISTS (SELECT FROM purchase_order_line l
                          WHERE l.tenant_id = o.tenant_id AND l.purchase_order_id = o.purchase_order_id AND l.item_id = $5))
ORDER BY o.created_at DESC, o.po_number DESC, o.tenant_id
LIMIT $7`)

var listOrderLines = pg.SQL(`
SELECT k.ord, l.item_id, coalesce(i.name, ''), l.location_id, l.quantity, l.unit_price, l.received, l.open,
       l.available, l.on_order, l.in_transit, l.reorder_point, l.rule_version, l.sequence
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(tenant_id, purchase_order_id, ord)
JOIN purchase_order_line l USING (tenant_id, purchase_order_id)
LEFT JOIN item i ON i.tenant_id = l.tenant_id AND i.item_id = l.item_id
ORDER BY k.ord, l.item_id, l.location_id`)

// PurchaseOrders returns the newest orders of a filter, at most limit of them; 0 means all.
func PurchaseOrders(ctx context.Context, db *store.DB, of OrderFilter, limit int) ([]PurchaseOrder, error) {
	orders := []PurchaseOrder{}
	err := pg.Each(ctx, db, "listing purchase orders", listOrders, func(row *sql.Rows) error {
		var o PurchaseOrder
		var d OrderDispatch
		if err := row.Scan(&o.Tenant, &o.ID, &o.Number, &o.Status, &o.Supplier, &o.SupplierName, &o.Location, &o.Total, &o.Priced, &o.Currency,
			&o.CreatedAt, &o.DecidedAt, &o.DecisionMadeAt, &o.DecidedBy, &o.Reason,
			&o.ClosedAt, &o.ClosedBy, &o.CloseReason, &d.Status, &d.SentAt, &d.Reference, &d.PromisedDate, &d.Failure); err != nil {
			return err
		}
		if d.Status != "" {
			o.Dispatch = &d
		}
		orders = append(orders, o)
		return nil
	}, of.Tenant, of.Name, of.Status, of.Supplier, of.Item, of.Location, sqlvalue.AtMost(limit))
	if err != nil {
		return nil, err
	}
	keys := pg.NewColumns(2, len(orders))
	for i := range orders {
		keys.Add(orders[i].Tenant, orders[i].ID)
	}
	err = pg.Each(ctx, db, fmt.Sprintf("listing the lines of %d purchase orders", len(orders)), listOrderLines, func(row *sql.Rows) error {
		var ord int
		var l PurchaseOrderLine
		err := row.Scan(&ord, &l.Item, &l.ItemName, &l.Location, &l.Quantity, &l.UnitPrice, &l.Received, &l.Open,
			&l.Available, &l.OnOrder, &l.InTransit, &l.ReorderPoint, &l.RuleVersion, &l.Sequence)
		if err != nil {
			return err
		}
		orders[ord-1].Lines = append(orders[ord-1].Lines, l)
		return nil
	}, keys...)
	for i := range orders {
		orders[i].State = orders[i].state()
	}
	return orders, err
}

// The states of an order beside its statuses, in small letters.
const (
	StateReceivedInPart = "received in part"
	StateReceived       = "received"
	StateReceivedOver   = "received over" // more came of a line than was ordered
	StateClosedShort    = "closed short"  // less came of a line, and a person has closed it
)

func (o *PurchaseOrder) state() string {
	if o.Status != OrderApproved {
		return strings.ToLower(o.Status)
	}
	some, over, short := false, false, false
	for i := range o.Lines {
		l := &o.Lines[i]
		some = some || l.Received.IsPositive()
		over = over || l.Quantity.LessThan(l.Received)
		short = short || l.Received.LessThan(l.Quantity)
	}
	switch {
	case short && o.ClosedAt != nil:
		return StateClosedShort
	case short && some:
		return StateReceivedInPart
	case short || !some:
		return strings.ToLower(o.Status)
	case over:
		return StateReceivedOver
	}
	return StateReceived
}

// OrderBooking is a change of on order by an order's line: Quantity was ordered, received or cancelled (Kind).
type OrderBooking struct {
	At       time.Time     `db:"occurred_at" json:"at"`
	Kind     string        `db:"kind" json:"kind"`
	Item     string        `db:"item_id" json:"itemId"`
	Location string        `db:"location_id" json:"locationId"`
	Quantity event.Decimal `db:"quantity" json:"quantity"`
	// Change is the change of OnOrder, which is the position's total on order after it.
	Change  event.Decimal `db:"change" json:"change"`
	OnOrder event.Decimal `db:"on_order" json:"onOrder"`
}

var orderBookings = pg.SQL(`
SELECT b.occurred_at, b.kind, s.item_id, s.location_id, b.quantity, b.change, b.on_order
FROM on_order_booking b JOIN replenishment_state s ON s.id = b.state_id
WHERE b.tenant_id = $1 AND b.purchase_order_id = $2 ORDER BY s.item_id, s.location_id, b.ordinal`)

// OrderBookings returns the bookings of an order's lines, in the order they were made.
func OrderBookings(ctx context.Context, db *store.DB, order OrderKey) ([]OrderBooking, error) {
	return pg.List[OrderBooking](ctx, db, fmt.Sprintf("reading the bookings of order %s", order.Order), orderBookings, order.Tenant, order.Order)
}
