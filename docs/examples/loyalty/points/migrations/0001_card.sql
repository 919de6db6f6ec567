-- +goose Up
CREATE TABLE card (
	tenant_id text    NOT NULL,
	card_id   text    NOT NULL,
	points    numeric NOT NULL,
	PRIMARY KEY (tenant_id, card_id)
);
