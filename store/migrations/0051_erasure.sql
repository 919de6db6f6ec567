-- Erasures: which fields of events were erased, and what stands in for the bodies.

-- +goose Up
-- A row for each erasure of an event; its newest counts. body_sha256 is the hash that the event was logged with,
-- stand_in_sha256 that of the body that the log or an archive has instead. signature is '' for one that no key signed.
CREATE TABLE erasure (
    id              bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq             bigint      NOT NULL,
    event_id        uuid        NOT NULL,
    type            text        NOT NULL,
    tenant_id       text        NOT NULL,
    body_sha256     bytea       NOT NULL,
    stand_in_sha256 bytea       NOT NULL,
    fields          text[]      NOT NULL,
    erased_at       timestamptz NOT NULL,
    operator        text        NOT NULL,
    reason          text        NOT NULL,
    signature       bytea       NOT NULL,
    CHECK (reason <> '' AND cardinality(fields) > 0)
);
CREATE INDEX erasure_seq ON erasure (seq);

-- +goose Down
DROP TABLE erasure;
