-- Events that a consumer has handled again in a replay, and in which transactions: what these emitted is in the log.

-- +goose Up
CREATE TABLE handled_again (
    consumer smallint NOT NULL,
    event_id uuid     NOT NULL,
    replay   bigint   NOT NULL,
    txs      xid8[]   NOT NULL,
    PRIMARY KEY (consumer, event_id)
);

-- +goose Down
DROP TABLE handled_again;
