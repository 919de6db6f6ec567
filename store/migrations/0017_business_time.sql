-- How far an event's business time may be from the clock when it is admitted.

-- +goose Up
-- max_behind_days 0: as old as it likes.
ALTER TABLE tenant_setting
    ADD max_ahead_hours int NOT NULL DEFAULT 36 CHECK (max_ahead_hours >= 0),
    ADD max_behind_days int NOT NULL DEFAULT 0 CHECK (max_behind_days >= 0);

-- +goose Down
ALTER TABLE tenant_setting DROP max_ahead_hours, DROP max_behind_days;
