-- Read models for planners: the lots that stock stands in, what is on its way to a position, and what demand is expected there.

-- +goose Up
-- One row a stock position heard of: the sum of its lots less shortfall is what is on hand. lots counts its rows in lot.
-- first_heard is the sequence of the first movement heard of; what was on hand before it is in the unnamed lot.
-- Room is left on each page so that an update stays on its page and touches no index.
CREATE TABLE lot_balance (
    id          bigint  NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   text    NOT NULL,
    item_id     text    NOT NULL,
    location_id text    NOT NULL,
    shortfall   numeric NOT NULL DEFAULT 0 CHECK (shortfall >= 0),
    lots        int     NOT NULL DEFAULT 0 CHECK (lots >= 0),
    first_heard bigint  NOT NULL DEFAULT 0,
    UNIQUE (tenant_id, item_id, location_id)
) WITH (fillfactor = 60);

-- What is left of each lot; one that is used up is deleted, so that a position's lots are as few as stand there.
-- lot_number '' is the unnamed lot. expiry -infinity: not known, which sorts before every date, and goes out first.
-- tenant_id and location_id are the balance's, for the look by date.
CREATE TABLE lot (
    balance_id  bigint      NOT NULL REFERENCES lot_balance,
    lot_number  text        NOT NULL,
    expiry      date        NOT NULL,
    tenant_id   text        NOT NULL,
    location_id text        NOT NULL,
    quantity    numeric     NOT NULL CHECK (quantity > 0),
    received_at timestamptz NOT NULL,
    PRIMARY KEY (balance_id, lot_number, expiry)
) WITH (fillfactor = 60);
CREATE INDEX lot_by_expiry ON lot (tenant_id, location_id, expiry) WHERE expiry > '-infinity';

-- Lots that were said to expire soon: each once, also when it is used up and filled again.
CREATE TABLE lot_expiring (
    balance_id bigint NOT NULL REFERENCES lot_balance,
    lot_number text   NOT NULL,
    expiry     date   NOT NULL,
    said_on    date   NOT NULL,
    PRIMARY KEY (balance_id, lot_number, expiry)
);

-- The latest business day that has begun at a location.
CREATE TABLE lot_day (
    tenant_id   text NOT NULL,
    location_id text NOT NULL,
    day         date NOT NULL,
    PRIMARY KEY (tenant_id, location_id)
);

-- +goose Down
DROP TABLE lot_day, lot_expiring, lot, lot_balance;
