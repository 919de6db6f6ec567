-- How many calls at once the whole fleet makes to one dependency, and those under way.

-- +goose Up
CREATE TABLE dependency_limit (
    name       text        NOT NULL PRIMARY KEY,
    calls      int         NOT NULL CHECK (calls > 0),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by text        NOT NULL DEFAULT '',
    reason     text        NOT NULL DEFAULT ''
);

-- One row a call to a limited dependency. expires_at is later than any call lasts: the row of a process that died.
CREATE TABLE dependency_call (
    id         uuid        NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
    name       text        NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX dependency_call_name ON dependency_call (name, expires_at);

-- +goose Down
DROP TABLE dependency_call, dependency_limit;
