package store

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
)

// # Going on
//
// What follows is for whoever lives beside the fleet and comes back: on which day
// it was left, and what was under way then.

var lastMovementAt = sqlText(`SELECT max(last_movement_at) FROM stock WHERE tenant_id = $1`)

// LastBusinessDate is the day of a tenant's latest movement that the stock read
// model knows of, as the zone's calendars have it; "" when there is none.
func (db *DB) LastBusinessDate(ctx context.Context, tenant string, zone *time.Location) (event.Date, error) {
	var at *time.Time
	if err := db.get(ctx, &at, lastMovementAt, tenant); err != nil {
		return "", fmt.Errorf("reading the last movement of %s: %w", tenant, err)
	}
	if at == nil {
		return "", nil
	}
	return BusinessDate(*at, zone), nil
}

var loggedSince = sqlText(`
SELECT seq, event_id, type, occurred_at, body FROM event_log
WHERE tenant_id = $1 AND type = $2 AND occurred_at >= $3 ORDER BY seq`)

// LoggedSince gives a tenant's events of one type from a moment of business time
// on. It reads the whole log: it is asked once, by who begins.
func (db *DB) LoggedSince(ctx context.Context, tenant string, kind event.Type, since time.Time) ([]Logged, error) {
	var found []Logged
	if err := db.selectAll(ctx, &found, loggedSince, tenant, string(kind), since); err != nil {
		return nil, fmt.Errorf("reading the %s events of %s: %w", kind, tenant, err)
	}
	return found, nil
}

var loggedAfter = sqlText(`
SELECT seq, event_id, type, occurred_at, body FROM event_log
WHERE seq > $1 AND tenant_id = $2 AND type = ANY (string_to_array($3, ',')) ORDER BY seq LIMIT $4`)

// LoggedAfter gives at most limit events of some types, a tenant's, past a place
// of the log. One whose transaction is late may be passed over: it is for
// somebody who watches.
func (db *DB) LoggedAfter(ctx context.Context, tenant string, after int64, limit int, kinds ...event.Type) ([]Logged, error) {
	names := ""
	for i, k := range kinds {
		if i > 0 {
			names += ","
		}
		names += string(k)
	}
	var found []Logged
	if err := db.selectAll(ctx, &found, loggedAfter, after, tenant, names, limit); err != nil {
		return nil, fmt.Errorf("reading the log of %s: %w", tenant, err)
	}
	return found, nil
}

var sentRequests = sqlText(`
SELECT d.request FROM dispatch d
WHERE d.tenant_id = $1 AND d.sent_at IS NOT NULL
  AND EXISTS (SELECT FROM purchase_order_line l WHERE l.tenant_id = d.tenant_id AND l.purchase_order_id = d.purchase_order_id AND l.open)
ORDER BY d.purchase_order_id`)

// SentOrders gives the orders that suppliers have and have not yet brought
// whole, as they were sent.
func (db *DB) SentOrders(ctx context.Context, tenant string) ([]string, error) {
	var requests []string
	if err := db.selectAll(ctx, &requests, sentRequests, tenant); err != nil {
		return nil, fmt.Errorf("reading the orders under way of %s: %w", tenant, err)
	}
	return requests, nil
}

// WaitingOrder is an order that policy has left to a person.
type WaitingOrder struct {
	OrderKey
	Number    string        `db:"po_number"`
	Supplier  string        `db:"supplier_id"`
	Total     event.Decimal `db:"total_amount"`
	CreatedAt time.Time     `db:"created_at"`
}

var waitingOrders = sqlText(`
SELECT tenant_id, purchase_order_id, po_number, supplier_id, total_amount, created_at FROM purchase_order
WHERE tenant_id = $1 AND status = 'PENDING' ORDER BY created_at, purchase_order_id`)

// WaitingOrders gives a tenant's orders that nobody has decided about, oldest first.
func (db *DB) WaitingOrders(ctx context.Context, tenant string) ([]WaitingOrder, error) {
	var orders []WaitingOrder
	if err := db.selectAll(ctx, &orders, waitingOrders, tenant); err != nil {
		return nil, fmt.Errorf("reading the orders that wait: %w", err)
	}
	return orders, nil
}

// Pulse is how a tenant's stock and orders stand at a moment.
type Pulse struct {
	Low      int64 `db:"low" json:"low"`           // positions below their threshold
	Out      int64 `db:"out" json:"out"`           // positions with a rule and nothing on hand
	Watched  int64 `db:"watched" json:"watched"`   // positions with a rule
	Waiting  int64 `db:"waiting" json:"waiting"`   // orders that a person must decide
	Unsent   int64 `db:"unsent" json:"unsent"`     // approved, and not yet confirmed by the supplier
	Sent     int64 `db:"sent" json:"sent"`         // confirmed, and not yet come whole
	Received int64 `db:"received" json:"received"` // come whole
	Rejected int64 `db:"rejected" json:"rejected"` // cancelled
}

// Ordered is how many orders there are in all.
func (p Pulse) Ordered() int64 { return p.Waiting + p.Unsent + p.Sent + p.Received + p.Rejected }

var pulse = sqlText(`
SELECT s.*, o.* FROM (
    SELECT count(*) FILTER (WHERE p.on_hand - p.reserved < r.low_stock_threshold) AS low, count(*) FILTER (WHERE p.on_hand <= 0) AS out, count(*) AS watched
    FROM replenishment_rule r JOIN position p USING (tenant_id, item_id, location_id) WHERE r.tenant_id = $1) s, (
    SELECT count(*) FILTER (WHERE o.status = 'PENDING') AS waiting,
           count(*) FILTER (WHERE o.status = 'APPROVED' AND l.open AND d.sent_at IS NULL) AS unsent,
           count(*) FILTER (WHERE o.status = 'APPROVED' AND l.open AND d.sent_at IS NOT NULL) AS sent,
           count(*) FILTER (WHERE o.status = 'APPROVED' AND NOT l.open) AS received,
           count(*) FILTER (WHERE o.status = 'CANCELLED') AS rejected
    FROM (SELECT tenant_id, purchase_order_id, bool_or(open) AS open FROM purchase_order_line WHERE tenant_id = $1 GROUP BY 1, 2) l
    JOIN purchase_order o USING (tenant_id, purchase_order_id)
    LEFT JOIN dispatch d USING (tenant_id, purchase_order_id)) o`)

// Pulse counts how a tenant stands. It reads every position with a rule and every
// order: a look of some milliseconds for a thousand of them.
func (db *DB) Pulse(ctx context.Context, tenant string) (Pulse, error) {
	var p Pulse
	if err := db.get(ctx, &p, pulse, tenant); err != nil {
		return Pulse{}, fmt.Errorf("counting how %s stands: %w", tenant, err)
	}
	return p, nil
}
