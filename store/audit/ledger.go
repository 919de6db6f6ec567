package audit

import (
	"github.com/composerp/composerp/store/eventlog"
)

// The checks of the ledger. In each, judged has the columns that result reads.

// whole tells whether an event's body is the one that was logged, or stands in for it since an erasure.
const whole = `CASE WHEN e.body_sha256 = sha256(convert_to(e.body, 'UTF8')) THEN true
                    ELSE EXISTS (SELECT FROM erasure r WHERE r.seq = e.seq AND r.body_sha256 = e.body_sha256 AND r.stand_in_sha256 = sha256(convert_to(e.body, 'UTF8'))) END`

// body is an event's envelope as jsonb: null when it is not the one that was logged, which auditLog reports. jsonb
// cannot hold the zero character, which external publishers may send in unread fields.
const body = `CASE WHEN ` + whole + ` THEN replace(e.body, '\u0000', '\ufffd')::jsonb END`

// movingTypes are the types of the events that move goods.
const movingTypes = `'SALE_COMPLETED', 'RECEIPT_COMPLETED', 'TRANSFER_INITIATED', 'STOCK_ADJUSTED', 'STOCK_COUNTED'`

// notMoved: events open for these may have moved nothing yet. The ledger gets nothing that the relay has not
// published.
const notMoved = `'` + auditedLedger + `', '` + eventlog.RelayConsumer + `'`

// What an event should move: quantity to the location it names (negative: from it), and the opposite at the
// counterpart. A count sets the stock of its time: what is on hand after it, without the movements before it in number
// and after it in time. What is dated before a count moves back what it moved, at the time of the count, as lines 2 and
// 3. A misdated movement counts by its corrected time in what was booked since the correction. OFFSET 0 keeps the
// planner from parsing a body once for every field. This is DESIGN's table of movements, written a second time on
// purpose.
func impliedLines(w extent) string {
	return `
implied AS (
    SELECT e.seq, e.event_id, e.type, e.tenant_id, e.payload ->> 'itemId' AS item_id,
           CASE e.type WHEN 'TRANSFER_INITIATED' THEN e.payload ->> 'fromLocationId' ELSE e.payload ->> 'locationId' END AS location_id,
           CASE e.type WHEN 'SALE_COMPLETED' THEN '@customer'
                       WHEN 'RECEIPT_COMPLETED' THEN CASE WHEN e.payload ->> 'transferId' <> '' THEN '@transit' ELSE '@supplier' END
                       WHEN 'TRANSFER_INITIATED' THEN '@transit' ELSE '@loss' END AS counterpart,
           CASE WHEN e.type IN ('SALE_COMPLETED', 'TRANSFER_INITIATED') THEN -1 ELSE 1 END * (e.payload -> 'quantity')::numeric AS quantity
    FROM (SELECT e.seq, e.event_id, e.type, e.b ->> 'tenantId' AS tenant_id, e.b -> 'payload' AS payload
          FROM (SELECT e.seq, e.event_id, e.type, ` + body + ` AS b
                FROM (SELECT e.* FROM event_log e WHERE ` + w.fresh + w.only(`
                      UNION ALL `+carriedOver(notMoved)) + `) e
                WHERE e.type IN (` + movingTypes + `) OFFSET 0) e
          OFFSET 0) e
), line AS (
    SELECT m.event_id, m.line, m.position_id, m.quantity, m.on_hand, m.sequence, m.occurred_at, m.type, p.tenant_id, p.item_id, p.location_id,
           coalesce(m.sequence <= b.sequence, false) AS proven
    FROM ` + w.implied + ` m LEFT JOIN position p ON p.id = m.position_id LEFT JOIN ` + w.base + ` b ON b.position_id = m.position_id
)`
}

// An event that is dead for the ledger, and not handled by it, moves nothing; one in flight moves nothing yet. What
// moved before it was logged may not be in the log yet. What moved before the checkpoint was checked by then.
var auditImplied = twoVariants(func(w extent) string {
	return `
WITH ` + impliedLines(w) + `, open AS (
    SELECT event_id, consumer = '` + auditedIntake + `' AS unlogged, bool_and(dead) AS dead FROM audit_open
    WHERE checkpoint = {now} AND consumer IN (` + notMoved + `, '` + auditedIntake + `') AND NOT lost GROUP BY 1, 2
), moved AS (
    SELECT coalesce(s.event_id, a.event_id, b.event_id) AS id, s.event_id AS implied_id, s.seq, s.type, s.counterpart, s.quantity AS wanted,
           s.tenant_id AS of_tenant, s.item_id AS of_item, s.location_id AS at_location,
           a.event_id AS a_id, a.position_id AS a_position, a.sequence AS a_sequence, a.occurred_at AS a_at, a.tenant_id AS a_tenant, a.item_id AS a_item, a.location_id AS a_location, a.quantity AS a_quantity, a.on_hand AS a_on_hand,
           coalesce(a.proven, true) AND coalesce(b.proven, true) AS proven,
           b.event_id AS b_id, b.tenant_id AS b_tenant, b.item_id AS b_item, b.location_id AS b_location, b.quantity AS b_quantity
    FROM implied s
    FULL JOIN (SELECT * FROM line WHERE line = 0) a ON a.event_id = s.event_id
    FULL JOIN (SELECT * FROM line WHERE line = 1) b ON b.event_id = coalesce(s.event_id, a.event_id)
), late AS MATERIALIZED (
    SELECT m.id, m.a_position, m.a_sequence, m.a_at FROM moved m WHERE m.type = 'STOCK_COUNTED' AND m.a_on_hand <> m.wanted
), passed AS MATERIALIZED (
    SELECT m.id, sum(x.quantity) AS quantity
    FROM late m JOIN movement x ON x.position_id = m.a_position AND x.sequence < m.a_sequence
    LEFT JOIN misdated_movement d ON d.event_id = x.event_id AND d.line = x.line AND d.corrected_sequence < m.a_sequence
    WHERE x.occurred_at > (SELECT min(a_at) FROM late) AND coalesce(d.corrected_to, x.occurred_at) > m.a_at GROUP BY m.id
), judged AS MATERIALIZED (
    SELECT m.seq AS sort_key, m.id AS event_id, m.type, NULL::text AS consumer, coalesce(m.of_tenant, m.a_tenant) AS tenant_id,
           coalesce(m.of_item, m.a_item) AS item_id, coalesce(m.at_location, m.a_location) AS location_id,
           CASE WHEN m.implied_id IS NULL THEN ` + w.either(`'has moved stock and is not in the log'`,
		`CASE WHEN p.seq IS NULL THEN 'has moved stock and is not in the log' ELSE 'has moved stock after that was proven' END`) + `
                WHEN m.a_id IS NULL AND m.b_id IS NULL THEN CASE WHEN o.event_id IS NULL THEN 'has moved no stock' END
                WHEN m.a_id IS NULL THEN 'has moved no stock at its own location, only at ' || m.counterpart
                WHEN m.b_id IS NULL THEN 'has moved no stock at ' || m.counterpart || ', only at its own location'
                WHEN (m.a_tenant, m.a_item, m.a_location) IS DISTINCT FROM (m.of_tenant, m.of_item, m.at_location)
                THEN format('has moved stock of %s/%s/%s instead', m.a_tenant, m.a_item, m.a_location)
                WHEN (m.b_tenant, m.b_item, m.b_location) IS DISTINCT FROM (m.of_tenant, m.of_item, m.counterpart)
                THEN format('has its other side at %s/%s/%s instead of %s', m.b_tenant, m.b_item, m.b_location, m.counterpart)
                WHEN m.type = 'STOCK_COUNTED' AND m.a_on_hand - coalesce(since.quantity, 0) <> m.wanted
                THEN format('counted %s, and on hand was %s afterwards', m.wanted, m.a_on_hand - coalesce(since.quantity, 0))
                WHEN m.type <> 'STOCK_COUNTED' AND m.a_quantity <> m.wanted THEN format('has moved %s instead of %s', m.a_quantity, m.wanted)
                WHEN m.a_quantity <> -m.b_quantity THEN format('has moved %s, and %s at %s', m.a_quantity, m.b_quantity, m.counterpart) END AS problem
    FROM moved m LEFT JOIN passed since ON since.id = m.id LEFT JOIN open o ON o.event_id = m.id AND o.unlogged = (m.implied_id IS NULL)
    ` + w.only(`LEFT JOIN LATERAL (SELECT e.seq FROM admission a JOIN event_log e ON e.seq = a.seq AND e.event_id = a.event_id
                       WHERE a.event_id = m.id AND m.implied_id IS NULL OFFSET 0) p ON true`) + `
    WHERE (o.event_id IS NULL OR o.dead OR m.implied_id IS NOT NULL AND (m.a_id IS NOT NULL OR m.b_id IS NOT NULL))` + w.only(`
      AND NOT (m.implied_id IS NULL AND m.proven AND p.seq IS NOT NULL)`) + `
    UNION ALL
    SELECT NULL, event_id, NULL, NULL, tenant_id, item_id, location_id, format('has moved %s more, as line %s: there are lines 0 to 3', quantity, line)
    FROM line WHERE line NOT BETWEEN 0 AND 3
    UNION ALL
    SELECT NULL, coalesce(c.event_id, d.event_id), NULL, NULL, coalesce(c.tenant_id, d.tenant_id), coalesce(c.item_id, d.item_id), coalesce(c.location_id, d.location_id),
           CASE WHEN c.event_id IS NULL OR d.event_id IS NULL THEN 'has one side of a correction'
                WHEN a.event_id IS NULL OR c.position_id <> a.position_id OR c.quantity <> -a.quantity
                THEN format('corrects a count by %s at %s/%s/%s, and has moved %s', c.quantity, c.tenant_id, c.item_id, c.location_id, a.quantity)
                WHEN d.quantity <> -c.quantity OR (d.tenant_id, d.item_id, d.location_id) IS DISTINCT FROM (c.tenant_id, c.item_id, '@loss')
                THEN format('corrects a count by %s, and %s at %s', c.quantity, d.quantity, d.location_id)
                WHEN (c.type, d.type) IS DISTINCT FROM ('COUNT', 'COUNT') OR c.occurred_at <= a.occurred_at
                THEN 'corrects a count that is not after it' END
    FROM (SELECT * FROM line WHERE line = 2) c FULL JOIN (SELECT * FROM line WHERE line = 3) d ON d.event_id = c.event_id
    LEFT JOIN (SELECT * FROM line WHERE line = 0) a ON a.event_id = coalesce(c.event_id, d.event_id)
)` + result
})

// The events whose movements are checked: those that report one, those that imply one, those that were open, and those
// of all rows that movement has got since.
var auditMoved = marked(`
INSERT INTO audit_moved (checkpoint, event_id)
SELECT {now}, cause::uuid FROM (
    SELECT e.b -> 'metadata' ->> 'causationId' AS cause
    FROM (SELECT ` + body + ` AS b FROM event_log e WHERE ` + sinceCheckpoint.fresh + ` AND e.type = 'INVENTORY_UPDATED' OFFSET 0) e) t
WHERE cause ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
UNION SELECT {now}, e.event_id FROM event_log e WHERE ` + sinceCheckpoint.fresh + ` AND e.type IN (` + movingTypes + `)
UNION SELECT {now}, o.event_id FROM audit_open o WHERE o.checkpoint = {before} AND o.consumer IN (` + notMoved + `, '` + auditedIntake + `')
UNION SELECT {now}, m.event_id FROM movement m WHERE m.ctid > {movementEnd}
ON CONFLICT DO NOTHING`)

// A movement states its number in its position's row of movements and on hand after it: a gap, a double or a changed
// quantity shows where it begins.
var auditMovements = twoVariants(func(w extent) string {
	return `
WITH step AS (
    SELECT m.event_id, m.line, m.position_id, m.sequence, m.quantity, m.on_hand, m.type,
           coalesce(lag(m.sequence) OVER w, b.sequence) AS before, coalesce(lag(m.on_hand) OVER w, b.on_hand, 0) AS stood
    FROM ` + w.lines + ` m LEFT JOIN ` + w.base + ` b ON b.position_id = m.position_id
    WHERE b.position_id IS NULL OR m.sequence > b.sequence WINDOW w AS (PARTITION BY m.position_id ORDER BY m.sequence)
), judged AS MATERIALIZED (
    SELECT m.sequence AS sort_key, m.event_id, m.type, NULL::text AS consumer, p.tenant_id, p.item_id, p.location_id,
           CASE WHEN p.id IS NULL THEN format('moves position %s, which is not there', m.position_id)
                WHEN m.sequence = m.before THEN format('is number %s of its position, and so is another', m.sequence)
                WHEN m.sequence <> coalesce(m.before, 0) + 1
                THEN format('is number %s of its position, and the one before is number %s', m.sequence, coalesce(m.before, 0))
                WHEN m.on_hand <> m.stood + m.quantity
                THEN format('is number %s of its position: %s and %s is not %s', m.sequence, m.stood, m.quantity, m.on_hand) END AS problem
    FROM step m LEFT JOIN position p ON p.id = m.position_id` + w.only(`
    UNION ALL
    SELECT m.sequence, m.event_id, m.type, NULL, p.tenant_id, p.item_id, p.location_id, format('was written as number %s of its position after that was proven', m.sequence)
    FROM movement m JOIN audit_position b ON b.position_id = m.position_id LEFT JOIN position p ON p.id = m.position_id
    WHERE m.ctid > {movementEnd} AND m.sequence <= b.sequence`) + `
)` + result
})

// positionTotals is where each position's movements lead, from the checkpoint on.
func positionTotals(w extent) string {
	return `
moved AS (
    SELECT m.position_id, sum(m.quantity) AS on_hand, count(*) AS sequence FROM ` + w.lines + ` m LEFT JOIN ` + w.base + ` b ON b.position_id = m.position_id
    WHERE b.position_id IS NULL OR m.sequence > b.sequence GROUP BY m.position_id
), stands AS (
    SELECT coalesce(b.position_id, m.position_id) AS position_id,
           coalesce(b.on_hand, 0) + coalesce(m.on_hand, 0) AS on_hand, coalesce(b.sequence, 0) + coalesce(m.sequence, 0) AS sequence
    FROM ` + w.base + ` b FULL JOIN moved m ON m.position_id = b.position_id
)`
}

var auditPositions = twoVariants(func(w extent) string {
	return `
WITH ` + positionTotals(w) + `, judged AS MATERIALIZED (
    SELECT coalesce(p.id, m.position_id) AS sort_key, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, p.tenant_id, p.item_id, p.location_id,
           CASE WHEN p.id IS NULL THEN format('position %s has %s movements and is not there', m.position_id, m.sequence)
                WHEN p.on_hand <> coalesce(m.on_hand, 0) THEN format('has %s on hand, and its movements sum to %s', p.on_hand, coalesce(m.on_hand, 0))
                WHEN p.sequence <> coalesce(m.sequence, 0) THEN format('counts %s movements and has %s', p.sequence, coalesce(m.sequence, 0)) END AS problem
    FROM position p FULL JOIN stands m ON m.position_id = p.id
)` + result
})

var auditBalance = twoVariants(func(w extent) string {
	return `
WITH ` + positionTotals(w) + `, judged AS MATERIALIZED (
    SELECT 0 AS sort_key, NULL::uuid AS event_id, NULL::text AS type, NULL::text AS consumer, p.tenant_id, p.item_id, NULL::text AS location_id,
           CASE WHEN sum(m.on_hand) <> 0 THEN format('its movements sum to %s over all locations', sum(m.on_hand)) END AS problem
    FROM stands m JOIN position p ON p.id = m.position_id
    GROUP BY p.tenant_id, p.item_id
)` + result
})

// The ledger emits INVENTORY_UPDATED for the position an event names (line 0), and for its correction of a count (line
// 2), in the transaction that moves it. So none is new for what the checkpoint has counted.
var auditUpdates = twoVariants(func(w extent) string {
	return `
WITH updates AS MATERIALIZED (
    SELECT e.seq, e.event_id, e.metadata ->> 'causationId' AS cause,
           row_number() OVER (PARTITION BY e.metadata ->> 'causationId' ORDER BY e.seq) AS nth, (e.metadata -> 'sequence')::bigint AS sequence, e.tenant_id,
           e.payload ->> 'itemId' AS item_id, e.payload ->> 'locationId' AS location_id,
           (e.payload -> 'onHand')::numeric AS on_hand,
           coalesce(e.payload -> 'change', e.payload -> 'quantity')::numeric AS quantity -- before version 2.0: quantity
    FROM (SELECT e.seq, e.event_id, e.b ->> 'tenantId' AS tenant_id, e.b -> 'payload' AS payload, e.b -> 'metadata' AS metadata
          FROM (SELECT e.seq, e.event_id, ` + body + ` AS b FROM event_log e WHERE e.type = 'INVENTORY_UPDATED' AND ` + w.fresh + ` OFFSET 0) e
          OFFSET 0) e
), line AS (
    SELECT m.event_id, m.event_id::text AS cause, ` + w.either(`row_number() OVER (PARTITION BY m.event_id ORDER BY m.line)`, `m.line / 2 + 1`) + ` AS nth, m.type, m.quantity, m.on_hand, m.sequence, p.tenant_id, p.item_id, p.location_id,
           coalesce(m.sequence <= b.sequence, false) AS proven
    FROM ` + w.reported + ` m LEFT JOIN position p ON p.id = m.position_id LEFT JOIN ` + w.base + ` b ON b.position_id = m.position_id WHERE m.line IN (0, 2)
), judged AS MATERIALIZED (
    SELECT s.seq AS sort_key, coalesce(m.event_id, s.event_id) AS event_id, coalesce(m.type, 'INVENTORY_UPDATED') AS type, NULL::text AS consumer,
           coalesce(m.tenant_id, s.tenant_id) AS tenant_id, coalesce(m.item_id, s.item_id) AS item_id, coalesce(m.location_id, s.location_id) AS location_id,
           CASE WHEN s.event_id IS NULL THEN 'has moved stock, and no INVENTORY_UPDATED reports it'
                WHEN m.event_id IS NULL THEN format('reports a movement by event %s that does not exist', s.cause)
                WHEN m.proven THEN format('is reported by event %s, after it was reported and proven', s.event_id)
                WHEN (s.tenant_id, s.item_id, s.location_id) IS DISTINCT FROM (m.tenant_id, m.item_id, m.location_id)
                THEN format('is reported by event %s as of %s/%s/%s', s.event_id, s.tenant_id, s.item_id, s.location_id)
                WHEN (s.on_hand, s.quantity, s.sequence) IS DISTINCT FROM (m.on_hand, m.quantity, m.sequence)
                THEN format('is reported by event %s as number %s of %s to %s on hand, and was number %s of %s to %s',
                            s.event_id, s.sequence, s.quantity, s.on_hand, m.sequence, m.quantity, m.on_hand) END AS problem
    FROM updates s FULL JOIN line m ON m.cause = s.cause AND m.nth = s.nth
    WHERE s.nth = 1 OR m.event_id IS NOT NULL AND (s.event_id IS NOT NULL OR NOT m.proven)
    UNION ALL
    SELECT NULL, NULL, 'INVENTORY_UPDATED', NULL, NULL, NULL, NULL, format('%s of them report the movement by event %s', s.reports, s.cause)
    FROM (SELECT cause, count(*) AS reports FROM updates GROUP BY cause HAVING count(*) > 1) s
    LEFT JOIN (SELECT cause, count(*) AS lines FROM line GROUP BY cause) m USING (cause) WHERE s.reports > greatest(1, m.lines)
)` + result
})
