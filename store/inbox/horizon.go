package inbox

import (
	"context"
	"math"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Horizon is how far back the inbox can prove what was handled. An event handled in a dropped generation would be
// handled again if it came again.
type Horizon struct {
	Generation int       `db:"generation"` // the oldest kept
	OpenedAt   time.Time `db:"opened_at"`  // when it was opened
	// Seq: events at or before this log position may have been handled in a dropped generation. 0: nothing is dropped.
	Seq int64 `db:"seq"`
}

// An event that entered the log after the oldest generation opened cannot have been handled in an older one. The first
// tick after that bounds the positions taken by then; ticks are thinned out, so the bound may be higher than
// necessary. Without any tick no event is known to be younger.
var inboxHorizon = pg.SQL(`
SELECT g.generation, g.opened_at,
       CASE WHEN g.generation > 1 THEN coalesce((SELECT t.max_seq FROM tick t WHERE t.made_at >= g.opened_at ORDER BY t.id LIMIT 1), $1) ELSE 0 END AS seq
FROM inbox_generation g ORDER BY g.generation LIMIT 1`)

// ReadHorizon returns how far back the inbox proves what was handled.
func ReadHorizon(ctx context.Context, db *store.DB) (Horizon, error) {
	return pg.One[Horizon](ctx, db, "reading the inbox's horizon", inboxHorizon, int64(math.MaxInt64))
}
