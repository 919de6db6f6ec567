package store

import (
	"context"
	"errors"
	"fmt"
)

var noteSuspect = SQL(`
INSERT INTO suspect AS s (consumer, message_id, deaths) VALUES ($1, $2, 0)
ON CONFLICT (consumer, message_id) DO UPDATE SET deaths = s.deaths + 1, noted_at = now()
RETURNING deaths`)

var clearSuspect = SQL(`DELETE FROM suspect WHERE consumer = $1 AND message_id = $2`)

// NoteSuspect writes down, in a transaction of its own, that a message is about
// to be tried, and gives how many earlier tries it was still noted from: tries
// that neither succeeded nor failed, because the process died with them.
func (db *DB) NoteSuspect(ctx context.Context, consumer, messageID string) (deaths int, err error) {
	err = db.InTx(ctx, func(tx Tx) error {
		return Get(ctx, tx, &deaths, noteSuspect, consumer, storable(messageID))
	})
	if err != nil {
		return 0, fmt.Errorf("noting message %s as suspect: %w", messageID, err)
	}
	return deaths, nil
}

// ClearSuspect forgets the note: the try came to an end, good or bad.
func (db *DB) ClearSuspect(ctx context.Context, consumer, messageID string) error {
	err := db.InTx(ctx, func(tx Tx) error {
		_, err := Exec(ctx, tx, clearSuspect, consumer, storable(messageID))
		return err
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("clearing the suspect %s: %w", messageID, err)
	}
	return nil
}
