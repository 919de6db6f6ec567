package whatif

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store/internal/pg"
)

// Span is the part of the log that a run is about: business times from From on and before To. A zero From: all from
// the beginning of the log, with nothing before it. Tenant, if set, is the only one.
type Span struct {
	From, To time.Time
	Tenant   string
}

// Fill copies the master data as they are now, and the state of stock and planning as of span.From, to every side.
func (s *Schemas) Fill(ctx context.Context, span Span) error {
	tx, err := pg.BeginSnapshot(ctx, s.db)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, side := range s.sides {
		parts := []string{copyMasterData, plannedReceipts}
		if !span.From.IsZero() {
			parts = append(parts, openingStock, openingOrders, openingDemand, openingTransfers)
		}
		for _, part := range parts {
			if err := pg.ExecText(ctx, tx, s.text(side, span, part)); err != nil {
				return fmt.Errorf("filling the tables of a what-if: %w", err)
			}
		}
	}
	return tx.Commit()
}

// text is SQL with its names filled in: {live} and {side} are the schemas, {from} is the beginning and {tenant} the
// tenant or ”.
func (s *Schemas) text(side side, span Span, text string) string {
	from := "-infinity"
	if !span.From.IsZero() {
		from = span.From.UTC().Format(time.RFC3339Nano)
	}
	return strings.NewReplacer("{live}", pq.QuoteIdentifier(s.live), "{side}", pq.QuoteIdentifier(side.name),
		"{from}", pq.QuoteLiteral(from)+"::timestamptz", "{tenant}", pq.QuoteLiteral(span.Tenant)).Replace(text)
}

// copyMasterData copies the columns that this program knows.
const copyMasterData = `
DO $do$
DECLARE
    name    text;
    columns text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenant_setting', 'source_setting', 'location', 'item', 'supplier', 'replenishment_rule'] LOOP
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
        FROM pg_attribute WHERE attrelid = ('{side}.' || name)::regclass AND attnum > 0 AND NOT attisdropped;
        EXECUTE format('INSERT INTO {side}.%1$I (%2$s) SELECT %2$s FROM {live}.%1$I WHERE %3$L IN ('''', tenant_id)', name, columns, {tenant});
    END LOOP;
END $do$`

// plannedReceipts are the receipts of orders that the run makes itself: of what each INVENTORY_UPDATED brought, how
// much was for them.
const plannedReceipts = `
INSERT INTO {side}.planned_receipt (event_id, quantity)
SELECT b.event_id, sum(b.quantity)
FROM {live}.on_order_booking b JOIN {live}.purchase_order o USING (tenant_id, purchase_order_id)
WHERE b.kind = 'RECEIVED' AND o.created_at >= {from} AND {tenant} IN ('', b.tenant_id)
GROUP BY b.event_id`

// openingStock has the positions that had moved before the beginning. A position that was low by its rule then has
// been reported already.
const openingStock = `
CREATE TEMPORARY TABLE opening ON COMMIT DROP AS
SELECT p.tenant_id, p.item_id, p.location_id, p.on_hand - m.later AS on_hand, p.reserved, greatest(m.earlier, 1) AS sequence, m.counted_at,
       m.known, m.last_at,
       coalesce((SELECT sum(b.change) FROM {live}.on_order_booking b WHERE b.state_id = s.id AND b.occurred_at < {from}), 0) AS on_order,
       coalesce((SELECT max(b.ordinal) FROM {live}.on_order_booking b WHERE b.state_id = s.id AND b.occurred_at < {from}), 0) AS bookings
FROM {live}.position p
JOIN (SELECT position_id, min(sequence) AS first, count(*) FILTER (WHERE occurred_at < {from}) AS earlier,
             coalesce(sum(quantity) FILTER (WHERE occurred_at >= {from}), 0) AS later,
             max(occurred_at) FILTER (WHERE occurred_at < {from}) AS last_at,
             max(occurred_at) FILTER (WHERE occurred_at < {from} AND type = 'COUNT' AND line = 0) AS counted_at,
             coalesce(bool_or(type NOT IN ('SALE', 'RETURN')) FILTER (WHERE occurred_at < {from}), false) AS known
      FROM {live}.movement GROUP BY position_id) m ON m.position_id = p.id
LEFT JOIN {live}.replenishment_state s USING (tenant_id, item_id, location_id)
WHERE left(p.location_id, 1) <> '@' AND {tenant} IN ('', p.tenant_id) AND (m.earlier > 0 OR m.first > 1);
INSERT INTO {side}.position (tenant_id, item_id, location_id, on_hand, reserved, sequence, armed, counted_at)
SELECT o.tenant_id, o.item_id, o.location_id, o.on_hand, o.reserved, o.sequence,
       coalesce(o.on_hand - o.reserved >= r.low_stock_threshold, true), o.counted_at
FROM opening o LEFT JOIN {live}.replenishment_rule r USING (tenant_id, item_id, location_id)
ORDER BY o.tenant_id, o.item_id, o.location_id;
INSERT INTO {side}.replenishment_state (tenant_id, item_id, location_id, on_hand, reserved, sequence, latest_at, on_order, bookings, stock_known)
SELECT o.tenant_id, o.item_id, o.location_id, o.on_hand, o.reserved, o.sequence, coalesce(o.last_at, {from}), o.on_order, o.bookings, o.known
FROM opening o ORDER BY o.tenant_id, o.item_id, o.location_id;
DROP TABLE opening`

// openingOrders has the orders that were awaited at the beginning, with what had come of them by then. Their lines are
// older than every movement of the run.
const openingOrders = `
CREATE TEMPORARY TABLE awaited ON COMMIT DROP AS
SELECT l.tenant_id, l.purchase_order_id, l.item_id, l.location_id, b.received, l.quantity
FROM {live}.purchase_order_line l
JOIN {live}.purchase_order o USING (tenant_id, purchase_order_id)
JOIN {live}.replenishment_state s ON s.tenant_id = l.tenant_id AND s.item_id = l.item_id AND s.location_id = l.location_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(b.quantity) FILTER (WHERE b.kind = 'RECEIVED'), 0) AS received, bool_or(b.kind IN ('CANCELLED', 'CLOSED')) AS cancelled
    FROM {live}.on_order_booking b
    WHERE b.tenant_id = l.tenant_id AND b.purchase_order_id = l.purchase_order_id AND b.state_id = s.id AND b.occurred_at < {from}) b
WHERE o.created_at < {from} AND {tenant} IN ('', l.tenant_id) AND b.received < l.quantity AND b.cancelled IS NOT TRUE;
INSERT INTO {side}.purchase_order (tenant_id, purchase_order_id, po_number, supplier_id, location_id, total_amount, priced, status, version,
                                   correlation_id, created_at, decided_at, decided_by, reason, currency)
SELECT tenant_id, purchase_order_id, po_number, supplier_id, location_id, total_amount, priced, status, version,
       correlation_id, created_at, decided_at, decided_by, reason, currency
FROM {live}.purchase_order WHERE (tenant_id, purchase_order_id) IN (SELECT tenant_id, purchase_order_id FROM awaited);
INSERT INTO {side}.purchase_order_line (tenant_id, purchase_order_id, item_id, location_id, quantity, unit_price, received, open, ordinal,
                                        rule_version, sequence, available, on_order, reorder_point, in_transit)
SELECT l.tenant_id, l.purchase_order_id, l.item_id, l.location_id, l.quantity, l.unit_price, a.received, true, l.ordinal,
       l.rule_version, 0, l.available, l.on_order, l.reorder_point, l.in_transit
FROM awaited a JOIN {live}.purchase_order_line l USING (tenant_id, purchase_order_id, item_id, location_id);
INSERT INTO {side}.purchase_order_number (tenant_id, year, last)
SELECT tenant_id, year, last FROM {live}.purchase_order_number WHERE {tenant} IN ('', tenant_id);
DROP TABLE awaited`

// openingDemand has the demand of the days before the beginning, the calendars, and the newest forecasts made before.
const openingDemand = `
INSERT INTO {side}.demand (tenant_id, location_id, item_id, day, sold, returned)
SELECT d.tenant_id, d.location_id, d.item_id, d.day, d.sold, d.returned
FROM {live}.demand d JOIN {live}.location l USING (tenant_id, location_id)
WHERE d.day < ({from} AT TIME ZONE l.timezone)::date AND {tenant} IN ('', d.tenant_id);
INSERT INTO {side}.demand_calendar (tenant_id, location_id, open_day, last_run)
SELECT c.tenant_id, c.location_id, f.day - 1, coalesce(
    (SELECT max(r.as_of) FROM {live}.forecast_run r WHERE r.tenant_id = c.tenant_id AND r.location_id = c.location_id AND r.closed_at < {from}),
    (SELECT min(d.day) - 1 FROM {side}.demand d WHERE d.tenant_id = c.tenant_id AND d.location_id = c.location_id))
FROM {live}.demand_calendar c JOIN {live}.location l USING (tenant_id, location_id)
CROSS JOIN LATERAL (SELECT ({from} AT TIME ZONE l.timezone)::date AS day) f
WHERE EXISTS (SELECT FROM {side}.demand d WHERE d.tenant_id = c.tenant_id AND d.location_id = c.location_id);
CREATE TEMPORARY TABLE foreseen ON COMMIT DROP AS
SELECT DISTINCT ON (f.tenant_id, f.location_id, f.item_id) s.id, f.start_day, f.daily, f.error_std_dev
FROM {live}.forecast f JOIN {live}.location l USING (tenant_id, location_id)
JOIN {side}.replenishment_state s USING (tenant_id, location_id, item_id)
WHERE f.start_day < ({from} AT TIME ZONE l.timezone)::date
ORDER BY f.tenant_id, f.location_id, f.item_id, f.start_day DESC;
INSERT INTO {side}.replenishment_forecast (state_id, daily, error_std_dev) SELECT id, daily::numeric[], error_std_dev FROM foreseen;
UPDATE {side}.replenishment_state s SET forecast_start = f.start_day FROM foreseen f WHERE f.id = s.id;
DROP TABLE foreseen`

// openingTransfers has what was on its way at the beginning. A transfer that was received in parts counts by its last
// one.
const openingTransfers = `
INSERT INTO {side}.transfer (tenant_id, transfer_id, item_id, location_id, sent, received, sent_at, received_at)
SELECT tenant_id, transfer_id, item_id, location_id, CASE WHEN sent_at < {from} THEN sent ELSE 0 END,
       CASE WHEN received_at < {from} THEN received ELSE 0 END,
       CASE WHEN sent_at < {from} THEN sent_at END, CASE WHEN received_at < {from} THEN received_at END
FROM {live}.transfer WHERE (sent_at < {from} OR received_at < {from}) AND {tenant} IN ('', tenant_id)`
