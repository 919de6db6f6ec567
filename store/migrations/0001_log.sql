-- The event log, which is the outbox: what is said is appended in the transaction of the change it tells of.

-- +goose Up
-- CACHE 1, so that no session holds numbers back: a number is always drawn after its transaction got its id (see store/tick.go).
CREATE SEQUENCE event_log_seq CACHE 1;

-- tx stands before seq: defaults are computed in column order, and a transaction must have its id before it draws a number.
CREATE TABLE event_log (
    tx           xid8        NOT NULL DEFAULT pg_current_xact_id(),
    seq          bigint      NOT NULL DEFAULT nextval('event_log_seq'),
    epoch        int         NOT NULL,
    publish      boolean     NOT NULL,
    occurred_at  timestamptz NOT NULL,
    event_id     uuid        NOT NULL,
    tenant_id    text        NOT NULL,
    type         text        NOT NULL,
    version      text        NOT NULL,
    aggregate_id text        NOT NULL,
    body_sha256  bytea       NOT NULL,
    body         text        NOT NULL,
    PRIMARY KEY (seq)
) PARTITION BY RANGE (seq);
CREATE INDEX event_log_tx ON event_log (tx, seq);
-- The first partitions; the leader makes the next ones ahead of need (store/partition.go).
CREATE TABLE event_log_p0 PARTITION OF event_log FOR VALUES FROM (0) TO (1000000);
CREATE TABLE event_log_p1 PARTITION OF event_log FOR VALUES FROM (1000000) TO (2000000);

-- Everything from outside enters through here: a partitioned log cannot keep event_id unique by itself.
CREATE TABLE admission (
    event_id    uuid   NOT NULL PRIMARY KEY,
    body_sha256 bytea  NOT NULL,
    seq         bigint NOT NULL
);

-- An epoch is a life of the log between restores: transaction ids of different clusters cannot be compared.
CREATE TABLE epoch (
    epoch             int         NOT NULL PRIMARY KEY,
    system_identifier bigint      NOT NULL,
    began_at          timestamptz NOT NULL DEFAULT now()
);
INSERT INTO epoch (epoch, system_identifier) SELECT 1, system_identifier FROM pg_control_system();

-- A tick is a point of the log: which transactions had ended when it was made.
-- tx is the tick's own transaction. seq_before was read before tx got its id,
-- max_seq after the snapshot was taken (see store/tick.go).
CREATE TABLE tick (
    id         bigint      NOT NULL PRIMARY KEY,
    tx         xid8        NOT NULL DEFAULT pg_current_xact_id(),
    epoch      int         NOT NULL,
    snapshot   pg_snapshot NOT NULL,
    seq_before bigint      NOT NULL,
    max_seq    bigint      NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) SELECT 0, 1, pg_current_snapshot(), 0, 0;

-- How far a reader of the log has come: inside the interval (tick, upto], past seq.
CREATE TABLE log_cursor (
    consumer text        NOT NULL PRIMARY KEY,
    tick     bigint      NOT NULL,
    upto     bigint      NOT NULL,
    seq      bigint      NOT NULL,
    term     bigint      NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT now()
);

-- Who leads, and since when; the database's own clock decides.
CREATE TABLE lease (
    name       text        NOT NULL PRIMARY KEY,
    term       bigint      NOT NULL,
    holder     text        NOT NULL,
    expires_at timestamptz NOT NULL
);

-- Events that no broker will take, each with the reason; the relay skips them.
CREATE TABLE set_aside (
    seq       bigint      NOT NULL PRIMARY KEY,
    event_id  uuid        NOT NULL,
    reason    text        NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE set_aside, lease, log_cursor, tick, epoch, admission, event_log;
DROP SEQUENCE event_log_seq;
