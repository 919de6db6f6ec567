-- The chain of seals: what the log held, so that a change of it is found.

-- +goose Up
-- A row for each range of the log, kept for ever. digests has, for each event of the range, its position and the
-- beginning of its digest, as package store/seal packs them: 16 bytes an event.
CREATE TABLE log_seal (
    id        bigint      NOT NULL PRIMARY KEY,
    first_seq bigint      NOT NULL,
    last_seq  bigint      NOT NULL,
    events    int         NOT NULL,
    digests   bytea       NOT NULL,
    hash      bytea       NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (id > 0 AND first_seq <= last_seq AND events > 0)
);
ALTER TABLE log_seal ALTER COLUMN digests SET STORAGE EXTERNAL;

-- +goose Down
DROP TABLE log_seal;
