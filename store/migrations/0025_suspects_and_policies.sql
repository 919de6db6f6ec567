-- +goose Up

-- How many messages were in hand together when the note was made: 1 in the version before, which tries each alone.
ALTER TABLE suspect ADD COLUMN batch_size int NOT NULL DEFAULT 1 CHECK (batch_size > 0);

-- What policies set for a consumer's queue, as the watchdog saw it: until is NULL for what is in force.
CREATE TABLE queue_policy (
    consumer text        NOT NULL,
    policy   text        NOT NULL,
    since    timestamptz NOT NULL DEFAULT now(),
    until    timestamptz
);
CREATE UNIQUE INDEX queue_policy_in_force ON queue_policy (consumer) WHERE until IS NULL;

-- The policy that made a dead letter: NULL where none did, or where the version before recorded it; '' where it is not known.
ALTER TABLE dead_letter ADD COLUMN policy text;
CREATE INDEX dead_letter_policy_unknown ON dead_letter (consumer, died_at) WHERE policy = '';

-- +goose Down
ALTER TABLE dead_letter DROP COLUMN policy;
DROP TABLE queue_policy;
ALTER TABLE suspect DROP COLUMN batch_size;
