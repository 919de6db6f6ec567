-- A claim of new events in one round trip.

-- +goose Up
-- The steps are statements of their own, in this order: each of a volatile function has its own snapshot. So the one
-- that reads which generation is the newest is younger than the lock against rotation. Package inbox says why.
-- +goose StatementBegin
CREATE FUNCTION claim_new(claimant smallint, ids uuid[]) RETURNS bigint VOLATILE LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    claimed bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7316001);
    INSERT INTO inbox (generation, consumer, event_id)
    SELECT (SELECT max(generation) FROM inbox_generation), claimant, m.event_id
    FROM unnest(ids) AS m(event_id)
    WHERE NOT EXISTS (
        SELECT FROM inbox i
        WHERE i.generation = ANY (ARRAY(SELECT generation FROM inbox_generation WHERE generation < (SELECT max(generation) FROM inbox_generation)))
          AND i.consumer = claimant AND i.event_id = m.event_id OFFSET 0)
    ORDER BY m.event_id;
    GET DIAGNOSTICS claimed = ROW_COUNT;
    RETURN claimed;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION claim_new(smallint, uuid[]);
