package audit

import (
	"github.com/composerp/composerp/store/eventlog"
)

// The checks of the log and of the inboxes. In each, judged has the columns that result reads.

// An event from outside has its row in admission, written in the same transaction; a derived one must at least be
// unique and whole.
var auditLog = variants{whole: marked(`
WITH twice AS (
    SELECT event_id FROM event_log GROUP BY event_id HAVING count(*) > 1
), judged AS MATERIALIZED (
    SELECT coalesce(e.seq, a.seq) AS sort_key, coalesce(e.event_id, a.event_id) AS event_id, e.type, NULL::text AS consumer,
           e.tenant_id, NULL::text AS item_id, NULL::text AS location_id,
           CASE WHEN e.seq IS NULL THEN format('was admitted at position %s and is not in the log', a.seq)
                WHEN t.event_id IS NOT NULL THEN format('is in the log more than once, here at position %s', e.seq)
                WHEN a.event_id <> e.event_id THEN format('stands at position %s, where event %s was admitted', e.seq, a.event_id)
                WHEN a.body_sha256 <> e.body_sha256 OR NOT ` + whole + `
                THEN format('has another body at position %s than it was logged with', e.seq) END AS problem
    FROM event_log e FULL JOIN (SELECT * FROM admission WHERE seq >= {archived}) a ON a.seq = e.seq LEFT JOIN twice t ON t.event_id = e.event_id
)` + result), since: marked(auditLogSince)}

// New events are compared with the admissions of their ids, and new rows of admission with the log. What was left open
// must still be there.
var auditLogSince = `
WITH fresh AS MATERIALIZED (
    SELECT e.seq, e.event_id, e.type, e.tenant_id, e.body_sha256, ` + whole + ` AS whole
    FROM event_log e WHERE ` + sinceCheckpoint.fresh + `
), twice AS (
    SELECT event_id FROM fresh GROUP BY event_id HAVING count(*) > 1
), judged AS MATERIALIZED (
    SELECT e.seq AS sort_key, e.event_id, e.type, NULL::text AS consumer, e.tenant_id, NULL::text AS item_id, NULL::text AS location_id,
           CASE WHEN t.event_id IS NOT NULL THEN format('is in the log more than once, here at position %s', e.seq)
                WHEN a.seq <> e.seq THEN format('stands at position %s, and was admitted at position %s', e.seq, a.seq)
                WHEN a.body_sha256 <> e.body_sha256 OR NOT e.whole THEN format('has another body at position %s than it was logged with', e.seq) END AS problem
    FROM fresh e LEFT JOIN twice t ON t.event_id = e.event_id
    LEFT JOIN LATERAL (SELECT a.seq, a.body_sha256 FROM admission a WHERE a.event_id = e.event_id OFFSET 0) a ON true
    UNION ALL
    SELECT a.seq, coalesce(e.event_id, a.event_id), NULL, NULL, NULL, NULL, NULL,
           CASE WHEN e.seq IS NULL THEN format('was admitted at position %s and is not in the log', a.seq)
                ELSE format('stands at position %s, where event %s was admitted', a.seq, a.event_id) END
    FROM admission a LEFT JOIN LATERAL (SELECT e.seq, e.event_id FROM event_log e WHERE e.seq = a.seq OFFSET 0) e ON true
    WHERE a.ctid > {admissionEnd} AND e.event_id IS DISTINCT FROM a.event_id
    UNION ALL
    SELECT DISTINCT o.seq, o.event_id, o.type, NULL, o.tenant_id, NULL, NULL, format('was in the log at position %s and is not there any more', o.seq)
    FROM audit_open o LEFT JOIN LATERAL (SELECT e.seq FROM event_log e WHERE e.seq = o.seq AND e.event_id = o.event_id OFFSET 0) e ON true
    WHERE o.checkpoint = {before} AND o.seq IS NOT NULL AND e.seq IS NULL
)` + result

var auditPublished = twoVariants(func(w extent) string {
	return `
WITH ` + eventlog.RelayCursorSQL + `, judged AS MATERIALIZED (
    SELECT e.seq AS sort_key, e.event_id, e.type, NULL::text AS consumer, e.tenant_id, NULL::text AS item_id, NULL::text AS location_id,
           CASE WHEN a.seq IS NOT NULL THEN 'is marked unpublishable: ' || a.reason
                WHEN NOT ` + eventlog.PassedByRelaySQL + ` THEN format('is not published: the relay has not passed position %s', e.seq) END AS problem
    FROM (SELECT e.seq, e.event_id, e.type, e.tenant_id, e.epoch, e.tx FROM event_log e WHERE e.publish AND ` + w.fresh + w.only(`
          UNION ALL SELECT c.seq, c.event_id, c.type, c.tenant_id, c.epoch, c.tx FROM (`+carriedOver(`'`+eventlog.RelayConsumer+`'`)+`) c`) + `) e
    CROSS JOIN relay r LEFT JOIN unpublishable a ON a.seq = e.seq
    WHERE a.seq IS NOT NULL OR ` + eventlog.PassedByRelaySQL + ` OR ` + settled("e") + `
)` + result
})

var auditUnpublished = twoVariants(func(w extent) string {
	return `
WITH ` + eventlog.RelayCursorSQL + `
INSERT INTO audit_open (checkpoint, consumer, event_id, seq, epoch, tx, type, tenant_id, aggregate_id)
SELECT {now}, '` + eventlog.RelayConsumer + `', e.event_id, e.seq, e.epoch, e.tx, e.type, e.tenant_id, e.aggregate_id
FROM (SELECT e.seq, e.event_id, e.type, e.tenant_id, e.aggregate_id, e.epoch, e.tx FROM event_log e WHERE e.publish AND ` + w.fresh + w.only(`
      UNION ALL SELECT c.seq, c.event_id, c.type, c.tenant_id, c.aggregate_id, c.epoch, c.tx FROM (`+carriedOver(`'`+eventlog.RelayConsumer+`'`)+`) c`) + `) e
CROSS JOIN relay r
WHERE NOT ` + eventlog.PassedByRelaySQL + ` AND NOT ` + settled("e") + ` AND NOT EXISTS (SELECT FROM unpublishable a WHERE a.seq = e.seq)
ON CONFLICT DO NOTHING`
})

// Open deliveries are judged by auditLost; besides, an event may be in the inbox twice: two generations that both hold
// it mean that it was handled twice.
var auditHandled = variants{whole: marked(`
WITH judged AS MATERIALIZED (` + lostDeliveries + `
    UNION ALL
    SELECT NULL, one.event_id, NULL, c.name, NULL, NULL, NULL,
           format('handled twice, in generations %s and %s of the inbox', one.generation, other.generation)
    FROM inbox one JOIN inbox other USING (consumer, event_id) JOIN consumer c ON c.id = one.consumer
    WHERE one.generation < other.generation AND (SELECT count(*) FROM inbox_generation) > 1
)` + result), since: marked(`
WITH judged AS MATERIALIZED (` + lostDeliveries + `
    UNION ALL
    SELECT e.seq, e.event_id, e.type, c.name, e.tenant_id, NULL, NULL,
           format('handled twice, in generations %s and %s of the inbox', i.first, i.last)
    FROM event_log e JOIN subscription s ON s.type = e.type JOIN consumer c ON c.id = s.consumer
    CROSS JOIN LATERAL (SELECT min(i.generation) AS first, max(i.generation) AS last FROM inbox i
                        WHERE i.generation = ANY (` + eventlog.KeptGenerationsSQL + `) AND i.consumer = s.consumer AND i.event_id = e.event_id) i
    WHERE ` + sinceCheckpoint.fresh + ` AND i.first < i.last AND (SELECT count(*) FROM inbox_generation) > 1
)` + result)}

const lostDeliveries = `
    SELECT o.seq AS sort_key, o.event_id, o.type, o.consumer, o.tenant_id, NULL::text AS item_id, NULL::text AS location_id, 'neither handled nor dead' AS problem
    FROM audit_open o WHERE o.checkpoint = {now} AND o.lost AND o.seq IS NOT NULL`
