package failures

import (
	"context"
	"errors"
	"fmt"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

var noteSuspect = pg.SQL(`
INSERT INTO suspect AS s (consumer, message_id, deaths) VALUES ($1, $2, 0)
ON CONFLICT (consumer, message_id) DO UPDATE SET deaths = s.deaths + 1, noted_at = now()
RETURNING deaths`)

var clearSuspect = pg.SQL(`DELETE FROM suspect WHERE consumer = $1 AND message_id = $2`)

// NoteSuspect records, in a transaction of its own, that a suspect message is about to be handled, and returns how
// many earlier attempts neither succeeded nor failed, because the process died.
func NoteSuspect(ctx context.Context, db *store.DB, consumer, messageID string) (deaths int, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		return pg.Get(ctx, tx, &deaths, noteSuspect, consumer, storable(messageID))
	})
	if err != nil {
		return 0, fmt.Errorf("noting message %s as suspect: %w", messageID, err)
	}
	return deaths, nil
}

// ClearSuspect deletes the record: the attempt ended, with success or failure.
func ClearSuspect(ctx context.Context, db *store.DB, consumer, messageID string) error {
	err := db.InTx(ctx, func(tx store.Tx) error {
		_, err := pg.Exec(ctx, tx, clearSuspect, consumer, storable(messageID))
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("clearing the suspect %s: %w", messageID, err)
	}
	return nil
}
