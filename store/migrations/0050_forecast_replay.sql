-- The replay that a forecast run follows from: no call is made about what follows from its forecasts.

-- +goose Up
ALTER TABLE forecast_run ADD COLUMN IF NOT EXISTS replay bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE forecast_run DROP COLUMN replay;
