package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/store/eventlog"
)

// The history is the rows that the fleet writes for sales, written by statements: each sale and its INVENTORY_UPDATED
// in the log, the admission, both movements, an inbox row for each tracking consumer, and finally the positions and
// the workers' own state. Sale i takes sold(i-1) pieces of item (i-1) mod items from a shop that began without stock.
// items is a multiple of the cycle of quantities, so an item is always sold in the same quantity q, and k sales leave
// a position of -kq.

// historyStock makes positions without movements: $1 is the tenant, $2 the shop and $3 the number of items.
const historyStock = `
WITH i AS (
    INSERT INTO item (tenant_id, item_id, name, incomplete) SELECT $1, 'SKU-' || lpad(i::text, 6, '0'), 'Item ' || i, false FROM generate_series(0, $3::int - 1) i
    RETURNING tenant_id, item_id
), l AS (
    INSERT INTO location (tenant_id, location_id, kind) VALUES ($1, $2, 'stock'), ($1, '@customer', 'customer') RETURNING tenant_id, location_id
)
INSERT INTO position (tenant_id, item_id, location_id) SELECT i.tenant_id, i.item_id, l.location_id FROM i CROSS JOIN l`

// logSales appends the sales from $1 to $2, each followed by the ledger's event.
const logSales = `
WITH sale AS (
    SELECT i, md5('sale ' || i)::uuid AS id, md5('update ' || i)::uuid AS update_id, 'SKU-' || lpad(((i - 1) % $5)::text, 6, '0') AS item, (i - 1) % 5 + 1 AS q,
           (i - 1) / $5 + 1 AS k, to_char(timestamptz '2026-01-05 08:00:00Z' + i * interval '1 second', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at
    FROM generate_series($1::bigint, $2::bigint) i
), event AS (
    SELECT s.i, 0 AS ord, s.id AS event_id, 'SALE_COMPLETED' AS type, format('S-%s', s.i) AS aggregate_id, s.at,
           format('{"eventId":"%s","eventType":"SALE_COMPLETED","aggregateType":"Sale","aggregateId":"S-%s","tenantId":"%s","timestamp":"%s","version":"1.0",'
               '"payload":{"saleId":"S-%s","itemId":"%s","locationId":"%s","quantity":%s,"amount":%s,"itemName":"Espresso beans 1kg","timestamp":"%s"},'
               '"metadata":{"source":"till-017-03","userId":"cashier-0042","correlationId":"%s","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}',
               s.id, s.i, $3::text, s.at, s.i, s.item, $4::text, s.q, s.q * 12, s.at, s.update_id) AS body
    FROM sale s
    UNION ALL
    SELECT s.i, 1, s.update_id, 'INVENTORY_UPDATED', s.item, s.at,
           format('{"eventId":"%s","eventType":"INVENTORY_UPDATED","aggregateType":"Inventory","aggregateId":"%s","tenantId":"%s","timestamp":"%s","version":"1.0",'
               '"payload":{"itemId":"%s","locationId":"%s","onHand":%s,"reserved":0,"available":%s,"quantity":%s,"transactionId":"%s","transactionType":"SALE","timestamp":"%s"},'
               '"metadata":{"source":"ledger","correlationId":"%s","causationId":"%s","sequence":%s,"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}',
               s.update_id, s.item, $3::text, s.at, s.item, $4::text, -s.k * s.q, -s.k * s.q, -s.q, s.id, s.at, s.update_id, s.id, s.k)
    FROM sale s
), logged AS (
    INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
    SELECT 1, true, at::timestamptz, event_id, $3, type, '1.0', aggregate_id, sha256(convert_to(body, 'UTF8')), body FROM event ORDER BY i, ord
    RETURNING seq, event_id, type, body_sha256
), admitted AS (
    INSERT INTO admission (event_id, body_sha256, seq) SELECT event_id, body_sha256, seq FROM logged WHERE type = 'SALE_COMPLETED'
)
INSERT INTO movement (event_id, line, position_id, sequence, quantity, on_hand, type, occurred_at)
SELECT s.id, l.line, p.id, s.k, l.sign * s.q, l.sign * s.k * s.q, 'SALE', s.at::timestamptz
FROM sale s CROSS JOIN (VALUES (0, -1, $4::text), (1, 1, '@customer')) l(line, sign, location_id)
JOIN position p ON p.tenant_id = $3 AND p.item_id = s.item AND p.location_id = l.location_id`

// handleSales adds the sales from $1 to $2, and the updates of them, to the inbox of every tracking consumer.
const handleSales = `
INSERT INTO %s (generation, consumer, event_id)
SELECT 1, s.consumer, md5(CASE s.type WHEN 'SALE_COMPLETED' THEN 'sale ' ELSE 'update ' END || i)::uuid
FROM generate_series($1::bigint, $2::bigint) i CROSS JOIN subscription s WHERE s.type IN ('SALE_COMPLETED', 'INVENTORY_UPDATED')`

// The state of all workers after $1 sales.
var stateAfter = []string{
	`UPDATE position p SET sequence = s.k, on_hand = CASE WHEN p.location_id = '@customer' THEN s.k * s.q ELSE -s.k * s.q END
	 FROM (SELECT 'SKU-' || lpad(i::text, 6, '0') AS item_id, ($1::bigint - i - 1) / $2::int + 1 AS k, i % 5 + 1 AS q
	       FROM generate_series(0, $2::int - 1) i WHERE i < $1) s WHERE s.item_id = p.item_id`,
	`INSERT INTO stock (tenant_id, item_id, location_id, on_hand, reserved, available, sequence, last_movement_at, last_movement_type)
	 SELECT tenant_id, item_id, location_id, on_hand, 0, on_hand, sequence, now(), 'SALE' FROM position WHERE location_id <> '@customer' AND sequence > 0
	 ON CONFLICT (tenant_id, item_id, location_id) DO UPDATE SET on_hand = excluded.on_hand, available = excluded.available, sequence = excluded.sequence`,
	`INSERT INTO replenishment_state (tenant_id, item_id, location_id, on_hand, sequence)
	 SELECT tenant_id, item_id, location_id, on_hand, sequence FROM position WHERE location_id <> '@customer' AND sequence > 0
	 ON CONFLICT (tenant_id, item_id, location_id) DO UPDATE SET on_hand = excluded.on_hand, sequence = excluded.sequence`,
	`INSERT INTO lot_balance (tenant_id, item_id, location_id, shortfall, first_heard)
	 SELECT tenant_id, item_id, location_id, -on_hand, 1 FROM position WHERE location_id <> '@customer' AND sequence > 0
	 ON CONFLICT (tenant_id, item_id, location_id) DO UPDATE SET shortfall = excluded.shortfall`,
	`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq)
	 SELECT max(id) + 1, 1, pg_current_snapshot(), pg_sequence_last_value('event_log_seq'), pg_sequence_last_value('event_log_seq') FROM tick`,
	`INSERT INTO log_cursor (consumer, tick, upto, seq, term) SELECT 'relay', max(id), max(id), 0, 1 FROM tick
	 ON CONFLICT (consumer) DO UPDATE SET tick = excluded.tick, upto = excluded.upto`,
}

// Building the indexes at the end sorts the random keys once, instead of inserting them one by one.
var (
	withoutKeys = []string{
		`ALTER TABLE inbox DETACH PARTITION inbox_1`, `ALTER TABLE inbox_1 DROP CONSTRAINT inbox_1_pkey`,
		`ALTER TABLE movement DROP CONSTRAINT movement_pkey`, `ALTER TABLE admission DROP CONSTRAINT admission_pkey`,
	}
	withKeys = []string{
		`SET maintenance_work_mem = '1GB'`,
		`ALTER TABLE inbox_1 ADD PRIMARY KEY (generation, consumer, event_id)`, `ALTER TABLE inbox ATTACH PARTITION inbox_1 FOR VALUES IN (1)`,
		`ALTER TABLE movement ADD PRIMARY KEY (event_id, line)`, `ALTER TABLE admission ADD PRIMARY KEY (event_id)`,
		`VACUUM (ANALYZE)`,
	}
)

// historyStep is how many sales one statement writes.
const historyStep = 50_000

// fill writes the rows of a number of sales into an empty environment.
func (h *history) fill(ctx context.Context, sales int) error {
	if err := h.do(ctx, withoutKeys...); err != nil {
		return err
	}
	began := time.Now()
	for h.sales < sales {
		if err := h.insertSales(ctx, min(historyStep, sales-h.sales), "inbox_1"); err != nil {
			return err
		}
		if h.sales%(20*historyStep) == 0 {
			h.progress(fmt.Sprintf("made %d events in %s", 2*h.sales, time.Since(began).Round(time.Second)))
		}
	}
	if err := h.updateState(ctx); err != nil {
		return err
	}
	return h.do(ctx, withKeys...)
}

// add writes the rows of more sales.
func (h *history) add(ctx context.Context, sales int) error {
	if err := h.insertSales(ctx, sales, "inbox"); err != nil {
		return err
	}
	return h.updateState(ctx)
}

func (h *history) insertSales(ctx context.Context, sales int, inbox string) error {
	if err := eventlog.EnsurePartitions(ctx, h.store); err != nil {
		return err
	}
	first, last := h.sales+1, h.sales+sales
	if _, err := h.db.ExecContext(ctx, logSales, first, last, tenant, location, items); err != nil {
		return fmt.Errorf("logging sales: %w", err)
	}
	if _, err := h.db.ExecContext(ctx, fmt.Sprintf(handleSales, inbox), first, last); err != nil {
		return fmt.Errorf("handling sales: %w", err)
	}
	h.sales = last
	return nil
}

func (h *history) updateState(ctx context.Context) error {
	for i, statement := range stateAfter {
		args := []any{}
		if i == 0 {
			args = []any{h.sales, items}
		}
		if _, err := h.db.ExecContext(ctx, statement, args...); err != nil {
			return fmt.Errorf("updating the workers' state: %w", err)
		}
	}
	return nil
}

func (h *history) do(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := h.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
