package failures

import (
	"context"
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
	return pg.OneAlone[int](ctx, db, fmt.Sprintf("noting message %s as suspect", messageID), noteSuspect, consumer, storable(messageID))
}

// ClearSuspect deletes the record: the attempt ended, with success or failure.
func ClearSuspect(ctx context.Context, db *store.DB, consumer, messageID string) error {
	return pg.WriteAlone(ctx, db, "clearing the suspect "+messageID, clearSuspect, consumer, storable(messageID))
}
