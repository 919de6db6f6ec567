package store

// The checks of the ledger. In each, judged has the columns that verdict reads.

// body is an event's envelope as jsonb: null when it is not the one that was
// logged, which auditLog names. A jsonb cannot hold the zero character, which
// strangers may say in fields that nobody reads.
const body = `CASE WHEN e.body_sha256 = sha256(convert_to(e.body, 'UTF8')) THEN replace(e.body, '\u0000', '\ufffd')::jsonb END`

// What an event says should move: quantity to the place it names (negative: from
// it), and the opposite at the counterpart. A count says what is there afterwards.
// OFFSET 0 keeps the planner from parsing a body once for every field. This is DESIGN's table of movements, written a second time and on purpose.
const impliedLines = `
implied AS (
    SELECT e.seq, e.event_id, e.type, e.tenant_id, e.payload ->> 'itemId' AS item_id,
           CASE e.type WHEN 'TRANSFER_INITIATED' THEN e.payload ->> 'fromLocationId' ELSE e.payload ->> 'locationId' END AS location_id,
           CASE e.type WHEN 'SALE_COMPLETED' THEN '@customer'
                       WHEN 'RECEIPT_COMPLETED' THEN CASE WHEN e.payload ->> 'transferId' <> '' THEN '@transit' ELSE '@supplier' END
                       WHEN 'TRANSFER_INITIATED' THEN '@transit' ELSE '@loss' END AS counterpart,
           CASE WHEN e.type IN ('SALE_COMPLETED', 'TRANSFER_INITIATED') THEN -1 ELSE 1 END * (e.payload -> 'quantity')::numeric AS quantity
    FROM (SELECT e.seq, e.event_id, e.type, e.b ->> 'tenantId' AS tenant_id, e.b -> 'payload' AS payload
          FROM (SELECT e.seq, e.event_id, e.type, ` + body + ` AS b FROM event_log e
                WHERE e.type IN ('SALE_COMPLETED', 'RECEIPT_COMPLETED', 'TRANSFER_INITIATED', 'STOCK_ADJUSTED', 'STOCK_COUNTED') OFFSET 0) e
          OFFSET 0) e
), line AS (
    SELECT m.event_id, m.line, m.quantity, m.on_hand, m.sequence, p.tenant_id, p.item_id, p.location_id
    FROM movement m LEFT JOIN position p ON p.id = m.position_id
)`

// An event that is dead for the ledger, and not handled by it, moves nothing.
var auditImplied = sqlText(`
WITH ` + impliedLines + `, dead AS (
    SELECT DISTINCT d.event_id FROM dead_letter d
    WHERE d.consumer = $1 AND d.event_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM inbox_generation g JOIN consumer c ON c.name = $1
                      JOIN inbox i ON i.generation = g.generation AND i.consumer = c.id AND i.event_id = d.event_id)
), judged AS MATERIALIZED (
    SELECT s.seq AS place, coalesce(s.event_id, a.event_id, b.event_id) AS event_id, s.type, NULL::text AS consumer,
           coalesce(s.tenant_id, a.tenant_id) AS tenant_id, coalesce(s.item_id, a.item_id) AS item_id, coalesce(s.location_id, a.location_id) AS location_id,
           CASE WHEN s.event_id IS NULL THEN 'has moved stock and is not in the log'
                WHEN a.event_id IS NULL AND b.event_id IS NULL THEN CASE WHEN d.event_id IS NULL THEN 'has moved no stock' END
                WHEN a.event_id IS NULL THEN 'has moved no stock at its own location, only at ' || s.counterpart
                WHEN b.event_id IS NULL THEN 'has moved no stock at ' || s.counterpart || ', only at its own location'
                WHEN (a.tenant_id, a.item_id, a.location_id) IS DISTINCT FROM (s.tenant_id, s.item_id, s.location_id)
                THEN format('has moved stock of %s/%s/%s instead', a.tenant_id, a.item_id, a.location_id)
                WHEN (b.tenant_id, b.item_id, b.location_id) IS DISTINCT FROM (s.tenant_id, s.item_id, s.counterpart)
                THEN format('has its other side at %s/%s/%s instead of %s', b.tenant_id, b.item_id, b.location_id, s.counterpart)
                WHEN s.type = 'STOCK_COUNTED' AND a.on_hand <> s.quantity THEN format('counted %s, and on hand was %s afterwards', s.quantity, a.on_hand)
                WHEN s.type <> 'STOCK_COUNTED' AND a.quantity <> s.quantity THEN format('has moved %s instead of %s', a.quantity, s.quantity)
                WHEN a.quantity <> -b.quantity THEN format('has moved %s, and %s at %s', a.quantity, b.quantity, s.counterpart) END AS problem
    FROM implied s
    FULL JOIN (SELECT * FROM line WHERE line = 0) a ON a.event_id = s.event_id
    FULL JOIN (SELECT * FROM line WHERE line = 1) b ON b.event_id = coalesce(s.event_id, a.event_id)
    LEFT JOIN dead d ON d.event_id = s.event_id
    UNION ALL
    SELECT NULL, event_id, NULL, NULL, tenant_id, item_id, location_id, format('has moved %s more, as line %s: there are lines 0 and 1', quantity, line)
    FROM line WHERE line NOT IN (0, 1)
)` + verdict)

// A movement says its place in its position's row of movements and what was on
// hand after it: a gap, a double or a changed quantity is seen where it begins.
var auditMovements = sqlText(`
WITH step AS (
    SELECT event_id, line, position_id, sequence, quantity, on_hand, type, lag(sequence) OVER w AS before, coalesce(lag(on_hand) OVER w, 0) AS stood
    FROM movement WINDOW w AS (PARTITION BY position_id ORDER BY sequence)
), judged AS MATERIALIZED (
    SELECT m.sequence AS place, m.event_id, m.type, NULL::text AS consumer, p.tenant_id, p.item_id, p.location_id,
           CASE WHEN p.id IS NULL THEN format('moves position %s, which is not there', m.position_id)
                WHEN m.sequence = m.before THEN format('is number %s of its position, and so is another', m.sequence)
                WHEN m.sequence <> coalesce(m.before, 0) + 1
                THEN format('is number %s of its position, and the one before is number %s', m.sequence, coalesce(m.before, 0))
                WHEN m.on_hand <> m.stood + m.quantity
                THEN format('is number %s of its position: %s and %s is not %s', m.sequence, m.stood, m.quantity, m.on_hand) END AS problem
    FROM step m LEFT JOIN position p ON p.id = m.position_id
)` + verdict)

var auditPositions = sqlText(`
WITH moved AS (
    SELECT position_id, sum(quantity) AS on_hand, count(*) AS sequence FROM movement GROUP BY position_id
), judged AS MATERIALIZED (
    SELECT coalesce(p.id, m.position_id) AS place, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, p.tenant_id, p.item_id, p.location_id,
           CASE WHEN p.id IS NULL THEN format('position %s has %s movements and is not there', m.position_id, m.sequence)
                WHEN p.on_hand <> coalesce(m.on_hand, 0) THEN format('has %s on hand, and its movements sum to %s', p.on_hand, coalesce(m.on_hand, 0))
                WHEN p.sequence <> coalesce(m.sequence, 0) THEN format('counts %s movements and has %s', p.sequence, coalesce(m.sequence, 0)) END AS problem
    FROM position p FULL JOIN moved m ON m.position_id = p.id
)` + verdict)

var auditBalance = sqlText(`
WITH judged AS MATERIALIZED (
    SELECT 0 AS place, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, p.tenant_id, p.item_id, NULL::text AS location_id,
           CASE WHEN sum(m.quantity) <> 0 THEN format('its movements sum to %s over all locations', sum(m.quantity)) END AS problem
    FROM (SELECT position_id, sum(quantity) AS quantity FROM movement GROUP BY position_id) m JOIN position p ON p.id = m.position_id
    GROUP BY p.tenant_id, p.item_id
)` + verdict)

// The ledger says INVENTORY_UPDATED of the position an event names, which is line 0.
var auditTold = sqlText(`
WITH told AS MATERIALIZED (
    SELECT e.seq, e.event_id, e.metadata ->> 'causationId' AS cause, (e.metadata -> 'sequence')::bigint AS sequence, e.tenant_id,
           e.payload ->> 'itemId' AS item_id, e.payload ->> 'locationId' AS location_id,
           (e.payload -> 'onHand')::numeric AS on_hand, (e.payload -> 'quantity')::numeric AS quantity
    FROM (SELECT e.seq, e.event_id, e.b ->> 'tenantId' AS tenant_id, e.b -> 'payload' AS payload, e.b -> 'metadata' AS metadata
          FROM (SELECT e.seq, e.event_id, ` + body + ` AS b FROM event_log e WHERE e.type = 'INVENTORY_UPDATED' OFFSET 0) e
          OFFSET 0) e
), line AS (
    SELECT m.event_id, m.event_id::text AS cause, m.type, m.quantity, m.on_hand, m.sequence, p.tenant_id, p.item_id, p.location_id
    FROM movement m LEFT JOIN position p ON p.id = m.position_id WHERE m.line = 0
), judged AS MATERIALIZED (
    SELECT s.seq AS place, coalesce(m.event_id, s.event_id) AS event_id, coalesce(m.type, 'INVENTORY_UPDATED') AS type, NULL::text AS consumer,
           coalesce(m.tenant_id, s.tenant_id) AS tenant_id, coalesce(m.item_id, s.item_id) AS item_id, coalesce(m.location_id, s.location_id) AS location_id,
           CASE WHEN s.event_id IS NULL THEN 'has moved stock, and no INVENTORY_UPDATED tells of it'
                WHEN m.event_id IS NULL THEN format('tells of a movement by event %s that is not there', s.cause)
                WHEN (s.tenant_id, s.item_id, s.location_id) IS DISTINCT FROM (m.tenant_id, m.item_id, m.location_id)
                THEN format('is told by event %s as of %s/%s/%s', s.event_id, s.tenant_id, s.item_id, s.location_id)
                WHEN (s.on_hand, s.quantity, s.sequence) IS DISTINCT FROM (m.on_hand, m.quantity, m.sequence)
                THEN format('is told by event %s as number %s of %s to %s on hand, and was number %s of %s to %s',
                            s.event_id, s.sequence, s.quantity, s.on_hand, m.sequence, m.quantity, m.on_hand) END AS problem
    FROM told s FULL JOIN line m ON m.cause = s.cause
    UNION ALL
    SELECT NULL, NULL, 'INVENTORY_UPDATED', NULL, NULL, NULL, NULL, format('%s of them tell of the movement by event %s', count(*), cause)
    FROM told GROUP BY cause HAVING count(*) > 1
)` + verdict)

// The read model is compared when somebody keeps it. A virtual location is in nobody's view.
var auditStock = sqlText(`
WITH kept AS (
    SELECT 1 FROM consumer c JOIN subscription s ON s.consumer = c.id WHERE c.name = $1 LIMIT 1
), judged AS MATERIALIZED (
    SELECT 0 AS place, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, coalesce(p.tenant_id, s.tenant_id) AS tenant_id,
           coalesce(p.item_id, s.item_id) AS item_id, coalesce(p.location_id, s.location_id) AS location_id,
           CASE WHEN s.tenant_id IS NULL THEN 'is not in the read model'
                WHEN p.tenant_id IS NULL THEN 'is in the read model and no position'
                WHEN (s.on_hand, s.sequence) IS DISTINCT FROM (p.on_hand, p.sequence)
                THEN format('has %s on hand after %s movements in the read model, and %s after %s', s.on_hand, s.sequence, p.on_hand, p.sequence) END AS problem
    FROM (SELECT * FROM position WHERE sequence > 0 AND location_id NOT LIKE '@%') p
    FULL JOIN stock s ON s.tenant_id = p.tenant_id AND s.item_id = p.item_id AND s.location_id = p.location_id
    WHERE EXISTS (SELECT FROM kept)
)` + verdict)
