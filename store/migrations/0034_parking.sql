-- Aggregates of ordered workers that wait for an event that failed, and their later events.

-- +goose Up
-- head is the event that the aggregate waits for. value is the aggregate's lane value.
CREATE TABLE held_aggregate (
    consumer     text        NOT NULL,
    tenant_id    text        NOT NULL,
    aggregate_id text        NOT NULL,
    head         uuid        NOT NULL,
    value        int         NOT NULL,
    since        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, tenant_id, aggregate_id)
);
CREATE INDEX held_aggregate_head ON held_aggregate (head);

-- ord is the order of arrival. message is the message's properties, body its body.
CREATE TABLE parked_event (
    consumer     text        NOT NULL,
    event_id     uuid        NOT NULL,
    tenant_id    text        NOT NULL,
    aggregate_id text        NOT NULL,
    ord          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    message      jsonb       NOT NULL,
    body         bytea       NOT NULL,
    parked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX parked_event_aggregate ON parked_event (consumer, tenant_id, aggregate_id, ord);

-- +goose Down
DROP TABLE parked_event, held_aggregate;
