-- The versions of event types that a node's program reads, as "INVENTORY_UPDATED 2.0", and of a worker that reads an
-- older one alone, as "INVENTORY_UPDATED 1.0 ledger". A node of the version before says nothing: it reads the first.

-- +goose Up
ALTER TABLE worker_node ADD COLUMN reads text[] NOT NULL DEFAULT '{}';

-- +goose Down
ALTER TABLE worker_node DROP COLUMN reads;
