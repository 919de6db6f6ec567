-- API keys of the HTTP gateway. The secret of a key is 256 random bits, so that its SHA-256 gives nothing away.

-- +goose Up
CREATE TABLE api_key (
    id            text        NOT NULL PRIMARY KEY,
    tenant_id     text        NOT NULL,
    source        text        NOT NULL,
    types         text[]      NOT NULL,
    may_read      boolean     NOT NULL,
    secret_sha256 bytea       NOT NULL CHECK (length(secret_sha256) = 32),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by    text        NOT NULL,
    expires_at    timestamptz,
    revoked_at    timestamptz
);

-- +goose Down
DROP TABLE api_key;
