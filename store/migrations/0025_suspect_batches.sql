-- +goose Up

-- How many messages were in hand together when the note was made: 1 in the version before, which tries each alone.
ALTER TABLE suspect ADD COLUMN batch_size int NOT NULL DEFAULT 1 CHECK (batch_size > 0);

-- +goose Down
ALTER TABLE suspect DROP COLUMN batch_size;
