package inbox

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Horizon is how far back the inbox can prove what was handled. An event handled in a dropped generation would be
// handled again if it came again.
type Horizon struct {
	Generation int       // the oldest kept
	OpenedAt   time.Time // when it was opened
	// Seq: events at or before this log position may have been handled in a dropped generation. 0: nothing is dropped.
	Seq int64
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
	var h struct {
		Generation int       `db:"generation"`
		OpenedAt   time.Time `db:"opened_at"`
		Seq        int64     `db:"seq"`
	}
	if err := pg.Get(ctx, db, &h, inboxHorizon, int64(math.MaxInt64)); err != nil {
		return Horizon{}, fmt.Errorf("reading the inbox's horizon: %w", err)
	}
	return Horizon(h), nil
}
