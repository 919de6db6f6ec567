-- How far the import of a file has come. It is written in the transaction of each batch, so that it is never ahead of the log nor behind it.

-- +goose Up
CREATE TABLE import_progress (
    file_sha256    bytea       NOT NULL,
    mapping_sha256 bytea       NOT NULL,
    -- term counts those who took the import up; only the last of them may write on.
    term           bigint      NOT NULL,
    file           text        NOT NULL,
    rejects_file   text        NOT NULL,
    rows           bigint      NOT NULL,
    rejects_bytes  bigint      NOT NULL,
    tally          jsonb       NOT NULL,
    finished       boolean     NOT NULL,
    began_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    moved_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (file_sha256, mapping_sha256)
);

-- +goose Down
DROP TABLE import_progress;
