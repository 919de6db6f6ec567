-- What was sent to suppliers, and what was said to people.

-- +goose Up
-- Facts, each written once or the newest of its kind; status follows from them and from nothing else.
-- approved_at and cancelled_at are business time; what this system did (by_hand_at, attempted_at, refused_at, sent_at) is by the database's clock.
-- request: the body as it is sent, byte for byte, made of PURCHASE_ORDER_CREATED; NULL until that was consumed.
-- attempts counts calls begun; failure is the last one's that came to nothing, in the supplier's words where it had any.
CREATE TABLE dispatch (
    tenant_id          text        NOT NULL,
    purchase_order_id  text        NOT NULL,
    supplier_id        text,
    request            text,
    approved_at        timestamptz,
    cancelled_at       timestamptz,
    by_hand_at         timestamptz,
    attempts           int         NOT NULL DEFAULT 0,
    attempted_at       timestamptz,
    failure            text        NOT NULL DEFAULT '',
    refused_at         timestamptz,
    sent_at            timestamptz,
    answer_status      int,
    supplier_reference text        NOT NULL DEFAULT '',
    promised_date      date,
    status             text        NOT NULL GENERATED ALWAYS AS (CASE
        WHEN sent_at IS NOT NULL AND cancelled_at IS NOT NULL THEN 'CANCELLED_AFTER_SENDING'
        WHEN sent_at IS NOT NULL THEN 'SENT'
        -- A call whose answer never came, or a person who was asked to send it: the supplier may have it.
        WHEN cancelled_at IS NOT NULL AND refused_at IS NULL AND (attempts > 0 OR by_hand_at IS NOT NULL) THEN 'CANCELLED_IN_DOUBT'
        WHEN cancelled_at IS NOT NULL THEN 'CANCELLED'
        WHEN refused_at IS NOT NULL THEN 'REFUSED'
        WHEN by_hand_at IS NOT NULL THEN 'BY_HAND'
        WHEN attempts > 0 THEN 'SENDING'
        ELSE 'WAITING' END) STORED,
    PRIMARY KEY (tenant_id, purchase_order_id)
);

-- channel: where it was sent: webhook, alertmanager, or log where no other is configured. about names the order, or item and location.
-- told tells whether it arrived; attempts counts the tries that are known of, answer is the last one's.
CREATE TABLE notice (
    id          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    uuid        NOT NULL,
    channel     text        NOT NULL CHECK (channel IN ('log', 'webhook', 'alertmanager')),
    tenant_id   text        NOT NULL,
    type        text        NOT NULL,
    about       text        NOT NULL,
    summary     text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    told        boolean     NOT NULL,
    attempts    int         NOT NULL DEFAULT 1,
    answer      text        NOT NULL,
    said_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (event_id, channel)
);

-- +goose Down
DROP TABLE notice, dispatch;
