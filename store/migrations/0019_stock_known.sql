-- Nothing is ordered for a position that only sales and returns have moved: how much stands there is not known.

-- +goose Up
-- Positions of before keep being ordered for.
ALTER TABLE replenishment_state ADD stock_known boolean NOT NULL DEFAULT true;

-- +goose Down
ALTER TABLE replenishment_state DROP stock_known;
