-- Whether composerp.stream is fed, and how much it keeps. Its cursor is the row "stream" of log_cursor, while it is on.

-- +goose Up
CREATE TABLE stream (
    name            text        NOT NULL PRIMARY KEY CHECK (name = 'composerp.stream'),
    enabled         boolean     NOT NULL,
    max_age_seconds bigint      NOT NULL CHECK (max_age_seconds > 0),
    segment_bytes   bigint      NOT NULL CHECK (segment_bytes > 0),
    max_bytes       bigint      NOT NULL CHECK (max_bytes >= 0),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by      text        NOT NULL,
    reason          text        NOT NULL
);

-- +goose Down
DELETE FROM log_cursor WHERE consumer = 'stream';
DROP TABLE stream;
