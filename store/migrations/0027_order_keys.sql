-- An order's indexes that begin with the tenant all go on with the order's id. A plan made while the table is small
-- took any index that begins with the tenant, and went through all of a tenant's orders for each one it wanted.

-- +goose NO TRANSACTION
-- +goose Up
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS purchase_order_by_number ON purchase_order (po_number, tenant_id);
ALTER TABLE purchase_order DROP CONSTRAINT IF EXISTS purchase_order_tenant_id_po_number_key;
CREATE INDEX CONCURRENTLY IF NOT EXISTS purchase_order_undecided ON purchase_order (tenant_id, purchase_order_id) WHERE status = 'PENDING';
DROP INDEX CONCURRENTLY IF EXISTS purchase_order_pending;

-- Each order is updated two or three times within seconds: room on its page keeps that off the indexes.
ALTER TABLE purchase_order SET (fillfactor = 60);
ALTER TABLE dispatch SET (fillfactor = 60);

-- +goose Down
ALTER TABLE dispatch RESET (fillfactor);
ALTER TABLE purchase_order RESET (fillfactor);
CREATE INDEX CONCURRENTLY IF NOT EXISTS purchase_order_pending ON purchase_order (created_at) WHERE status = 'PENDING';
DROP INDEX CONCURRENTLY IF EXISTS purchase_order_undecided;
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS purchase_order_tenant_id_po_number_key ON purchase_order (tenant_id, po_number);
ALTER TABLE purchase_order ADD CONSTRAINT purchase_order_tenant_id_po_number_key UNIQUE USING INDEX purchase_order_tenant_id_po_number_key;
DROP INDEX CONCURRENTLY IF EXISTS purchase_order_by_number;
