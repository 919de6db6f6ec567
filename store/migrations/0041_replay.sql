-- Replays: what was asked, and how far each has come.

-- +goose Up
CREATE TABLE replay (
    id         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    operator   text        NOT NULL,
    reason     text        NOT NULL,
    target     text        NOT NULL CHECK (target IN ('queue', 'exchange', 'file')),
    name       text        NOT NULL,
    filter     jsonb       NOT NULL,
    again      boolean     NOT NULL,
    rate       int         NOT NULL CHECK (rate >= 0),
    -- What the tick had seen when the replay was asked for, past first_seq and up to last_seq, is replayed.
    epoch      int         NOT NULL,
    snapshot   pg_snapshot NOT NULL,
    first_seq  bigint      NOT NULL,
    last_seq   bigint      NOT NULL,
    -- Where it is. term grows with each process that takes it over.
    state      text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'interrupted', 'done', 'cancelled')),
    term       bigint      NOT NULL DEFAULT 1,
    at_seq     bigint      NOT NULL,
    events     bigint      NOT NULL DEFAULT 0,
    unrouted   bigint      NOT NULL DEFAULT 0,
    bytes      bigint      NOT NULL DEFAULT 0,
    moved_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz
);

-- +goose Down
DROP TABLE replay;
