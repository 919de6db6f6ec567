-- The tables of lots can be rebuilt beside the live ones and take their place: a foreign key would go with the old table.
-- The worker writes a balance before its lots, under the balance's lock.

-- +goose Up
ALTER TABLE lot DROP CONSTRAINT IF EXISTS lot_balance_id_fkey;
ALTER TABLE lot_expiring DROP CONSTRAINT IF EXISTS lot_expiring_balance_id_fkey;

-- +goose Down
ALTER TABLE lot ADD CONSTRAINT lot_balance_id_fkey FOREIGN KEY (balance_id) REFERENCES lot_balance;
ALTER TABLE lot_expiring ADD CONSTRAINT lot_expiring_balance_id_fkey FOREIGN KEY (balance_id) REFERENCES lot_balance;
