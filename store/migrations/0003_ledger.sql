-- The ledger: positions and the movements they are the sum of; and the stock read model.

-- +goose Up
CREATE TABLE item (
    tenant_id  text        NOT NULL,
    item_id    text        NOT NULL,
    name       text        NOT NULL DEFAULT '',
    incomplete boolean     NOT NULL DEFAULT true,
    first_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, item_id)
);

-- kind: a place goods stand in, or one of the virtual places they come from and go to.
CREATE TABLE location (
    tenant_id   text        NOT NULL,
    location_id text        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('stock', 'supplier', 'customer', 'loss', 'transit')),
    first_seen  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, location_id)
);

-- Room is left on each page so that an update of on_hand stays on its page and touches no index.
CREATE TABLE position (
    id          bigint  NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   text    NOT NULL,
    item_id     text    NOT NULL,
    location_id text    NOT NULL,
    on_hand     numeric NOT NULL DEFAULT 0,
    reserved    numeric NOT NULL DEFAULT 0,
    sequence    bigint  NOT NULL DEFAULT 0,
    armed       boolean NOT NULL DEFAULT true,
    UNIQUE (tenant_id, item_id, location_id),
    FOREIGN KEY (tenant_id, item_id) REFERENCES item,
    FOREIGN KEY (tenant_id, location_id) REFERENCES location
) WITH (fillfactor = 60);

-- line: 0 is the place the event names first, 1 its counterpart; the two always sum to zero.
CREATE TABLE movement (
    event_id    uuid        NOT NULL,
    line        smallint    NOT NULL,
    position_id bigint      NOT NULL,
    sequence    bigint      NOT NULL,
    quantity    numeric     NOT NULL,
    on_hand     numeric     NOT NULL,
    type        text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (event_id, line)
);

CREATE TABLE replenishment_rule (
    tenant_id           text    NOT NULL,
    item_id             text    NOT NULL,
    location_id         text    NOT NULL,
    low_stock_threshold numeric NOT NULL,
    PRIMARY KEY (tenant_id, item_id, location_id)
);

-- What a planner asks; kept by the stockview worker, guarded by the position's own sequence.
CREATE TABLE stock (
    tenant_id          text        NOT NULL,
    item_id            text        NOT NULL,
    location_id        text        NOT NULL,
    on_hand            numeric     NOT NULL,
    reserved           numeric     NOT NULL,
    available          numeric     NOT NULL,
    sequence           bigint      NOT NULL,
    last_movement_at   timestamptz NOT NULL,
    last_movement_type text        NOT NULL,
    PRIMARY KEY (tenant_id, item_id, location_id)
) WITH (fillfactor = 60);

-- Where stock was last said to be low, and below what.
CREATE TABLE low_stock (
    tenant_id   text        NOT NULL,
    item_id     text        NOT NULL,
    location_id text        NOT NULL,
    threshold   numeric     NOT NULL,
    sequence    bigint      NOT NULL,
    said_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, item_id, location_id)
);

-- +goose Down
DROP TABLE low_stock, stock, replenishment_rule, movement, position, location, item;
