-- How long slots have had batches in hand, those of now included: a batch that takes longer than the leader's interval is
-- work too.

-- +goose Up
ALTER TABLE worker_work ADD COLUMN busy double precision NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE worker_work DROP COLUMN busy;
