-- Tries that failed, classes of failing events that are held back, and dependencies that are away.

-- +goose Up
-- One row a failed try. try_id follows from the message and its state, so that a try written down twice is one row.
-- class: what the failure counts for in quarantine; '' where it counts for nothing. dependency: whose fault it was instead, '' otherwise.
-- All times are the database's. The housekeeping of the ticker takes the oldest rows away (store/failure.go).
CREATE TABLE failure (
    id          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    try_id      uuid        NOT NULL UNIQUE,
    consumer    text        NOT NULL,
    event_id    uuid,
    message_id  text        NOT NULL,
    type        text        NOT NULL,
    version     text        NOT NULL,
    attempt     int         NOT NULL,
    error       text        NOT NULL,
    fingerprint text        NOT NULL,
    class       text        NOT NULL,
    dependency  text        NOT NULL,
    outcome     text        NOT NULL CHECK (outcome IN ('retried', 'deferred', 'quarantined', 'dead')),
    failed_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX failure_event ON failure (event_id);
CREATE INDEX failure_class ON failure (class, failed_at) WHERE class <> '';

-- Classes of failing events: (consumer, type, version, fingerprint), named by class. Open while released_at is NULL.
-- sample is the error that filled the class.
CREATE TABLE quarantine (
    class       text        NOT NULL PRIMARY KEY,
    consumer    text        NOT NULL,
    type        text        NOT NULL,
    version     text        NOT NULL,
    fingerprint text        NOT NULL,
    sample      text        NOT NULL,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz
);

-- A row for each dependency that is away: its circuit is open until opens_at, and then for all but one probe, which has it
-- for itself until probe_until. term fences the probe: each draws it anew, and only the last may say how it went. failures counts the answers in vain.
CREATE SEQUENCE dependency_term AS bigint;
CREATE TABLE dependency (
    name        text        NOT NULL PRIMARY KEY,
    failures    int         NOT NULL DEFAULT 1,
    term        bigint      NOT NULL DEFAULT nextval('dependency_term'),
    opens_at    timestamptz NOT NULL,
    probe_until timestamptz NOT NULL DEFAULT '-infinity',
    last_error  text        NOT NULL,
    since       timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Dead letters are grouped by it, and those of a quarantined class are found by their header.
ALTER TABLE dead_letter ADD COLUMN fingerprint text NOT NULL DEFAULT '';
CREATE INDEX dead_letter_quarantine ON dead_letter ((headers ->> 'x-quarantine')) WHERE headers ? 'x-quarantine';

-- +goose Down
DROP INDEX dead_letter_quarantine;
ALTER TABLE dead_letter DROP COLUMN fingerprint;
DROP TABLE dependency, quarantine, failure;
DROP SEQUENCE dependency_term;
