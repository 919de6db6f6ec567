-- How many slots each queue is to have, the processes that run them, and how many each runs.

-- +goose Up
-- One row a worker's queue that an operator has scaled or paused, by the worker's name. desired NULL: each process runs
-- what its --slots says. managed: the leader has assigned the slots, from then on the flags do not count.
-- Until override_until desired is an override, after which restored counts. assigned: the revision that the leader has assigned.
CREATE TABLE worker_pool (
    queue          text        NOT NULL PRIMARY KEY,
    mode           text        NOT NULL DEFAULT 'manual' CHECK (mode IN ('manual', 'auto')),
    desired        int         CHECK (desired >= 0),
    min            int         NOT NULL DEFAULT 0,
    max            int,
    max_per_node   int         CHECK (max_per_node > 0),
    labels         text[]      NOT NULL DEFAULT '{}',
    paused         boolean     NOT NULL DEFAULT false,
    override_until timestamptz,
    restored       int,
    managed        boolean     NOT NULL DEFAULT false,
    revision       bigint      NOT NULL DEFAULT 1,
    assigned       bigint      NOT NULL DEFAULT 0,
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by     text        NOT NULL DEFAULT '',
    reason         text        NOT NULL DEFAULT ''
);

-- One row a process that runs workers. queues and flag_slots belong together: what its --slots says. paused are queues
-- that this node alone does not consume. term: a later process of the same id has a higher one.
CREATE TABLE worker_node (
    id          text        NOT NULL PRIMARY KEY,
    term        bigint      NOT NULL DEFAULT 1,
    host        text        NOT NULL,
    pid         int         NOT NULL,
    version     text        NOT NULL,
    capacity    int         NOT NULL,
    labels      text[]      NOT NULL DEFAULT '{}',
    queues      text[]      NOT NULL,
    flag_slots  int[]       NOT NULL,
    paused      text[]      NOT NULL DEFAULT '{}',
    draining    boolean     NOT NULL DEFAULT false,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL
);

-- Written by the leader alone, under its lease.
CREATE TABLE worker_assignment (
    queue text NOT NULL,
    node  text NOT NULL,
    slots int  NOT NULL CHECK (slots > 0),
    PRIMARY KEY (queue, node)
);

-- What a node says of its slots: planned is what it is to have, seq the log position of the newest message taken.
CREATE TABLE worker_report (
    node        text        NOT NULL,
    queue       text        NOT NULL,
    planned     int         NOT NULL,
    running     int         NOT NULL,
    busy        int         NOT NULL,
    seq         bigint      NOT NULL,
    revision    bigint      NOT NULL, -- of the pool's assignment that planned follows
    reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (node, queue)
);

-- Append-only: what was asked for, and what the leader did.
CREATE TABLE scale_event (
    id     bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    queue  text        NOT NULL,
    node   text        NOT NULL DEFAULT '', -- '' for the queue as a whole
    before int,                             -- NULL: what the flags say
    after  int,
    by     text        NOT NULL DEFAULT '', -- '' for the leader
    reason text        NOT NULL DEFAULT ''
);
CREATE INDEX scale_event_queue ON scale_event (queue, id);

-- +goose Down
DROP TABLE scale_event, worker_report, worker_assignment, worker_node, worker_pool;
