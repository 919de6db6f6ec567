package failures

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

var suspectBatches = pg.SQL(`SELECT message_id, batch_size FROM suspect WHERE consumer = $1 AND message_id = ANY ($2::text[])`)

// A death counts only for a message that was in hand alone. DISTINCT, for a batch may hold copies of one message.
var noteSuspects = pg.SQL(`
WITH noted AS (
    INSERT INTO suspect AS s (consumer, message_id, deaths, batch_size)
    SELECT DISTINCT $1, m.id, 0, $3::int FROM unnest($2::text[]) AS m (id) ORDER BY m.id
    ON CONFLICT (consumer, message_id) DO UPDATE
    SET deaths = s.deaths + (s.batch_size = 1)::int, batch_size = EXCLUDED.batch_size, noted_at = now()
    RETURNING deaths)
SELECT max(deaths) FROM noted`)

var clearSuspects = pg.SQL(`DELETE FROM suspect WHERE consumer = $1 AND message_id = ANY ($2::text[])`)

// SuspectBatches returns, by message id, how many messages were in hand together at the last attempt of each that is
// noted: at attempts that have not ended, or ended with their process or session.
func SuspectBatches(ctx context.Context, db *store.DB, consumer string, messageIDs []string) (map[string]int, error) {
	sizes := map[string]int{}
	err := pg.Each(ctx, db, "reading suspect messages", suspectBatches, func(row *sql.Rows) error {
		var id string
		var size int
		err := row.Scan(&id, &size)
		sizes[id] = size
		return err
	}, consumer, storableAll(messageIDs))
	return sizes, err
}

// NoteSuspects records, in a transaction of its own, that these messages, at least one, are about to be attempted in a
// batch of size. It returns how often a process died with one of them alone in hand: the most of all.
func NoteSuspects(ctx context.Context, db *store.DB, consumer string, messageIDs []string, size int) (deaths int, err error) {
	return pg.OneAlone[int](ctx, db, fmt.Sprintf("noting %d suspect messages", len(messageIDs)), noteSuspects, consumer, storableAll(messageIDs), size)
}

// ClearSuspects deletes the records: the attempt ended, with success or failure.
func ClearSuspects(ctx context.Context, db *store.DB, consumer string, messageIDs []string) error {
	return pg.WriteAlone(ctx, db, fmt.Sprintf("clearing %d suspect messages", len(messageIDs)), clearSuspects, consumer, storableAll(messageIDs))
}

func storableAll(texts []string) pq.StringArray {
	all := make(pq.StringArray, len(texts))
	for i, text := range texts {
		all[i] = storable(text)
	}
	return all
}
