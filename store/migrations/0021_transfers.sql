-- Goods on their way to a location count in its inventory position.

-- +goose Up
-- transit_days: goods that are on their way for longer are named by doctor and audit.
ALTER TABLE tenant_setting ADD transit_days int NOT NULL DEFAULT 14 CHECK (transit_days > 0);

-- What the rule saw, as available and on_order are.
ALTER TABLE purchase_order_line ADD in_transit numeric NOT NULL DEFAULT 0;

-- What was sent to a location by a transfer, and what was received there, of an item; kept by replenishment. Times are
-- the latest business times. transfer_id '': what is in transit by events that name no transfer.
CREATE TABLE transfer (
    tenant_id   text    NOT NULL,
    transfer_id text    NOT NULL,
    item_id     text    NOT NULL,
    location_id text    NOT NULL,
    sent        numeric NOT NULL DEFAULT 0 CHECK (sent >= 0),
    received    numeric NOT NULL DEFAULT 0 CHECK (received >= 0),
    sent_at     timestamptz,
    received_at timestamptz,
    PRIMARY KEY (tenant_id, transfer_id, item_id, location_id)
);
CREATE INDEX transfer_uneven ON transfer (tenant_id, item_id, location_id) WHERE sent <> received;

-- What replenishment has handled by now is entered, with its transfer where the log still has it. Replenishment of the
-- version before waits meanwhile.
LOCK TABLE replenishment_state IN SHARE MODE;
CREATE TEMPORARY TABLE moved ON COMMIT DROP AS
SELECT e.tenant_id, e.body::jsonb -> 'payload' ->> 'itemId' AS item_id, (e.body::jsonb -> 'payload' -> 'quantity')::numeric AS quantity,
       e.occurred_at, e.body::jsonb -> 'metadata' ->> 'causationId' AS cause,
       coalesce(e.seq <= (SELECT max(floor) FROM audit_checkpoint), false)
       OR e.event_id IN (SELECT i.event_id FROM inbox i JOIN consumer c ON c.id = i.consumer WHERE c.name = 'replenishment') AS handled
FROM event_log e WHERE e.type = 'INVENTORY_UPDATED' AND e.body LIKE '%"transactionType":"TRANSFER"%';
INSERT INTO transfer (tenant_id, transfer_id, item_id, location_id, sent, received, sent_at, received_at)
SELECT m.tenant_id, c.p ->> 'transferId', m.item_id, coalesce(c.p ->> 'toLocationId', c.p ->> 'locationId'),
       sum(greatest(-m.quantity, 0)), sum(greatest(m.quantity, 0)),
       max(m.occurred_at) FILTER (WHERE m.quantity < 0), max(m.occurred_at) FILTER (WHERE m.quantity > 0)
FROM moved m
JOIN (SELECT event_id::text AS id, body::jsonb -> 'payload' AS p FROM event_log WHERE type IN ('TRANSFER_INITIATED', 'RECEIPT_COMPLETED')) c ON c.id = m.cause
WHERE m.handled GROUP BY 1, 2, 3, 4;
INSERT INTO transfer (tenant_id, transfer_id, item_id, location_id, sent, received)
SELECT tenant_id, '', item_id, '', greatest(rest, 0), greatest(-rest, 0)
FROM (SELECT p.tenant_id, p.item_id,
             p.on_hand - coalesce((SELECT sum(t.sent - t.received) FROM transfer t WHERE t.tenant_id = p.tenant_id AND t.item_id = p.item_id), 0)
             + coalesce((SELECT sum(m.quantity) FROM moved m WHERE m.tenant_id = p.tenant_id AND m.item_id = p.item_id AND NOT m.handled), 0) AS rest
      FROM position p WHERE p.location_id = '@transit') p
WHERE rest <> 0;

-- +goose Down
DROP TABLE transfer;
ALTER TABLE purchase_order_line DROP in_transit;
ALTER TABLE tenant_setting DROP transit_days;
