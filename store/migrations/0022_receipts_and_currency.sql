-- Receipts name orders as suppliers do; and amounts have a currency.

-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS dispatch_supplier_reference ON dispatch (tenant_id, supplier_reference) WHERE supplier_reference <> '';

-- ISO 4217 codes. '': a location has its tenant's, and a tenant none. An order keeps the one it was made with.
ALTER TABLE tenant_setting ADD COLUMN IF NOT EXISTS currency text NOT NULL DEFAULT '';
ALTER TABLE location ADD COLUMN IF NOT EXISTS currency text NOT NULL DEFAULT '';
ALTER TABLE purchase_order ADD COLUMN IF NOT EXISTS currency text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE purchase_order DROP COLUMN IF EXISTS currency;
ALTER TABLE location DROP COLUMN IF EXISTS currency;
ALTER TABLE tenant_setting DROP COLUMN IF EXISTS currency;
DROP INDEX IF EXISTS dispatch_supplier_reference;
