package store

// The checks of the log and of the inboxes. In each, judged has the columns that
// verdict reads.

// An event from outside has its row in admission, written in the same
// transaction; a derived one must at least be unique and whole.
var auditLog = sqlText(`
WITH twice AS (
    SELECT event_id FROM event_log GROUP BY event_id HAVING count(*) > 1
), judged AS MATERIALIZED (
    SELECT coalesce(e.seq, a.seq) AS place, coalesce(e.event_id, a.event_id) AS event_id, e.type, NULL::text AS consumer,
           e.tenant_id, NULL::text AS item_id, NULL::text AS location_id,
           CASE WHEN e.seq IS NULL THEN format('was admitted at place %s and is not in the log', a.seq)
                WHEN t.event_id IS NOT NULL THEN format('is in the log more than once, here at place %s', e.seq)
                WHEN a.event_id <> e.event_id THEN format('stands at place %s, where event %s was admitted', e.seq, a.event_id)
                WHEN a.body_sha256 <> e.body_sha256 OR e.body_sha256 <> sha256(convert_to(e.body, 'UTF8'))
                THEN format('has another body at place %s than it was logged with', e.seq) END AS problem
    FROM event_log e FULL JOIN admission a ON a.seq = e.seq LEFT JOIN twice t ON t.event_id = e.event_id
)` + verdict)

// relayPlace is where the relay's cursor stands (reader.go): what the tick has
// seen it has passed, and of what the next one sees, all up to seq.
const relayPlace = `
relay AS MATERIALIZED (
    SELECT p.epoch AS passed_epoch, p.snapshot AS passed, u.epoch AS upto_epoch, u.snapshot AS upto, coalesce(c.seq, 0) AS seq
    FROM (SELECT) one LEFT JOIN log_cursor c ON c.consumer = $1
    JOIN tick p ON p.id = coalesce(c.tick, 0) JOIN tick u ON u.id = coalesce(c.upto, 0)
)`

var passedByRelay = `(` + seenBy("r.passed_epoch", "r.passed") + ` OR e.seq <= r.seq AND ` + seenBy("r.upto_epoch", "r.upto") + `)`

var auditPublished = sqlText(`
WITH ` + relayPlace + `, judged AS MATERIALIZED (
    SELECT e.seq AS place, e.event_id, e.type, NULL::text AS consumer, e.tenant_id, NULL::text AS item_id, NULL::text AS location_id,
           CASE WHEN a.seq IS NOT NULL THEN 'was set aside: ' || a.reason
                WHEN NOT ` + passedByRelay + ` THEN format('is not published: the relay has not passed place %s', e.seq) END AS problem
    FROM event_log e CROSS JOIN relay r LEFT JOIN set_aside a ON a.seq = e.seq
    WHERE e.publish
)` + verdict)

// unpublished are the events of a range that the relay has still to publish.
func unpublished(within string) string {
	return `
(SELECT count(*) FROM event_log e CROSS JOIN relay r
 WHERE e.publish AND ` + within + ` AND NOT ` + passedByRelay + ` AND NOT EXISTS (SELECT FROM set_aside a WHERE a.seq = e.seq))`
}

// The events that the relay has not passed began no earlier than the oldest
// transaction that its tick saw open, and those since a point no earlier than
// the oldest that was open then: the index on tx finds them. They began before
// now, too: that keeps out the many of an earlier epoch whose ids are higher. A
// relay that is still in an earlier epoch has all of the later ones before it.
var logState = sqlText(`
WITH ` + relayPlace + `, present AS MATERIALIZED (
    SELECT pg_current_snapshot() AS snapshot, (SELECT max(epoch) FROM epoch) AS epoch
)
SELECT n.snapshot::text AS point, EXISTS (SELECT ` + fitting + `) AS fits, ` + unpublished(`
       e.epoch = r.passed_epoch AND e.tx >= (SELECT pg_snapshot_xmin(passed) FROM relay)
       AND e.tx < (SELECT CASE WHEN passed_epoch < n.epoch THEN '`+beyond+`' ELSE pg_snapshot_xmax(n.snapshot) END FROM relay)`) + ` +` + unpublished(`
       e.seq > (SELECT t.seq_before FROM relay p JOIN epoch s ON s.epoch = p.passed_epoch + 1 JOIN tick t ON t.id = s.first_tick)`) + ` AS unpublished,
       (SELECT count(*) FROM event_log e
        WHERE e.epoch = n.epoch AND e.tx >= pg_snapshot_xmin($2::pg_snapshot) AND e.tx < pg_snapshot_xmax(n.snapshot)
          AND NOT pg_visible_in_snapshot(e.tx, $2::pg_snapshot)) AS moved,
       (SELECT count(*) FROM forecast_run WHERE NOT done) AS due_forecasts
FROM present n`)

// Owed is what a subscription says, for the events that its first tick has not
// seen. Handled goes before dead: an event that is both was redriven, or died as
// a copy. Two generations that both hold an event mean that it was handled twice.
var auditHandled = sqlText(`
WITH dead AS (
    SELECT DISTINCT c.id AS consumer, d.event_id FROM dead_letter d JOIN consumer c ON c.name = d.consumer WHERE d.event_id IS NOT NULL
), judged AS MATERIALIZED (
    SELECT e.seq AS place, e.event_id, e.type, c.name AS consumer, e.tenant_id, NULL::text AS item_id, NULL::text AS location_id,
           CASE WHEN i.event_id IS NULL AND d.event_id IS NULL THEN 'neither handled nor dead' END AS problem
    FROM event_log e JOIN subscription s ON s.type = e.type JOIN consumer c ON c.id = s.consumer JOIN tick t ON t.id = s.from_tick
    LEFT JOIN inbox i ON i.consumer = s.consumer AND i.event_id = e.event_id
    LEFT JOIN dead d ON d.consumer = s.consumer AND d.event_id = e.event_id
    WHERE NOT ` + seenBy("t.epoch", "t.snapshot") + `
    UNION ALL
    SELECT NULL, one.event_id, NULL, c.name, NULL, NULL, NULL,
           format('handled twice, in generations %s and %s of the inbox', one.generation, other.generation)
    FROM inbox one JOIN inbox other USING (consumer, event_id) JOIN consumer c ON c.id = one.consumer
    WHERE one.generation < other.generation AND (SELECT count(*) FROM inbox_generation) > 1
)` + verdict)
