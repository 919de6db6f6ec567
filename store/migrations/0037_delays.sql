-- When an event was logged, and where the time of late deliveries went.

-- +goose Up
-- NULL for events of the version before. The time of the statement costs no look at a clock for each event. That of the
-- transaction would count what a handler waited for to the events that it emits.
ALTER TABLE event_log ADD COLUMN logged_at timestamptz;
ALTER TABLE event_log ALTER COLUMN logged_at SET DEFAULT statement_timestamp();

-- A row for each batch that had late deliveries. stages has as many numbers for each of event_ids: microseconds in each
-- stage, in the order of package exchange/delay. There is no index on the events: a command that a person runs reads all
-- rows.
CREATE TABLE delivery_delay (
    id         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer   text        NOT NULL,
    handled_at timestamptz NOT NULL,
    event_ids  uuid[]      NOT NULL,
    stages     bigint[]    NOT NULL
);

-- +goose Down
DROP TABLE delivery_delay;
ALTER TABLE event_log DROP COLUMN logged_at;
