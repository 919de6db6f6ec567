-- The life of a dead letter: what it says, by what it can be chosen, and what became of it.

-- +goose Up
-- +goose StatementBegin
-- envelope_text reads a text of an envelope; '' where the body is none. A stranger's body may be anything.
CREATE FUNCTION envelope_text(body bytea, key text) RETURNS text IMMUTABLE STRICT PARALLEL SAFE LANGUAGE plpgsql AS $$
BEGIN
    RETURN coalesce(convert_from(body, 'UTF8')::jsonb ->> key, '');
EXCEPTION WHEN OTHERS THEN
    RETURN '';
END
$$;
-- +goose StatementEnd

-- What can be read off a letter is computed here, so that a program of the version before writes it too.
-- redriven_at, discarded_at, missed_at: when it was put back to its worker, taken away, or found to have left its queue by another hand.
ALTER TABLE dead_letter
    ADD COLUMN tenant_id    text        NOT NULL GENERATED ALWAYS AS (envelope_text(body, 'tenantId')) STORED,
    ADD COLUMN aggregate_id text        NOT NULL GENERATED ALWAYS AS (envelope_text(body, 'aggregateId')) STORED,
    ADD COLUMN quarantine   text        NOT NULL GENERATED ALWAYS AS (coalesce(headers ->> 'x-quarantine', '')) STORED,
    ADD COLUMN redrives     int         NOT NULL DEFAULT 0,
    ADD COLUMN redriven_at  timestamptz,
    ADD COLUMN discarded_at timestamptz,
    ADD COLUMN missed_at    timestamptz,
    ADD COLUMN lies         boolean     NOT NULL GENERATED ALWAYS AS (redriven_at IS NULL AND discarded_at IS NULL AND missed_at IS NULL) STORED;
CREATE INDEX dead_letter_lies ON dead_letter (consumer, died_at, id) WHERE lies;
-- Fingerprints are made by the program: what the version before has written has none yet.
CREATE INDEX dead_letter_unprinted ON dead_letter (id) WHERE fingerprint = '' AND error <> '';

-- +goose Down
DROP INDEX dead_letter_unprinted, dead_letter_lies;
ALTER TABLE dead_letter DROP COLUMN lies, DROP COLUMN missed_at, DROP COLUMN discarded_at, DROP COLUMN redriven_at, DROP COLUMN redrives,
    DROP COLUMN quarantine, DROP COLUMN aggregate_id, DROP COLUMN tenant_id;
DROP FUNCTION envelope_text;
