-- What each audit has found: an audit with findings leaves no checkpoint.

-- +goose Up
CREATE TABLE audit_run (
    id       bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    result   text        NOT NULL,
    findings bigint      NOT NULL CHECK (findings >= 0)
);

-- +goose Down
DROP TABLE audit_run;
