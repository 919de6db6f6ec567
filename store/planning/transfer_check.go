package planning

// The kinds of problems: what does not fit together in what warehouses reported of a transfer. Stock is what they
// reported all the same. Package findings lists them.
const (
	TransferUnknown   = "unknown"   // received, and no TRANSFER_INITIATED names it
	TransferElsewhere = "elsewhere" // received at another location than it was sent to
	TransferSurplus   = "surplus"   // more was received than was sent
	TransferLate      = "late"      // in transit for longer than transit_days
)

// TransferProblemsSQL has a row for each problem: tenant_id, item_id, location_id, kind, problem, and whether it is
// recent: goods that are still missing, or what came within the last 30 days. Time is the tenant's latest business
// time.
const TransferProblemsSQL = `
SELECT p.tenant_id, p.item_id, p.location_id, p.kind, p.kind = 'late' OR p.received_at > p.latest - interval '30 days' AS recent,
       CASE p.kind WHEN 'unknown' THEN format('%s came by transfer %s, which no TRANSFER_INITIATED names', trim_scale(p.received), p.transfer_id)
                   WHEN 'elsewhere' THEN format('%s came by transfer %s, which was sent to %s', trim_scale(p.received), p.transfer_id, p.destinations)
                   WHEN 'surplus' THEN format('%s came by transfer %s, and %s was sent', trim_scale(p.received), p.transfer_id, trim_scale(p.sent))
                   ELSE format('%s of transfer %s is in transit since %s, for longer than %s days', trim_scale(least(p.sent - p.received, p.rest)),
                               p.transfer_id, to_char(p.sent_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), p.days) END AS problem
FROM (
    SELECT t.*, w.destinations, w.rest, l.at AS latest, coalesce(s.transit_days, 14) AS days,
           CASE WHEN w.sent = 0 THEN 'unknown' WHEN t.sent = 0 THEN 'elsewhere' WHEN t.received > t.sent THEN 'surplus'
                WHEN w.rest > 0 AND t.sent_at < l.at - make_interval(days => coalesce(s.transit_days, 14)) THEN 'late' END AS kind
    FROM transfer t
    CROSS JOIN LATERAL (
        SELECT sum(o.sent) AS sent, sum(o.sent - o.received) AS rest, string_agg(o.location_id, ', ' ORDER BY o.location_id) FILTER (WHERE o.sent > 0) AS destinations
        FROM transfer o WHERE o.tenant_id = t.tenant_id AND o.transfer_id = t.transfer_id AND o.item_id = t.item_id) w
    JOIN (SELECT tenant_id, max(latest_at) AS at FROM replenishment_state GROUP BY tenant_id) l ON l.tenant_id = t.tenant_id
    LEFT JOIN tenant_setting s ON s.tenant_id = t.tenant_id
    WHERE t.sent <> t.received AND t.transfer_id <> '') p
WHERE p.kind IS NOT NULL`
