-- Purchasing: orders to suppliers, and what replenishment knows of each position that may need one.

-- +goose Up
-- created_at and decided_at are business time; version counts what has happened to the order, its creation being 1.
-- priced: the price of every line is known, so that total_amount is what it says.
CREATE TABLE purchase_order (
    tenant_id         text        NOT NULL,
    purchase_order_id text        NOT NULL,
    po_number         text        NOT NULL,
    supplier_id       text        NOT NULL,
    location_id       text        NOT NULL,
    total_amount      numeric     NOT NULL,
    priced            boolean     NOT NULL,
    status            text        NOT NULL CHECK (status IN ('PENDING', 'APPROVED', 'CANCELLED')),
    version           bigint      NOT NULL DEFAULT 1,
    correlation_id    text        NOT NULL DEFAULT '',
    created_at        timestamptz NOT NULL,
    decided_at        timestamptz,
    decided_by        text        NOT NULL DEFAULT '',
    reason            text        NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, purchase_order_id),
    UNIQUE (tenant_id, po_number)
);
CREATE INDEX purchase_order_created ON purchase_order (created_at);
CREATE INDEX purchase_order_pending ON purchase_order (created_at) WHERE status = 'PENDING';

-- An open line still awaits quantity - received; a line is closed when that has come, or when its order was cancelled.
-- received is all that came for it, late and too much included.
-- ordinal is the position's booking that made the line: the oldest line of a position has the lowest.
-- The last five are what the rule saw when it asked; available and on_order are from before the order.
CREATE TABLE purchase_order_line (
    tenant_id         text    NOT NULL,
    purchase_order_id text    NOT NULL,
    item_id           text    NOT NULL,
    location_id       text    NOT NULL,
    quantity          numeric NOT NULL CHECK (quantity > 0),
    unit_price        numeric CHECK (unit_price >= 0),
    received          numeric NOT NULL DEFAULT 0 CHECK (received >= 0),
    open              boolean NOT NULL DEFAULT true,
    ordinal           bigint  NOT NULL,
    rule_version      bigint  NOT NULL,
    sequence          bigint  NOT NULL,
    available         numeric NOT NULL,
    on_order          numeric NOT NULL,
    reorder_point     numeric NOT NULL,
    PRIMARY KEY (tenant_id, purchase_order_id, item_id, location_id),
    FOREIGN KEY (tenant_id, purchase_order_id) REFERENCES purchase_order
);
CREATE INDEX purchase_order_line_open ON purchase_order_line (tenant_id, item_id, location_id) WHERE open;

-- Numbers are drawn per tenant and year of business time; a number once committed is never drawn again.
CREATE TABLE purchase_order_number (
    tenant_id text   NOT NULL,
    year      int    NOT NULL,
    last      bigint NOT NULL,
    PRIMARY KEY (tenant_id, year)
);

-- One row a stock position seen, with a rule or without. on_hand and reserved are the ledger's at sequence;
-- on_order is the sum of what the position's open lines await; bookings counts its changes (on_order_booking);
-- latest_at is the latest business time of an event.
-- A need is held after held_on (the cancellation's business date) and while the rule has held_version.
-- reorder_point and order_up_to follow the newest forecast for an auto rule of version planned_version.
-- Room is left on each page so that an update stays on its page and touches no index.
CREATE TABLE replenishment_state (
    id              bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id       text        NOT NULL,
    item_id         text        NOT NULL,
    location_id     text        NOT NULL,
    on_hand         numeric     NOT NULL DEFAULT 0,
    reserved        numeric     NOT NULL DEFAULT 0,
    sequence        bigint      NOT NULL DEFAULT 0,
    latest_at       timestamptz NOT NULL DEFAULT '0001-01-01 00:00:00Z',
    on_order        numeric     NOT NULL DEFAULT 0 CHECK (on_order >= 0),
    bookings        bigint      NOT NULL DEFAULT 0,
    held_on         date,
    held_version    bigint,
    forecast_start  date,
    planned_version bigint,
    reorder_point   numeric,
    order_up_to     numeric,
    UNIQUE (tenant_id, item_id, location_id)
) WITH (fillfactor = 60);

-- The newest forecast of each position, remembered without an auto rule too: a rule may become one.
CREATE TABLE replenishment_forecast (
    state_id      bigint    NOT NULL PRIMARY KEY REFERENCES replenishment_state,
    daily         numeric[] NOT NULL,
    error_std_dev numeric   NOT NULL
);

-- Every change of what is on order at a position, in order, append-only. quantity is what was ordered, received or
-- cancelled; change is what that did to on_order, which is the value after it.
CREATE TABLE on_order_booking (
    state_id          bigint      NOT NULL REFERENCES replenishment_state,
    ordinal           bigint      NOT NULL,
    kind              text        NOT NULL CHECK (kind IN ('ORDERED', 'RECEIVED', 'CANCELLED')),
    tenant_id         text        NOT NULL,
    purchase_order_id text        NOT NULL,
    event_id          uuid        NOT NULL,
    quantity          numeric     NOT NULL,
    change            numeric     NOT NULL,
    on_order          numeric     NOT NULL,
    occurred_at       timestamptz NOT NULL,
    PRIMARY KEY (state_id, ordinal)
);
CREATE INDEX on_order_booking_order ON on_order_booking (tenant_id, purchase_order_id);

-- +goose Down
DROP TABLE on_order_booking, replenishment_forecast, replenishment_state, purchase_order_number, purchase_order_line, purchase_order;
