package audit

import (
	"github.com/composerp/composerp/store/findings"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/purchasing"
)

// The checks of the tables that other workers keep: stock, orders, lots, planned stock. They compare states, position
// by position and order by order, and so grow with the catalogue and not with the log.

// The names under which these workers keep their inboxes.
const (
	auditedReplenishment = "replenishment"
	auditedLots          = "lots"
	auditedProcurement   = "procurement"
)

// consumerExists yields a row when the consumer exists: tables without their worker are not checked.
func consumerExists(consumer string) string {
	return `has_consumer AS (SELECT 1 FROM consumer c JOIN subscription s ON s.consumer = c.id WHERE c.name = '` + consumer + `' LIMIT 1)`
}

// inFlight are open deliveries of some consumers that are not known to be lost.
func inFlight(consumers string) string {
	return `FROM audit_open o WHERE o.checkpoint = {now} AND NOT o.dead AND NOT o.lost AND o.consumer IN (` + consumers + `)`
}

// pendingPositions are the positions with a delivery in flight to a consumer: its tables may differ there until then.
func pendingPositions(consumers string) string {
	return `
busy AS MATERIALIZED (
    SELECT DISTINCT e.tenant_id, e.b -> 'payload' ->> 'itemId' AS item_id, e.b -> 'payload' ->> 'locationId' AS location_id
    FROM (SELECT o.tenant_id, e.b FROM (SELECT o.seq, o.tenant_id ` + inFlight(consumers) + ` AND o.type = 'INVENTORY_UPDATED' OFFSET 0) o
          CROSS JOIN LATERAL (SELECT ` + body + ` AS b FROM event_log e WHERE e.seq = o.seq OFFSET 0) e) e
)`
}

// withoutPending leaves out the positions with deliveries in flight. NOT IN makes a hash of them also below an OR,
// where NOT EXISTS would go through all of them for each position.
func withoutPending(of string) string {
	return `(` + of + `.tenant_id, ` + of + `.item_id, ` + of + `.location_id) NOT IN (
        SELECT tenant_id, item_id, location_id FROM busy WHERE item_id IS NOT NULL AND location_id IS NOT NULL)`
}

// The read model is compared when stockview exists. It does not keep virtual locations.
var auditStock = oneVariant(`
WITH ` + consumerExists(auditedStockview) + `, ` + pendingPositions(`'`+auditedStockview+`'`) + `, compared AS (
    SELECT coalesce(p.tenant_id, s.tenant_id) AS tenant_id, coalesce(p.item_id, s.item_id) AS item_id, coalesce(p.location_id, s.location_id) AS location_id,
           CASE WHEN s.tenant_id IS NULL THEN 'is not in the read model'
                WHEN p.tenant_id IS NULL THEN 'is in the read model and no position'
                WHEN (s.on_hand, s.sequence) IS DISTINCT FROM (p.on_hand, p.sequence)
                THEN format('has %s on hand after %s movements in the read model, and %s after %s', s.on_hand, s.sequence, p.on_hand, p.sequence) END AS problem
    FROM (SELECT * FROM position WHERE sequence > 0 AND location_id NOT LIKE '@%') p
    FULL JOIN stock s ON s.tenant_id = p.tenant_id AND s.item_id = p.item_id AND s.location_id = p.location_id
    WHERE EXISTS (SELECT FROM has_consumer)
), judged AS MATERIALIZED (
    SELECT 0 AS sort_key, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, c.* FROM compared c WHERE c.problem IS NULL OR ` + withoutPending("c") + `
)` + result)

// All that PurchasingProblemsSQL finds, beside a row for every order.
var auditOrders = oneVariant(`
WITH wrong (problem) AS (` + string(purchasing.PurchasingProblemsSQL) + `), judged AS MATERIALIZED (
    SELECT 0 AS sort_key, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, NULL::text AS tenant_id, NULL::text AS item_id,
           NULL::text AS location_id, problem FROM wrong
    UNION ALL
    SELECT 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM purchase_order
)` + result)

// Replenishment keeps stock from events, and so must agree with the ledger.
var auditPlanned = oneVariant(`
WITH ` + consumerExists(auditedReplenishment) + `, ` + pendingPositions(`'`+auditedReplenishment+`'`) + `, judged AS MATERIALIZED (
    SELECT 0 AS sort_key, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, s.tenant_id, s.item_id, s.location_id,
           CASE WHEN (s.on_hand, s.sequence) IS DISTINCT FROM (p.on_hand, p.sequence)
                THEN format('has %s on hand after %s movements for replenishment, and %s after %s', s.on_hand, s.sequence, p.on_hand, p.sequence) END AS problem
    FROM replenishment_state s LEFT JOIN position p ON p.tenant_id = s.tenant_id AND p.item_id = s.item_id AND p.location_id = s.location_id
    WHERE s.sequence > 0 AND EXISTS (SELECT FROM has_consumer) AND ` + withoutPending("s") + `
)` + result)

// The on-order quantity shown to planners is the one replenishment uses, once both have handled the same events.
var auditOnOrder = oneVariant(`
WITH ` + consumerExists(auditedStockview) + `, ` + pendingPositions(`'`+auditedStockview+`', '`+auditedReplenishment+`'`) + `, ordering AS (
    SELECT l.tenant_id, l.item_id, l.location_id FROM purchase_order_line l
    WHERE EXISTS (SELECT ` + inFlight(`'`+auditedStockview+`', '`+auditedReplenishment+`'`) + ` AND o.tenant_id = l.tenant_id AND o.aggregate_id = l.purchase_order_id)
), compared AS (
    SELECT coalesce(r.tenant_id, s.tenant_id) AS tenant_id,
           coalesce(r.item_id, s.item_id) AS item_id, coalesce(r.location_id, s.location_id) AS location_id,
           CASE WHEN coalesce(s.on_order, 0) <> coalesce(r.on_order, 0)
                THEN format('has %s on order in the read model, and %s for replenishment', coalesce(s.on_order, 0), coalesce(r.on_order, 0)) END AS problem
    FROM (SELECT * FROM replenishment_state WHERE bookings > 0) r
    FULL JOIN stock_supply s ON s.tenant_id = r.tenant_id AND s.item_id = r.item_id AND s.location_id = r.location_id
    WHERE EXISTS (SELECT FROM has_consumer)
), judged AS MATERIALIZED (
    SELECT 0 AS sort_key, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, c.* FROM compared c
    WHERE c.problem IS NULL OR ` + withoutPending("c") + `
      AND NOT EXISTS (SELECT FROM ordering y WHERE y.tenant_id = c.tenant_id AND y.item_id = c.item_id AND y.location_id = c.location_id)
)` + result)

// The transfers that replenishment knows of are those that the ledger has moved.
var auditInTransit = oneVariant(`
WITH ` + consumerExists(auditedReplenishment) + `, ` + pendingPositions(`'`+auditedReplenishment+`'`) + `, judged AS MATERIALIZED (
    SELECT 0 AS sort_key, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, coalesce(p.tenant_id, t.tenant_id) AS tenant_id,
           coalesce(p.item_id, t.item_id) AS item_id, '@transit' AS location_id,
           CASE WHEN coalesce(t.rest, 0) <> coalesce(p.on_hand, 0)
                THEN format('has %s in transit by its transfers, and %s on hand', trim_scale(coalesce(t.rest, 0)), trim_scale(coalesce(p.on_hand, 0))) END AS problem
    FROM (SELECT * FROM position WHERE location_id = '@transit') p
    FULL JOIN (SELECT tenant_id, item_id, sum(sent - received) AS rest FROM transfer GROUP BY tenant_id, item_id) t
         ON t.tenant_id = p.tenant_id AND t.item_id = p.item_id
    WHERE EXISTS (SELECT FROM has_consumer)
      AND NOT EXISTS (SELECT FROM busy y WHERE y.tenant_id = coalesce(p.tenant_id, t.tenant_id) AND y.item_id = coalesce(p.item_id, t.item_id))
)` + result)

// reportedFindings are the findings of a check, the open ones first.
func reportedFindings(check string) string {
	return `
    SELECT (a.id IS NOT NULL)::int AS sort_key, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, f.tenant_id, f.item_id, f.location_id,
           f.problem || coalesce(' (acknowledged by ' || a.acknowledged_by || ': ' || a.reason || ')', '') AS problem
    FROM (` + findings.SQL + `) f LEFT JOIN acknowledged_finding a ON a.id = f.id WHERE f.check_name = '` + check + `'`
}

var acknowledgedFindings = pg.SQL(`SELECT count(*) FROM (` + findings.SQL + `) f JOIN acknowledged_finding a ON a.id = f.id WHERE f.check_name = $1`)

// All findings about transfers, beside a row for every leg of a transfer.
var auditTransfers = oneVariant(`
WITH judged AS MATERIALIZED (` + reportedFindings(findings.Transfers) + `
    UNION ALL
    SELECT 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM transfer WHERE transfer_id <> ''
)` + result)

// All findings about receipts, beside a row for every receipt.
var auditReceipts = oneVariant(`
WITH judged AS MATERIALIZED (` + reportedFindings(findings.Receipts) + `
    UNION ALL
    SELECT 2, event_id, NULL, NULL, NULL, NULL, NULL, NULL FROM stock_receipt
)` + result)

var auditLots = oneVariant(`
WITH ` + consumerExists(auditedLots) + `, ` + pendingPositions(`'`+auditedLots+`'`) + `, held AS (
    SELECT balance_id, sum(quantity) AS quantity, count(*) AS lots FROM lot GROUP BY balance_id
), judged AS MATERIALIZED (
    SELECT 0 AS sort_key, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, b.tenant_id, b.item_id, b.location_id,
           CASE WHEN coalesce(h.lots, 0) <> b.lots THEN format('stands in %s lots and counts %s', coalesce(h.lots, 0), b.lots)
                WHEN coalesce(h.quantity, 0) - b.shortfall IS DISTINCT FROM p.on_hand
                THEN format('has %s in lots less %s sold beyond them, and %s on hand', coalesce(h.quantity, 0), b.shortfall, p.on_hand) END AS problem
    FROM lot_balance b LEFT JOIN held h ON h.balance_id = b.id
    LEFT JOIN position p ON p.tenant_id = b.tenant_id AND p.item_id = b.item_id AND p.location_id = b.location_id
    WHERE b.first_heard > 0 AND EXISTS (SELECT FROM has_consumer) AND ` + withoutPending("b") + `
)` + result)

// An approved order is with its supplier, left to a person, or refused by the supplier in writing; no other was sent.
// Deliveries that died count among the dead, and those in flight are left out.
var auditSent = oneVariant(`
WITH ` + consumerExists(auditedProcurement) + `, judged AS MATERIALIZED (
    SELECT 0 AS sort_key, NULL::uuid AS event_id, 'order ' || o.po_number AS type, NULL::text AS consumer, NULL::text AS tenant_id, NULL::text AS item_id,
           NULL::text AS location_id,
           CASE WHEN d.status IS NULL THEN 'is unknown to procurement'
                WHEN o.status = 'APPROVED' AND d.status NOT IN ('SENT', 'BY_HAND', 'REFUSED') THEN 'is approved, and procurement has it as ' || d.status
                WHEN o.status = 'PENDING' AND d.status <> 'WAITING' THEN 'awaits a decision, and procurement has it as ' || d.status
                WHEN o.status = 'CANCELLED' AND d.status NOT LIKE 'CANCELLED%' THEN 'is cancelled, and procurement has it as ' || d.status END AS problem
    FROM purchase_order o LEFT JOIN dispatch d USING (tenant_id, purchase_order_id)
    WHERE EXISTS (SELECT FROM has_consumer)
      AND NOT EXISTS (SELECT FROM audit_open q WHERE q.checkpoint = {now} AND q.consumer = '` + auditedProcurement + `' AND NOT q.lost
                      AND q.tenant_id = o.tenant_id AND q.aggregate_id = o.purchase_order_id)
)` + result)
