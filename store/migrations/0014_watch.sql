-- What may have been lost for a consumer while its queue or a binding of it was missing, and is still to be published again.

-- +goose Up
CREATE TABLE gap (
    consumer text        NOT NULL PRIMARY KEY,
    -- The point of the log before which nothing was lost (store/point.go).
    epoch    int         NOT NULL,
    seq      bigint      NOT NULL,
    snapshot pg_snapshot,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- +goose Down
DROP TABLE gap;
