-- Read models for planners: the lots that stock stands in, what is on its way to a position, and what demand is expected there.

-- +goose Up
-- One row a stock position with movements: the sum of its lots less shortfall is what is on hand. lots counts its rows in lot.
-- first_heard is the sequence of the first movement consumed; what was on hand before it is in the unnamed lot.
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

-- What stock views know of an order. ordered_at and created_seq (its place in the log) are NULL until its creation is consumed:
-- its approval or cancellation may arrive before. cancelled_seq NULL: not cancelled.
CREATE TABLE stock_order (
    tenant_id         text    NOT NULL,
    purchase_order_id text    NOT NULL,
    po_number         text    NOT NULL DEFAULT '',
    supplier_id       text    NOT NULL DEFAULT '',
    ordered_at        timestamptz,
    created_seq       bigint,
    approved          boolean NOT NULL DEFAULT false,
    cancelled_seq     bigint,
    PRIMARY KEY (tenant_id, purchase_order_id)
);

-- received is what came for the line, too much and too late included: what named its order, and its share of what named none.
-- position_seq is the position's version that the rule saw when it asked, 0 where that is not known.
CREATE TABLE stock_order_line (
    tenant_id         text    NOT NULL,
    item_id           text    NOT NULL,
    location_id       text    NOT NULL,
    purchase_order_id text    NOT NULL,
    ordered           numeric NOT NULL,
    received          numeric NOT NULL DEFAULT 0,
    position_seq      bigint  NOT NULL,
    PRIMARY KEY (tenant_id, item_id, location_id, purchase_order_id)
);
CREATE INDEX stock_order_line_order ON stock_order_line (tenant_id, purchase_order_id);

-- Receipts as they were told, in log order by log_seq; position_seq is the position's version after it.
-- purchase_order_id '': the warehouse did not know.
CREATE TABLE stock_receipt (
    tenant_id         text   NOT NULL,
    item_id           text   NOT NULL,
    location_id       text   NOT NULL,
    event_id          uuid   NOT NULL,
    log_seq           bigint NOT NULL,
    position_seq      bigint NOT NULL,
    purchase_order_id text   NOT NULL,
    quantity          numeric NOT NULL,
    PRIMARY KEY (tenant_id, item_id, location_id, event_id)
);

-- What the open lines of a position await, and the order that is due first of them. What comes of its lines and
-- receipts is worked out under this row's lock.
CREATE TABLE stock_supply (
    tenant_id     text    NOT NULL,
    item_id       text    NOT NULL,
    location_id   text    NOT NULL,
    on_order      numeric NOT NULL DEFAULT 0,
    next_order    text    NOT NULL DEFAULT '',
    next_quantity numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, item_id, location_id)
);

-- What is expected of a position: the demand of a day by the newest forecast (the latest start, of one start the
-- last in the log), and the reorder point of the last rule that asked for more.
CREATE TABLE stock_outlook (
    tenant_id      text   NOT NULL,
    item_id        text   NOT NULL,
    location_id    text   NOT NULL,
    daily_demand   numeric,
    forecast_start date,
    forecast_seq   bigint,
    reorder_point  numeric,
    triggered_seq  bigint,
    PRIMARY KEY (tenant_id, item_id, location_id)
);

-- +goose Down
DROP TABLE stock_outlook, stock_supply, stock_receipt, stock_order_line, stock_order;
DROP TABLE lot_day, lot_expiring, lot, lot_balance;
