-- The bounds of business time of a source, such as a till, where they are not its tenant's.

-- +goose Up
CREATE TABLE source_setting (
    tenant_id       text NOT NULL,
    source          text NOT NULL,
    max_ahead_hours int  NOT NULL DEFAULT 36 CHECK (max_ahead_hours >= 0),
    max_behind_days int  NOT NULL DEFAULT 0 CHECK (max_behind_days >= 0),
    PRIMARY KEY (tenant_id, source)
);

-- +goose Down
DROP TABLE source_setting;
