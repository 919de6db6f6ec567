-- What the audit has proven, so that it need not be counted again (store/audit_checkpoint.go), and what the inbox has forgotten since.

-- +goose Up
-- Audits are numbered, and so are the checkpoints that some of them leave.
CREATE SEQUENCE audit_number;

-- A checkpoint covers the events that snapshot has seen. floor: every event that it has not seen stands past this place of the log.
-- generation: the newest of the inbox at that time. The ends are the last rows there were, each in the file of that number.
-- tallies: how much of everything there was, for totals. previous: the checkpoint that it goes on from; 0: none.
CREATE TABLE audit_checkpoint (
    id             bigint      NOT NULL PRIMARY KEY,
    previous       bigint      NOT NULL UNIQUE,
    epoch          int         NOT NULL,
    snapshot       pg_snapshot NOT NULL,
    floor          bigint      NOT NULL,
    generation     int         NOT NULL,
    admission_file oid         NOT NULL,
    admission_end  tid         NOT NULL,
    movement_file  oid         NOT NULL,
    movement_end   tid         NOT NULL,
    tallies        jsonb       NOT NULL,
    made_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Every position as it stood at the newest checkpoint: the sum of the movements counted.
CREATE TABLE audit_position (
    position_id bigint  NOT NULL PRIMARY KEY,
    sequence    bigint  NOT NULL,
    on_hand     numeric NOT NULL
);

-- What a checkpoint leaves open: events that a consumer had not handled, dead or alive. seq NULL: it has moved stock, and was not in the log yet.
-- lost is an audit's own, while it goes on: no checkpoint is made of it.
CREATE TABLE audit_open (
    checkpoint   bigint  NOT NULL,
    consumer     text    NOT NULL,
    event_id     uuid    NOT NULL,
    seq          bigint,
    epoch        int,
    tx           xid8,
    type         text,
    tenant_id    text,
    aggregate_id text,
    dead         boolean NOT NULL DEFAULT false,
    lost         boolean NOT NULL DEFAULT false,
    PRIMARY KEY (checkpoint, consumer, event_id)
);

-- Whose movements an audit looks at, while it goes on.
CREATE UNLOGGED TABLE audit_moved (
    checkpoint bigint NOT NULL,
    event_id   uuid   NOT NULL,
    PRIMARY KEY (checkpoint, event_id)
);

-- Generations of the inbox that are gone. What this snapshot has seen was proven before, but for what the checkpoint of that time left open.
CREATE TABLE inbox_dropped (
    generation int         NOT NULL PRIMARY KEY,
    epoch      int         NOT NULL,
    snapshot   pg_snapshot NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- +goose Down
DROP TABLE inbox_dropped, audit_moved, audit_open, audit_position, audit_checkpoint;
DROP SEQUENCE audit_number;
