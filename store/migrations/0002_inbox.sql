-- What each consumer has handled, and what it could not.

-- +goose Up
CREATE TABLE consumer (
    id   smallint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text     NOT NULL UNIQUE
);

-- The types that each consumer must handle, and since when: audit counts the events after from_tick.
CREATE TABLE subscription (
    consumer  smallint NOT NULL REFERENCES consumer,
    type      text     NOT NULL,
    from_tick bigint   NOT NULL REFERENCES tick,
    PRIMARY KEY (consumer, type)
);

CREATE TABLE inbox_generation (
    generation int         NOT NULL PRIMARY KEY,
    opened_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO inbox_generation (generation) VALUES (1);

CREATE TABLE inbox (
    generation int      NOT NULL,
    consumer   smallint NOT NULL,
    event_id   uuid     NOT NULL,
    PRIMARY KEY (generation, consumer, event_id)
) PARTITION BY LIST (generation);
CREATE TABLE inbox_1 PARTITION OF inbox FOR VALUES IN (1);

-- The dead-letter log: every message that reached composerp.dead, sent by a worker or by the broker.
CREATE TABLE dead_letter (
    id           uuid        NOT NULL PRIMARY KEY,
    consumer     text        NOT NULL,
    event_id     uuid,
    message_id   text        NOT NULL,
    type         text        NOT NULL,
    routing_key  text        NOT NULL,
    error        text        NOT NULL,
    attempt      int         NOT NULL,
    headers      jsonb       NOT NULL,
    body         bytea       NOT NULL,
    died_at      timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dead_letter_event ON dead_letter (event_id);

-- Messages that were in hand when a process died, noted before they are tried again.
CREATE TABLE suspect (
    consumer   text        NOT NULL,
    message_id text        NOT NULL,
    deaths     int         NOT NULL,
    noted_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);

-- +goose Down
DROP TABLE suspect, dead_letter, inbox, inbox_generation, subscription, consumer;
