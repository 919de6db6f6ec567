package purchasing

import (
	"github.com/composerp/composerp/store/internal/pg"
)

// PurchasingProblemsSQL compares orders, their lines, on order and bookings in one snapshot, and names each
// inconsistency: on order differs from the open lines; or an order was made above its reorder point or with a wrong
// on-order quantity, so that two were open for one need.
var PurchasingProblemsSQL = pg.SQL(`
WITH lines AS (
    SELECT l.tenant_id, l.item_id, l.location_id, sum(greatest(l.quantity - l.received, 0)) FILTER (WHERE l.open) AS awaited
    FROM purchase_order_line l GROUP BY 1, 2, 3
), bookings AS (
    SELECT b.*, coalesce(lag(b.on_order) OVER w, 0) AS before, coalesce(lag(b.ordinal) OVER w, 0) AS ordinal_before
    FROM on_order_booking b WINDOW w AS (PARTITION BY b.state_id ORDER BY b.ordinal)
), booked AS (
    SELECT state_id, count(*) AS n, sum(change) AS total FROM on_order_booking GROUP BY state_id
)
SELECT format('%s at %s: %s is on order, its open lines await %s', s.item_id, s.location_id, s.on_order, coalesce(l.awaited, 0))
FROM replenishment_state s FULL JOIN lines l USING (tenant_id, item_id, location_id)
WHERE coalesce(s.on_order, 0) <> coalesce(l.awaited, 0)
UNION ALL
SELECT format('%s at %s: %s is on order after %s bookings, there are %s and they sum to %s', s.item_id, s.location_id, s.on_order, s.bookings, coalesce(b.n, 0), coalesce(b.total, 0))
FROM replenishment_state s LEFT JOIN booked b ON b.state_id = s.id
WHERE s.on_order <> coalesce(b.total, 0) OR s.bookings <> coalesce(b.n, 0)
UNION ALL
SELECT format('%s at %s: booking %s (%s) of order %s does not follow from the one before', s.item_id, s.location_id, b.ordinal, b.kind, b.purchase_order_id)
FROM bookings b JOIN replenishment_state s ON s.id = b.state_id
WHERE b.ordinal <> b.ordinal_before + 1 OR b.on_order <> b.before + b.change OR (b.kind = 'ORDERED') <> (b.change > 0) OR b.on_order < 0
UNION ALL
SELECT format('%s at %s: one event has made two orders, %s among them', s.item_id, s.location_id, min(b.purchase_order_id))
FROM on_order_booking b JOIN replenishment_state s ON s.id = b.state_id
WHERE b.kind = 'ORDERED' GROUP BY s.item_id, s.location_id, b.state_id, b.event_id HAVING count(*) > 1
UNION ALL
SELECT format('%s (%s at %s) was made with %s on order, it was %s', o.po_number, l.item_id, l.location_id, l.on_order, coalesce(b.before::text, 'never booked'))
FROM purchase_order_line l JOIN purchase_order o USING (tenant_id, purchase_order_id)
LEFT JOIN replenishment_state s ON s.tenant_id = l.tenant_id AND s.item_id = l.item_id AND s.location_id = l.location_id
LEFT JOIN bookings b ON b.state_id = s.id AND b.ordinal = l.ordinal AND b.kind = 'ORDERED' AND b.purchase_order_id = l.purchase_order_id
WHERE b.before IS DISTINCT FROM l.on_order OR b.change IS DISTINCT FROM l.quantity
UNION ALL
SELECT format('%s (%s at %s) was made at the position %s, above the reorder point %s', o.po_number, l.item_id, l.location_id, l.available + l.on_order + l.in_transit, l.reorder_point)
FROM purchase_order_line l JOIN purchase_order o USING (tenant_id, purchase_order_id)
WHERE l.available + l.on_order + l.in_transit > l.reorder_point
UNION ALL
SELECT format('%s (%s at %s) lifted the position to %s, not above the reorder point %s', o.po_number, l.item_id, l.location_id, l.available + l.on_order + l.in_transit + l.quantity, l.reorder_point)
FROM purchase_order_line l JOIN purchase_order o USING (tenant_id, purchase_order_id)
WHERE l.available + l.on_order + l.in_transit + l.quantity <= l.reorder_point
UNION ALL
SELECT format('%s (%s at %s) is %s with %s of %s received and %s by its bookings', o.po_number, l.item_id, l.location_id,
              CASE WHEN l.open THEN 'open' ELSE 'closed' END, l.received, l.quantity, b.received)
FROM purchase_order_line l JOIN purchase_order o USING (tenant_id, purchase_order_id)
LEFT JOIN LATERAL (
    SELECT coalesce(sum(b.quantity) FILTER (WHERE b.kind = 'RECEIVED'), 0) AS received, count(*) FILTER (WHERE b.kind IN ('CANCELLED', 'CLOSED')) AS cancelled
    FROM on_order_booking b JOIN replenishment_state s ON s.id = b.state_id
    WHERE b.tenant_id = l.tenant_id AND b.purchase_order_id = l.purchase_order_id AND s.item_id = l.item_id AND s.location_id = l.location_id) b ON true
WHERE b.received <> l.received OR b.cancelled > 1 OR l.open <> (l.received < l.quantity AND b.cancelled = 0)
UNION ALL
SELECT format('%s has %s lines, their total is %s and not %s', o.po_number, count(l.item_id), sum(round(l.quantity * l.unit_price, 6)), o.total_amount)
FROM purchase_order o LEFT JOIN purchase_order_line l USING (tenant_id, purchase_order_id)
GROUP BY o.tenant_id, o.purchase_order_id
HAVING coalesce(sum(round(l.quantity * l.unit_price, 6)), 0) <> o.total_amount OR bool_and(l.unit_price IS NOT NULL) IS DISTINCT FROM o.priced
UNION ALL
SELECT format('%s is %s by %s', po_number, status, CASE decided_by WHEN '' THEN 'no user' ELSE decided_by END)
FROM purchase_order WHERE (status = 'PENDING') <> (decided_by = '') OR (status = 'PENDING') <> (decided_at IS NULL)`)
