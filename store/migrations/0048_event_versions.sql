-- Which version of a type is emitted and published, for types that have two live ones. A type without a row is in the
-- stage old: the older version alone. relay_revision and relay_term say which relay has taken over the stage.

-- +goose Up
CREATE TABLE event_version (
    type           text        NOT NULL PRIMARY KEY,
    stage          text        NOT NULL CHECK (stage IN ('old', 'mirror', 'both', 'new')),
    revision       bigint      NOT NULL DEFAULT 1,
    relay_revision bigint      NOT NULL DEFAULT 0,
    relay_term     bigint      NOT NULL DEFAULT 0,
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by     text        NOT NULL,
    reason         text        NOT NULL
);

-- The version of a type that a queue reads, as an operator has declared it.
CREATE TABLE queue_version (
    queue      text        NOT NULL,
    type       text        NOT NULL,
    version    text        NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by text        NOT NULL,
    reason     text        NOT NULL,
    PRIMARY KEY (queue, type)
);

-- A relay of the version before publishes to composerp.events alone. While a type is published in both versions, its
-- cursor does not move, so that what it has published comes again from a relay that publishes both.
-- +goose StatementBegin
CREATE FUNCTION relay_has_adopted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM event_version WHERE stage = 'both' AND relay_term <> NEW.term) THEN
        RAISE EXCEPTION 'this relay does not publish both versions of a type that is migrated: run a relay of the newest program, and stop the older one';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER relay_has_adopted BEFORE UPDATE OF tick, upto, seq ON log_cursor
    FOR EACH ROW WHEN (NEW.consumer = 'relay') EXECUTE FUNCTION relay_has_adopted();

-- +goose Down
DROP TRIGGER relay_has_adopted ON log_cursor;
DROP FUNCTION relay_has_adopted();
DROP TABLE queue_version, event_version;
