package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
)

// Gap says that a consumer may miss events that no queue holds, because its queue or a binding was missing for a
// while. It is recorded before the missing part is declared again, so a crash in between leaves it behind.
type Gap struct {
	Consumer string    `db:"consumer"`
	After    Position  `db:"after"` // nothing before it was lost
	NotedAt  time.Time `db:"noted_at"`
}

// Of two gaps the earlier position is kept. Two positions with one seq differ in their snapshots, and which is earlier
// is unknown: then everything beyond seq counts. A consumer without subscriptions has no pending deliveries.
var recordGaps = pg.SQL(`
INSERT INTO gap AS g (consumer, epoch, seq, snapshot)
SELECT c.name, $2::int, $3::bigint, $4::pg_snapshot FROM consumer c WHERE c.name = ANY ($1::text[]) AND EXISTS (SELECT FROM subscription s WHERE s.consumer = c.id)
ON CONFLICT (consumer) DO UPDATE SET
    epoch = least(g.epoch, excluded.epoch), seq = least(g.seq, excluded.seq),
    snapshot = CASE WHEN g.seq < excluded.seq OR g.snapshot::text = excluded.snapshot::text THEN g.snapshot
                    WHEN g.seq > excluded.seq THEN excluded.snapshot END,
    noted_at = clock_timestamp()`)

// RecordGaps records that these consumers may miss events after a position.
func RecordGaps(ctx context.Context, db *store.DB, consumers []string, after Position) error {
	return pg.WriteAlone(ctx, db, fmt.Sprintf("recording gaps of %d consumers", len(consumers)), recordGaps, pq.StringArray(consumers), after.Epoch, after.Seq, sqlvalue.Nullable(after.Snapshot))
}

var listGaps = pg.SQL(`SELECT consumer, epoch AS "after.epoch", seq AS "after.seq", coalesce(snapshot::text, '') AS "after.snapshot", noted_at FROM gap ORDER BY consumer`)

// Gaps lists the recorded gaps by consumer.
func Gaps(ctx context.Context, db *store.DB) ([]Gap, error) {
	return pg.List[Gap](ctx, db, "reading the gaps of consumers", listGaps)
}

var closeGap = pg.SQL(`DELETE FROM gap WHERE consumer = $1 AND noted_at <= $2`)

// CloseGap deletes a repaired gap, unless it was recorded again since it was read.
func CloseGap(ctx context.Context, db *store.DB, g Gap) error {
	return pg.WriteAlone(ctx, db, fmt.Sprintf("closing the gap of %s", g.Consumer), closeGap, g.Consumer, g.NotedAt)
}
