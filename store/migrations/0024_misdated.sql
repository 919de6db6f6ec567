-- Movements with a business time that no bound allows: a till's clock was years ahead before there were bounds.

-- +goose Up
-- corrected_to: the time that counts instead, NULL until `composerp misdated correct` sets it. corrected_sequence: the
-- position's sequence then; counts up to it were booked by the wrong time.
CREATE TABLE misdated_movement (
    event_id           uuid        NOT NULL,
    line               smallint    NOT NULL,
    position_id        bigint      NOT NULL,
    occurred_at        timestamptz NOT NULL,
    corrected_to       timestamptz,
    corrected_sequence bigint,
    PRIMARY KEY (event_id, line),
    CHECK ((corrected_to IS NULL) = (corrected_sequence IS NULL))
);
CREATE INDEX misdated_movement_position ON misdated_movement (position_id);

-- Those that the database already holds.
INSERT INTO misdated_movement (event_id, line, position_id, occurred_at)
SELECT m.event_id, m.line, m.position_id, m.occurred_at
FROM movement m JOIN position p ON p.id = m.position_id LEFT JOIN tenant_setting s USING (tenant_id)
WHERE m.occurred_at > now() + interval '36 hours' AND m.occurred_at > now() + make_interval(hours => coalesce(s.max_ahead_hours, 36));

-- +goose Down
DROP TABLE misdated_movement;
