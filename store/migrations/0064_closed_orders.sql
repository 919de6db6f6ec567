-- A person closes an order whose rest will not come: it is not on order any more.

-- +goose Up
ALTER TABLE purchase_order
    ADD closed_at    timestamptz,           -- by the clock
    ADD closed_by    text NOT NULL DEFAULT '',
    ADD close_reason text NOT NULL DEFAULT '';
ALTER TABLE on_order_booking DROP CONSTRAINT on_order_booking_kind_check;
ALTER TABLE on_order_booking ADD CONSTRAINT on_order_booking_kind_check CHECK (kind IN ('ORDERED', 'RECEIVED', 'CANCELLED', 'CLOSED')) NOT VALID;
ALTER TABLE on_order_booking VALIDATE CONSTRAINT on_order_booking_kind_check;

-- +goose Down
DELETE FROM on_order_booking WHERE kind = 'CLOSED';
ALTER TABLE on_order_booking DROP CONSTRAINT on_order_booking_kind_check;
ALTER TABLE on_order_booking ADD CONSTRAINT on_order_booking_kind_check CHECK (kind IN ('ORDERED', 'RECEIVED', 'CANCELLED'));
ALTER TABLE purchase_order DROP closed_at, DROP closed_by, DROP close_reason;
