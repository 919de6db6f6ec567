-- Demand, the forecasts made from it, and what came of them.

-- +goose Up
-- Kept by forecasting. What customers took and brought back on a calendar day of the location. Rows are found by item and
-- day, so that a history is one stretch of the key; room is left on each page for the day's further sales.
CREATE TABLE demand (
    tenant_id   text    NOT NULL,
    location_id text    NOT NULL,
    item_id     text    NOT NULL,
    day         date    NOT NULL,
    sold        numeric NOT NULL,
    returned    numeric NOT NULL,
    PRIMARY KEY (tenant_id, location_id, item_id, day)
) WITH (fillfactor = 80);

-- open_day: the latest day of an event; all days before it are closed. last_run: up to which day forecasts were last due.
CREATE TABLE demand_calendar (
    tenant_id   text NOT NULL,
    location_id text NOT NULL,
    open_day    date NOT NULL,
    last_run    date NOT NULL,
    PRIMARY KEY (tenant_id, location_id)
) WITH (fillfactor = 60);

-- Forecasts of a location that are due, or were made. previous: the run before. What the run says carries the business time and
-- the correlation of the event that closed the day. next_item: the items up to it are done. week and first_day are found out by
-- the first piece of the run, for all its pieces.
CREATE TABLE forecast_run (
    tenant_id      text        NOT NULL,
    location_id    text        NOT NULL,
    as_of          date        NOT NULL,
    previous       date        NOT NULL,
    closed_by      uuid        NOT NULL,
    closed_at      timestamptz NOT NULL,
    correlation_id text        NOT NULL,
    traceparent    text        NOT NULL,
    next_item      text        NOT NULL DEFAULT '',
    week           real[],
    first_day      date,
    made           int         NOT NULL DEFAULT 0,
    done           boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, location_id, as_of)
);
CREATE INDEX forecast_run_due ON forecast_run (as_of, tenant_id, location_id) WHERE NOT done;

-- Kept by analytics: what was forecast on which day, and what then happened.
CREATE TABLE forecast (
    tenant_id     text    NOT NULL,
    location_id   text    NOT NULL,
    item_id       text    NOT NULL,
    start_day     date    NOT NULL,
    method        text    NOT NULL,
    daily         real[]  NOT NULL,
    error_std_dev numeric NOT NULL,
    PRIMARY KEY (tenant_id, location_id, item_id, start_day)
);

CREATE TABLE forecast_outcome (
    tenant_id   text    NOT NULL,
    location_id text    NOT NULL,
    item_id     text    NOT NULL,
    day         date    NOT NULL,
    sold        numeric NOT NULL,
    returned    numeric NOT NULL,
    PRIMARY KEY (tenant_id, location_id, item_id, day)
) WITH (fillfactor = 80);

CREATE TABLE forecast_outcome_calendar (
    tenant_id   text NOT NULL,
    location_id text NOT NULL,
    open_day    date NOT NULL,
    PRIMARY KEY (tenant_id, location_id)
) WITH (fillfactor = 60);

-- +goose Down
DROP TABLE forecast_outcome_calendar, forecast_outcome, forecast, forecast_run, demand_calendar, demand;
