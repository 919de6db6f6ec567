-- A count has a time: what is dated before a position's latest count does not change its stock any more.

-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE position ADD COLUMN IF NOT EXISTS counted_at timestamptz;
UPDATE position p SET counted_at = c.at
FROM (SELECT position_id, max(occurred_at) AS at FROM movement WHERE type = 'COUNT' AND line = 0 GROUP BY position_id) c
WHERE p.id = c.position_id AND p.counted_at IS NULL;

-- Movements come almost in the order of business time, so a BRIN index finds those after a time and costs writers
-- nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS movement_occurred_at ON movement USING brin (occurred_at) WITH (autosummarize = on);

-- +goose Down
DROP INDEX IF EXISTS movement_occurred_at;
ALTER TABLE position DROP COLUMN IF EXISTS counted_at;
