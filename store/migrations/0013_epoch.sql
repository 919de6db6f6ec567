-- Where in the log each epoch begins (store/epoch.go).

-- +goose Up
-- first_tick: the tick it begins with. The one before that is the end of the epoch before, and has seen all of it.
ALTER TABLE epoch ADD first_tick bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE epoch DROP first_tick;
