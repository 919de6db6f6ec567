package stockview

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/planning"
)

// PlannedStock is a position for a planner: what is on hand, on order, and how long it will last. The JSON names are
// the events'.
type PlannedStock struct {
	Tenant    string        `json:"tenantId"`
	Item      string        `json:"itemId"`
	ItemName  string        `json:"itemName,omitempty"`
	Location  string        `json:"locationId"`
	OnHand    event.Decimal `json:"onHand"`
	Reserved  event.Decimal `json:"reserved"`
	Available event.Decimal `json:"available"`
	OnOrder   event.Decimal `json:"onOrder"`
	// InTransit is on its way from other locations.
	InTransit event.Decimal `json:"inTransit"`
	// DailyDemand is the mean of the newest forecast's days, nil when there is none.
	DailyDemand *event.Decimal `json:"dailyDemand"`
	// DaysOfCover is available / daily demand, 0 when nothing is available; nil when no demand is expected.
	DaysOfCover *event.Decimal `json:"daysOfCover"`
	// ReorderPoint is nil when nothing will be ordered.
	ReorderPoint *event.Decimal `json:"reorderPoint"`
	Sequence     int64          `json:"sequence"`
	// LastMovement is nil when nothing has moved yet.
	LastMovement *time.Time `json:"lastMovementAt"`
	LastType     string     `json:"lastMovementType"`
	// Low means that available is below the threshold of the last low-stock report.
	Low  bool       `json:"low"`
	Next *NextOrder `json:"nextOrder"`
}

// NextOrder is the oldest open order of a position; or, when none is open, the day on which one will be due by the
// expected demand.
type NextOrder struct {
	Order    string `json:"purchaseOrderId,omitempty"`
	Number   string `json:"poNumber,omitempty"`
	Supplier string `json:"supplierId,omitempty"`
	// Status is PENDING or APPROVED.
	Status string `json:"status,omitempty"`
	// Quantity is what is still to be received.
	Quantity *event.Decimal `json:"quantity,omitempty"`
	// OrderedOn is the business day at the location; ExpectedOn is the supplier's lead time later, "" when that is not
	// known.
	OrderedOn  event.Date `json:"orderedOn,omitempty"`
	ExpectedOn event.Date `json:"expectedOn,omitempty"`
	// ReorderOn is the day on which available and in transit will reach the reorder point; no other field is set then.
	ReorderOn event.Date `json:"reorderOn,omitempty"`
}

// StockQuery selects and sorts positions. The zero value is all of them, by item.
type StockQuery struct {
	Tenant, Item, Location string
	// Supplier is the rule's, or the next order's.
	Supplier               string
	Low, OnOrder, Negative bool
	// CoverBelow selects positions that last fewer days than this; nil selects all.
	CoverBelow *event.Decimal
	// Sort is one of StockSorts; "" is by tenant, item and location. Missing values come last.
	Sort       string
	Descending bool
	// Limit is the maximum number of rows; 0 is no limit.
	Limit int
}

// StockSorts are the values of StockQuery.Sort.
var StockSorts = []string{"item", "on-hand", "available", "cover", "last-movement", "next-order"}

// ruleReorderPoint is the point at which replenishment orders: for an auto rule the one computed from the forecast for
// this version of the rule; else the point of the rule's last trigger; null when the rule only watches.
const ruleReorderPoint = `
CASE WHEN r.supplier_id IS NULL THEN NULL
     WHEN r.mode = 'auto' THEN coalesce(CASE WHEN e.planned_version = r.version THEN e.reorder_point END, r.reorder_point, o.reorder_point)
     ELSE r.reorder_point END`

// A hundred years of cover count as endless: no day is computed beyond them.
var plannedStock = pg.SQL(`
WITH today AS (
    SELECT p.tenant_id, p.location_id, (p.latest AT TIME ZONE coalesce(l.timezone, 'UTC'))::date AS day
    FROM (SELECT tenant_id, location_id, max(last_movement_at) AS latest FROM stock GROUP BY tenant_id, location_id) p
    LEFT JOIN location l ON l.tenant_id = p.tenant_id AND l.location_id = p.location_id
), position AS (
    SELECT tenant_id, item_id, location_id, coalesce(s.on_hand, 0) AS on_hand, coalesce(s.reserved, 0) AS reserved, coalesce(s.available, 0) AS available,
           coalesce(s.sequence, 0) AS sequence, s.last_movement_at, coalesce(s.last_movement_type, '') AS last_movement_type,
           coalesce(u.on_order, 0) AS on_order, coalesce(u.next_order, '') AS next_order, u.next_quantity
    FROM stock s FULL JOIN stock_supply u USING (tenant_id, item_id, location_id)
    WHERE (s.sequence IS NOT NULL OR u.on_order > 0)
      AND ($1 = '' OR tenant_id = $1) AND ($2 = '' OR item_id = $2) AND ($3 = '' OR location_id = $3)
), outlook AS (
    SELECT p.*, n.po_number, n.approved, coalesce(n.supplier_id, '') AS next_supplier, coalesce(r.supplier_id, '') AS rule_supplier, o.daily_demand, t.day,
           ` + ruleReorderPoint + ` AS reorder_point,
           CASE WHEN o.daily_demand > 0 THEN greatest(p.available, 0) / o.daily_demand END AS cover,
           (n.ordered_at AT TIME ZONE coalesce(l.timezone, 'UTC'))::date AS ordered_on, v.lead_time_days,
           coalesce(p.available < w.threshold, false) AS low, ` + planning.InTransitSQL("p") + ` AS in_transit
    FROM position p
    LEFT JOIN stock_outlook o USING (tenant_id, item_id, location_id)
    LEFT JOIN low_stock w USING (tenant_id, item_id, location_id)
    LEFT JOIN replenishment_rule r USING (tenant_id, item_id, location_id)
    LEFT JOIN replenishment_state e USING (tenant_id, item_id, location_id)
    LEFT JOIN stock_order n ON n.tenant_id = p.tenant_id AND n.purchase_order_id = p.next_order
    LEFT JOIN supplier v ON v.tenant_id = n.tenant_id AND v.supplier_id = n.supplier_id
    LEFT JOIN location l ON l.tenant_id = p.tenant_id AND l.location_id = p.location_id
    LEFT JOIN today t ON t.tenant_id = p.tenant_id AND t.location_id = p.location_id
), planned AS (
    SELECT o.*, ordered_on + lead_time_days AS expected_on,
           CASE WHEN next_order = '' AND daily_demand > 0 AND (available + in_transit - reorder_point) / daily_demand < 36525
                THEN day + ceil(greatest(available + in_transit - reorder_point, 0) / daily_demand)::int END AS reorder_on
    FROM outlook o
)
SELECT p.tenant_id, p.item_id, coalesce(i.name, ''), p.location_id, p.on_hand, p.reserved, p.available, p.on_order, p.in_transit, p.daily_demand,
       round(p.cover, 1), p.reorder_point, p.sequence, p.last_movement_at, p.last_movement_type, p.low,
       p.next_order, coalesce(p.po_number, ''), p.next_supplier, coalesce(p.approved, false), p.next_quantity,
       coalesce(p.ordered_on::text, ''), coalesce(p.expected_on::text, ''), coalesce(p.reorder_on::text, '')
FROM planned p LEFT JOIN item i ON i.tenant_id = p.tenant_id AND i.item_id = p.item_id
WHERE ($4 = '' OR $4 IN (p.next_supplier, p.rule_supplier)) AND (p.low OR NOT $5::boolean) AND (p.on_order > 0 OR NOT $6::boolean)
  AND (p.on_hand < 0 OR NOT $7::boolean) AND ($8::numeric IS NULL OR p.cover < $8)
ORDER BY CASE WHEN $10::boolean THEN -1 ELSE 1 END *
         CASE $9 WHEN 'on-hand' THEN p.on_hand WHEN 'available' THEN p.available WHEN 'cover' THEN p.cover
                 WHEN 'last-movement' THEN extract(epoch FROM p.last_movement_at)
                 WHEN 'next-order' THEN coalesce(p.expected_on, p.reorder_on) - date '2000-01-01' END NULLS LAST,
         CASE WHEN $10 AND $9 IN ('', 'item') THEN p.item_id END DESC, p.tenant_id, p.item_id, p.location_id
LIMIT nullif($11::int, 0)`)

// ListPlannedStock reads the stock for a planner. A position is listed once it has moved, or while something is on
// order for it.
func ListPlannedStock(ctx context.Context, db *store.DB, q StockQuery) ([]PlannedStock, error) {
	if q.Sort != "" && !slices.Contains(StockSorts, q.Sort) {
		return nil, fmt.Errorf("%w: stock cannot be sorted by %q", store.ErrConfiguration, q.Sort)
	}
	rows := []PlannedStock{}
	err := pg.Each(ctx, db, "reading the stock", plannedStock, func(row *sql.Rows) error {
		var p PlannedStock
		var n NextOrder
		var approved bool
		if err := row.Scan(&p.Tenant, &p.Item, &p.ItemName, &p.Location, &p.OnHand, &p.Reserved, &p.Available, &p.OnOrder, &p.InTransit, &p.DailyDemand,
			&p.DaysOfCover, &p.ReorderPoint, &p.Sequence, &p.LastMovement, &p.LastType, &p.Low,
			&n.Order, &n.Number, &n.Supplier, &approved, &n.Quantity, &n.OrderedOn, &n.ExpectedOn, &n.ReorderOn); err != nil {
			return err
		}
		p.Next = n.complete(approved)
		rows = append(rows, p)
		return nil
	}, q.Tenant, q.Item, q.Location, q.Supplier, q.Low, q.OnOrder, q.Negative, q.CoverBelow, q.Sort, q.Descending, q.Limit)
	return rows, err
}

// complete returns the next order, nil when there is none and none will be due.
func (n NextOrder) complete(approved bool) *NextOrder {
	switch {
	case n.Order == "" && n.ReorderOn == "":
		return nil
	case n.Order == "":
		return &NextOrder{ReorderOn: n.ReorderOn}
	}
	n.Status = "PENDING"
	if approved {
		n.Status = "APPROVED"
	}
	return &n
}
