package inbox

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Horizon is how far back the inbox can prove what was handled. Generations of
// it are dropped once they are old, and what was handled then would be handled
// again if it came again.
type Horizon struct {
	Generation int       // the oldest that is kept
	OpenedAt   time.Time // and since when
	// Seq: events at this place of the log and before it may have been handled in
	// a generation that is dropped. 0 means that none is.
	Seq int64
}

// An event that entered the log after the oldest generation was opened can have
// been handled in no older one. The first tick after that is an upper bound of
// the places that were taken by then; ticks are thinned out, so it may be a
// higher one than need be. Without any tick nothing is known to be younger.
var inboxHorizon = pg.SQL(`
SELECT g.generation, g.opened_at,
       CASE WHEN g.generation > 1 THEN coalesce((SELECT t.max_seq FROM tick t WHERE t.made_at >= g.opened_at ORDER BY t.id LIMIT 1), $1) ELSE 0 END AS seq
FROM inbox_generation g ORDER BY g.generation LIMIT 1`)

// InboxHorizon tells how far back the inbox proves.
func ReadHorizon(ctx context.Context, db *store.DB) (Horizon, error) {
	var h struct {
		Generation int       `db:"generation"`
		OpenedAt   time.Time `db:"opened_at"`
		Seq        int64     `db:"seq"`
	}
	if err := pg.Get(ctx, db, &h, inboxHorizon, int64(math.MaxInt64)); err != nil {
		return Horizon{}, fmt.Errorf("asking how far back the inbox goes: %w", err)
	}
	return Horizon(h), nil
}
