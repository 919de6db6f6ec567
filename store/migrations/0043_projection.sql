-- Read models that are rebuilt beside the live ones.

-- +goose Up
-- A row for each projection that was ever rebuilt. version is the live tables'; rebuild_* are NULL without a rebuild
-- in progress; kept_* are of the tables before the last switch, NULL without any. The kept tables have every event that
-- the tick kept_tick saw.
CREATE TABLE projection (
    name             text        NOT NULL PRIMARY KEY,
    version          int         NOT NULL,
    switched_at      timestamptz,
    rebuild_version  int,
    rebuild_began_at timestamptz,
    rebuild_moved_at timestamptz,
    rebuild_events   bigint      NOT NULL DEFAULT 0,
    kept_version     int,
    kept_tick        bigint
);

-- +goose Down
DROP TABLE projection;
