-- Archives: old partitions of the log that left the database as files.

-- +goose Up
-- A row for each file; the partition had the positions low to high, without high.
CREATE TABLE log_archive (
    id          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file        text        NOT NULL UNIQUE,
    low         bigint      NOT NULL UNIQUE,
    high        bigint      NOT NULL UNIQUE,
    events      bigint      NOT NULL,
    first_seq   bigint      NOT NULL,
    last_seq    bigint      NOT NULL,
    bytes       bigint      NOT NULL,
    sha256      bytea       NOT NULL,
    first_seal  bigint      NOT NULL,
    last_seal   bigint      NOT NULL,
    logged_upto timestamptz NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    operator    text        NOT NULL,
    reason      text        NOT NULL,
    CHECK (low < high AND (events = 0 OR low <= first_seq AND first_seq <= last_seq AND last_seq < high))
);

-- Opening balances: each position as the archived events leave it.
CREATE TABLE log_opening (
    tenant_id   text    NOT NULL,
    item_id     text    NOT NULL,
    location_id text    NOT NULL,
    sequence    bigint  NOT NULL,
    on_hand     numeric NOT NULL,
    reserved    numeric NOT NULL,
    archive     bigint  NOT NULL,
    PRIMARY KEY (tenant_id, item_id, location_id)
);

-- +goose Down
DROP TABLE log_opening, log_archive;
