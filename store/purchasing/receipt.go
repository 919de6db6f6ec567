package purchasing

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// # Receipts
//
// A warehouse names the order of a receipt by its id or its number, in any case, or by the supplier's reference. One
// reference may stand for several orders; the one with a line for the item at the location is meant. What then matches
// no order, or several, stays as it was reported: it counts against no order, and package findings names it.

// ReceiptName is how a receipt at a position names its order.
type ReceiptName struct {
	masterdata.PositionKey
	Order string
}

// NamedOrdersSQL is the orders that a row's tenant_id and name match: purchase_order_id. Ids are small letters, numbers
// capitals.
func NamedOrdersSQL(of, name string) string {
	return `
    SELECT o.purchase_order_id FROM purchase_order o WHERE o.tenant_id = ` + of + `.tenant_id AND o.purchase_order_id IN (` + name + `, lower(` + name + `))
    UNION
    SELECT o.purchase_order_id FROM purchase_order o WHERE o.tenant_id = ` + of + `.tenant_id AND o.po_number IN (` + name + `, upper(` + name + `))
    UNION
    SELECT d.purchase_order_id FROM dispatch d WHERE d.tenant_id = ` + of + `.tenant_id AND d.supplier_reference = ` + name + ` AND d.supplier_reference <> ''`
}

var namedOrders = pg.SQL(`
SELECT k.ord, coalesce(min(l.purchase_order_id) FILTER (WHERE l.purchase_order_id = k.name), min(l.purchase_order_id))
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS k(tenant_id, item_id, location_id, name, ord)
CROSS JOIN LATERAL (` + NamedOrdersSQL("k", "k.name") + `) c
JOIN purchase_order_line l ON l.tenant_id = k.tenant_id AND l.purchase_order_id = c.purchase_order_id AND l.item_id = k.item_id AND l.location_id = k.location_id
GROUP BY k.ord HAVING count(*) = 1 OR bool_or(l.purchase_order_id = k.name)`)

// NamedOrders returns the ids of the orders that the names mean. It leaves out a name that means none, or more than
// one.
func NamedOrders(ctx context.Context, tx store.Tx, names []ReceiptName) (map[ReceiptName]string, error) {
	columns := pg.NewColumns(4, len(names))
	for _, n := range names {
		columns.Add(n.Tenant, n.Item, n.Location, n.Order)
	}
	ids := make(map[ReceiptName]string, len(names))
	err := pg.Each(ctx, tx, fmt.Sprintf("finding the orders of %d receipts", len(names)), namedOrders, func(row *sql.Rows) error {
		var ord int
		var id string
		err := row.Scan(&ord, &id)
		ids[names[ord-1]] = id
		return err
	}, columns...)
	return ids, err
}

// ReceiptProblemsSQL has a row for each receipt that names an order and counts against none: tenant_id, item_id,
// location_id, event_id, problem, and whether it is of the last 30 days of the tenant's business time.
var ReceiptProblemsSQL = `
SELECT r.tenant_id, r.item_id, r.location_id, r.event_id, coalesce(e.occurred_at > l.at - interval '30 days', false) AS recent,
       format('a receipt of %s names order %s, ', trim_scale(r.quantity), r.purchase_order_id) ||
       CASE WHEN n.orders = 0 THEN 'which nothing matches'
            WHEN n.lines = 0 THEN 'which has no line for this item and location'
            WHEN n.lines > 1 THEN format('which %s orders with such a line match', n.lines)
            ELSE 'which was not known when it came' END AS problem
FROM (
    SELECT * FROM stock_receipt r WHERE r.purchase_order_id <> '' AND NOT EXISTS (
        SELECT FROM purchase_order_line l WHERE l.tenant_id = r.tenant_id AND l.purchase_order_id = r.purchase_order_id
                                            AND l.item_id = r.item_id AND l.location_id = r.location_id)
    OFFSET 0) r -- few, before their orders are looked for
CROSS JOIN LATERAL (
    SELECT count(*) AS orders, count(l.purchase_order_id) AS lines
    FROM (` + NamedOrdersSQL("r", "r.purchase_order_id") + `) c
    LEFT JOIN purchase_order_line l ON l.tenant_id = r.tenant_id AND l.purchase_order_id = c.purchase_order_id
                                   AND l.item_id = r.item_id AND l.location_id = r.location_id) n
JOIN (SELECT tenant_id, max(last_movement_at) AS at FROM stock GROUP BY tenant_id) l ON l.tenant_id = r.tenant_id
LEFT JOIN event_log e ON e.seq = r.log_seq`
