-- What operators and planners changed by command, and why.

-- +goose Up
-- before and after are what changed, as JSON objects; NULL where there was or is nothing.
CREATE TABLE operator_log (
    id       bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    operator text        NOT NULL,
    action   text        NOT NULL,
    subject  text        NOT NULL,
    reason   text        NOT NULL DEFAULT '',
    before   jsonb,
    after    jsonb
);
CREATE INDEX operator_log_at ON operator_log (at);

-- +goose Down
DROP TABLE operator_log;
