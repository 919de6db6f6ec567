-- The lanes of ordered workers: how many there are, and which node handles each.

-- +goose Up
-- One row an ordered worker whose lanes an operator has set, by the worker's name. Numbers of lanes; 0 is the worker's queue alone.
-- wanted: what the operator asked for. routed: where events go. consumed: what is handled. former: whose queues are to be deleted.
-- While routed and consumed differ, a switch is under way: unbound is the first tick after the bindings of consumed were removed.
CREATE TABLE lane_set (
    queue      text        NOT NULL PRIMARY KEY,
    wanted     int         NOT NULL CHECK (wanted IN (0, 1, 2, 4, 8, 16, 32)),
    routed     int         NOT NULL DEFAULT 0,
    consumed   int         NOT NULL DEFAULT 0,
    former     int,
    unbound    bigint,
    revision   bigint      NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by text        NOT NULL DEFAULT '',
    reason     text        NOT NULL DEFAULT ''
);

-- A node's right to handle a lane has this number, and no other right ever had it.
CREATE SEQUENCE lane_term AS bigint;

-- One row each lane that is consumed, and one for the worker's own queue, whose lane is -1. Written by the leader under
-- its lease; the owner alone sets node to NULL and drained to true, under its term. since: when node changed last.
CREATE TABLE lane (
    queue     text        NOT NULL,
    lane      int         NOT NULL CHECK (lane >= -1),
    node      text,
    node_term bigint,
    term      bigint      NOT NULL DEFAULT nextval('lane_term'),
    leaving   boolean     NOT NULL DEFAULT false,
    drained   boolean     NOT NULL DEFAULT false,
    since     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (queue, lane)
);

-- Whether a node's slots of a queue handle lanes, and none of them the queue beside others.
ALTER TABLE worker_report ADD COLUMN in_lanes boolean NOT NULL DEFAULT false;

-- +goose Down
ALTER TABLE worker_report DROP COLUMN in_lanes;
DROP TABLE lane, lane_set;
DROP SEQUENCE lane_term;
