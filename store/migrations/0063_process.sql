-- Processes (workers/worker/process): the state of each instance, what it went through, its timers, and the events that
-- came before it could take them.

-- +goose Up
CREATE TABLE process_instance (
    tenant_id   text        NOT NULL,
    process     text        NOT NULL,
    correlation text        NOT NULL,
    state       text        NOT NULL DEFAULT '',  -- '': events have come, and the process has not begun
    version     bigint      NOT NULL DEFAULT 0,   -- how many steps it has taken
    final       boolean     NOT NULL DEFAULT false,
    trouble     text        NOT NULL DEFAULT '',  -- the error of its last timer; '': none
    begun_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, process, correlation)
);
CREATE INDEX process_instance_open ON process_instance (process, state) WHERE NOT final;

CREATE TABLE process_step (
    tenant_id   text        NOT NULL,
    process     text        NOT NULL,
    correlation text        NOT NULL,
    ordinal     bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    kind        text        NOT NULL CHECK (kind IN ('moved', 'late')), -- late: it changed nothing
    input       text        NOT NULL,
    input_id    uuid        NOT NULL,
    from_state  text        NOT NULL,
    to_state    text        NOT NULL,
    occurred_at timestamptz NOT NULL, -- business time
    taken_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    by          text        NOT NULL,
    note        text        NOT NULL,
    PRIMARY KEY (tenant_id, process, correlation, ordinal),
    UNIQUE (tenant_id, process, correlation, input_id)
);

CREATE TABLE process_timer (
    tenant_id   text        NOT NULL,
    process     text        NOT NULL,
    correlation text        NOT NULL,
    name        text        NOT NULL,
    due_at      timestamptz NOT NULL,
    failures    int         NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, process, correlation, name)
);
CREATE INDEX process_timer_due ON process_timer (process, due_at);

CREATE TABLE process_early (
    tenant_id   text        NOT NULL,
    process     text        NOT NULL,
    correlation text        NOT NULL,
    ordinal     bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    input       text        NOT NULL,
    input_id    uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    by          text        NOT NULL,
    note        text        NOT NULL,
    kept_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, process, correlation, input_id)
);

-- After how many hours an order that waits for a person is named to those on duty, and cancelled; 0: never.
ALTER TABLE tenant_setting
    ADD approval_escalate_hours int NOT NULL DEFAULT 0 CHECK (approval_escalate_hours >= 0),
    ADD approval_cancel_hours   int NOT NULL DEFAULT 0 CHECK (approval_cancel_hours >= 0);

-- The orders that wait are processes from here on, in the state that they are in.
INSERT INTO process_instance (tenant_id, process, correlation, state, version)
SELECT tenant_id, 'approval', purchase_order_id, 'waiting', 1 FROM purchase_order WHERE status = 'PENDING';
INSERT INTO process_step (tenant_id, process, correlation, kind, input, input_id, from_state, to_state, occurred_at, by, note)
SELECT tenant_id, 'approval', purchase_order_id, 'moved', 'upgrade', coalesce(created_event, gen_random_uuid()), '', 'waiting', created_at, 'migration',
       'the order waited when processes came'
FROM purchase_order WHERE status = 'PENDING';

-- +goose Down
ALTER TABLE tenant_setting DROP approval_escalate_hours, DROP approval_cancel_hours;
DROP TABLE process_early, process_timer, process_step, process_instance;
