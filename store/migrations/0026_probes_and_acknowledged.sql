-- +goose Up

-- The call that failed as the last probe, how many probes in a row it was, and since when.
ALTER TABLE dependency
    ADD COLUMN probe_key   text        NOT NULL DEFAULT '',
    ADD COLUMN probes      int         NOT NULL DEFAULT 0,
    ADD COLUMN probe_since timestamptz NOT NULL DEFAULT clock_timestamp();

-- Findings about what was reported from outside that a person has looked at. id follows from the whole finding: one that
-- changes is another.
CREATE TABLE acknowledged_finding (
    id              text        NOT NULL PRIMARY KEY,
    check_name      text        NOT NULL,
    tenant_id       text        NOT NULL,
    item_id         text        NOT NULL,
    location_id     text        NOT NULL,
    problem         text        NOT NULL,
    reason          text        NOT NULL,
    acknowledged_by text        NOT NULL,
    acknowledged_at timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE acknowledged_finding;
ALTER TABLE dependency DROP COLUMN probe_key, DROP COLUMN probes, DROP COLUMN probe_since;
