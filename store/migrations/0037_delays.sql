-- When an event was logged, and where the time of late deliveries went.

-- +goose Up
-- NULL for events of the version before. The time of the statement costs no look at a clock for each event. That of the
-- transaction would count what a handler waited for to the events that it emits.
ALTER TABLE event_log ADD COLUMN logged_at timestamptz;
ALTER TABLE event_log ALTER COLUMN logged_at SET DEFAULT statement_timestamp();

-- A row for each batch that had late deliveries. late has their events and the time of each in each stage, as package
-- store/delays packs them: as arrays they would cost the database twice as much. There is no index on the events: a
-- command that a person runs reads all rows. To compress them would cost more than to write them.
CREATE TABLE delivery_delay (
    id         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer   text        NOT NULL,
    handled_at timestamptz NOT NULL,
    late       bytea       NOT NULL
);
ALTER TABLE delivery_delay ALTER COLUMN late SET STORAGE EXTERNAL;

-- +goose Down
DROP TABLE delivery_delay;
ALTER TABLE event_log DROP COLUMN logged_at;
