-- What is known of a decision about an order beside its business date.

-- +goose Up
-- created_event is the event that told of an order that waits for a person: what its decision was caused by.
-- decision_made_at is when a person decided, by the clock; decided_at is business time.
ALTER TABLE purchase_order ADD COLUMN created_event uuid, ADD COLUMN decision_made_at timestamptz;
