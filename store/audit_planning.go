package store

// The checks of planning: what was ordered, what stands in lots, what planners see.

// The names under which these workers keep their inboxes: whose tables the audit looks at.
const (
	auditedReplenishment = "replenishment"
	auditedLots          = "lots"
	auditedProcurement   = "procurement"
)

// keptBy is a row when the consumer named is there: nobody's tables are not held against anything.
const keptBy = `kept AS (SELECT 1 FROM consumer c JOIN subscription s ON s.consumer = c.id WHERE c.name = $1 LIMIT 1)`

// All that CheckPurchasing finds wrong, beside a row for every order.
var auditOrders = sqlText(`
WITH wrong (problem) AS (` + string(checkPurchasing) + `), judged AS MATERIALIZED (
    SELECT 0 AS place, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, NULL::text AS tenant_id, NULL::text AS item_id,
           NULL::text AS location_id, problem FROM wrong
    UNION ALL
    SELECT 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM purchase_order
)` + verdict)

// Replenishment knows what stands there from what it was told, and so must agree with the ledger.
var auditPlanned = sqlText(`
WITH ` + keptBy + `, judged AS MATERIALIZED (
    SELECT 0 AS place, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, s.tenant_id, s.item_id, s.location_id,
           CASE WHEN (s.on_hand, s.sequence) IS DISTINCT FROM (p.on_hand, p.sequence)
                THEN format('has %s on hand after %s movements for replenishment, and %s after %s', s.on_hand, s.sequence, p.on_hand, p.sequence) END AS problem
    FROM replenishment_state s LEFT JOIN position p ON p.tenant_id = s.tenant_id AND p.item_id = s.item_id AND p.location_id = s.location_id
    WHERE s.sequence > 0 AND EXISTS (SELECT FROM kept)
)` + verdict)

// What planners are shown to be on order is what replenishment counts with.
var auditOnOrder = sqlText(`
WITH ` + keptBy + `, judged AS MATERIALIZED (
    SELECT 0 AS place, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, coalesce(r.tenant_id, s.tenant_id) AS tenant_id,
           coalesce(r.item_id, s.item_id) AS item_id, coalesce(r.location_id, s.location_id) AS location_id,
           CASE WHEN coalesce(s.on_order, 0) <> coalesce(r.on_order, 0)
                THEN format('has %s on order in the read model, and %s for replenishment', coalesce(s.on_order, 0), coalesce(r.on_order, 0)) END AS problem
    FROM (SELECT * FROM replenishment_state WHERE bookings > 0) r
    FULL JOIN stock_supply s ON s.tenant_id = r.tenant_id AND s.item_id = r.item_id AND s.location_id = r.location_id
    WHERE EXISTS (SELECT FROM kept)
)` + verdict)

var auditLots = sqlText(`
WITH ` + keptBy + `, held AS (
    SELECT balance_id, sum(quantity) AS quantity, count(*) AS lots FROM lot GROUP BY balance_id
), judged AS MATERIALIZED (
    SELECT 0 AS place, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, b.tenant_id, b.item_id, b.location_id,
           CASE WHEN coalesce(h.lots, 0) <> b.lots THEN format('stands in %s lots and counts %s', coalesce(h.lots, 0), b.lots)
                WHEN coalesce(h.quantity, 0) - b.shortfall IS DISTINCT FROM p.on_hand
                THEN format('has %s in lots less %s sold beyond them, and %s on hand', coalesce(h.quantity, 0), b.shortfall, p.on_hand) END AS problem
    FROM lot_balance b LEFT JOIN held h ON h.balance_id = b.id
    LEFT JOIN position p ON p.tenant_id = b.tenant_id AND p.item_id = b.item_id AND p.location_id = b.location_id
    WHERE b.first_heard > 0 AND EXISTS (SELECT FROM kept)
)` + verdict)

// An approved order is with its supplier, with a person who sends it, or with the supplier's refusal in writing; no other was sent.
// What died on the way to its supplier is counted among the dead.
var auditSent = sqlText(`
WITH ` + keptBy + `, judged AS MATERIALIZED (
    SELECT 0 AS place, NULL::uuid AS event_id, 'order ' || o.po_number AS type, NULL::text AS consumer, NULL::text AS tenant_id, NULL::text AS item_id,
           NULL::text AS location_id,
           CASE WHEN d.status IS NULL THEN 'was never heard of by procurement'
                WHEN o.status = 'APPROVED' AND d.status NOT IN ('SENT', 'BY_HAND', 'REFUSED') THEN 'is approved, and procurement has it as ' || d.status
                WHEN o.status = 'PENDING' AND d.status <> 'WAITING' THEN 'awaits a decision, and procurement has it as ' || d.status
                WHEN o.status = 'CANCELLED' AND d.status NOT LIKE 'CANCELLED%' THEN 'is cancelled, and procurement has it as ' || d.status END AS problem
    FROM purchase_order o LEFT JOIN dispatch d USING (tenant_id, purchase_order_id)
    WHERE EXISTS (SELECT FROM kept)
      AND NOT EXISTS (SELECT FROM dead_letter l JOIN event_log e ON e.event_id = l.event_id
                      WHERE l.consumer = $1 AND e.tenant_id = o.tenant_id AND e.aggregate_id = o.purchase_order_id)
)` + verdict)
