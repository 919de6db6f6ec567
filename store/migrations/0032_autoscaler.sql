-- What the autoscaler decides by, and what it decided last.

-- +goose Up
ALTER TABLE worker_pool ADD COLUMN drain_seconds float8 NOT NULL DEFAULT 60 CHECK (drain_seconds > 0);

-- What the slots of a node have done of a queue since the process began (term): all from acked on only grows.
CREATE TABLE worker_work (
    node     text   NOT NULL,
    queue    text   NOT NULL,
    term     bigint NOT NULL,
    batch    int    NOT NULL, -- messages of a full batch
    held     int    NOT NULL, -- messages that its slots hold now
    acked    bigint NOT NULL,
    returned bigint NOT NULL,
    retried  bigint NOT NULL,
    deferred bigint NOT NULL,
    batches  float8 NOT NULL,
    messages float8 NOT NULL,
    squares  float8 NOT NULL,
    seconds  float8 NOT NULL,
    products float8 NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (node, queue)
);

-- The last decision for each queue in mode auto, and the curve of its batches, which the next leader begins with.
CREATE TABLE scale_decision (
    queue    text        NOT NULL PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    decision jsonb       NOT NULL,
    curve    jsonb       NOT NULL
);

-- +goose Down
DROP TABLE scale_decision, worker_work;
ALTER TABLE worker_pool DROP COLUMN drain_seconds;
