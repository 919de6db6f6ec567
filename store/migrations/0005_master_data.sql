-- Master data: what planners and buyers keep. Items and locations are made on first sight and completed here.

-- +goose Up
-- pack: orders are rounded up to whole packs. unit_cost: what a supplier asks for one unit; NULL: not known.
ALTER TABLE item
    ADD unit      text    NOT NULL DEFAULT 'each',
    ADD pack      numeric NOT NULL DEFAULT 1 CHECK (pack > 0),
    ADD unit_cost numeric CHECK (unit_cost >= 0);

-- timezone (IANA name): which calendar day a moment of business time belongs to there.
ALTER TABLE location
    ADD name     text NOT NULL DEFAULT '',
    ADD timezone text NOT NULL DEFAULT 'UTC';

-- endpoint: where orders are POSTed to; empty: no endpoint.
CREATE TABLE supplier (
    tenant_id      text NOT NULL,
    supplier_id    text NOT NULL,
    name           text NOT NULL DEFAULT '',
    lead_time_days int  NOT NULL CHECK (lead_time_days >= 0),
    endpoint       text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, supplier_id)
);

-- A rule without a supplier, or a fixed one without a reorder point, only watches (low_stock_threshold).
-- mode fixed: reorder_point as given. mode auto: it follows the forecast for the service level, and
-- reorder_point is used until there is one.
-- How much: order_quantity (in multiples, until it is enough), or up to order_up_to, or, in mode auto with
-- neither, up to the reorder point and cover_days of expected demand.
ALTER TABLE replenishment_rule
    ALTER low_stock_threshold DROP NOT NULL,
    ADD version        bigint  NOT NULL DEFAULT 1,
    ADD mode           text    NOT NULL DEFAULT 'fixed' CHECK (mode IN ('fixed', 'auto')),
    ADD supplier_id    text,
    ADD reorder_point  numeric,
    ADD order_up_to    numeric,
    ADD order_quantity numeric CHECK (order_quantity > 0),
    ADD pack_size      numeric CHECK (pack_size > 0),
    ADD minimum_order  numeric NOT NULL DEFAULT 0 CHECK (minimum_order >= 0),
    ADD service_level  numeric NOT NULL DEFAULT 0.95 CHECK (service_level > 0.5 AND service_level < 1),
    ADD cover_days     int     NOT NULL DEFAULT 14 CHECK (cover_days > 0),
    ADD CHECK (order_up_to IS NULL OR order_quantity IS NULL),
    ADD FOREIGN KEY (tenant_id, supplier_id) REFERENCES supplier;

-- approval_limit NULL: every order waits for a person.
CREATE TABLE tenant_setting (
    tenant_id             text NOT NULL PRIMARY KEY,
    approval_limit        numeric CHECK (approval_limit >= 0),
    forecast_cadence_days int  NOT NULL DEFAULT 7 CHECK (forecast_cadence_days > 0),
    expiry_warning_days   int  NOT NULL DEFAULT 30 CHECK (expiry_warning_days >= 0)
);

-- +goose Down
DROP TABLE tenant_setting;
ALTER TABLE replenishment_rule
    DROP version, DROP mode, DROP supplier_id, DROP reorder_point, DROP order_up_to, DROP order_quantity,
    DROP pack_size, DROP minimum_order, DROP service_level, DROP cover_days;
DELETE FROM replenishment_rule WHERE low_stock_threshold IS NULL;
ALTER TABLE replenishment_rule ALTER low_stock_threshold SET NOT NULL;
DROP TABLE supplier;
ALTER TABLE location DROP name, DROP timezone;
ALTER TABLE item DROP unit, DROP pack, DROP unit_cost;
