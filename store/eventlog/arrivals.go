package eventlog

import (
	"context"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

var arrivals = pg.SQL(`
WITH t AS (
    SELECT made_at, max_seq, lag(made_at) OVER (ORDER BY id) AS since, lag(max_seq) OVER (ORDER BY id) AS before
    FROM tick WHERE made_at >= $1::timestamptz - interval '1 hour' AND made_at < $2)
SELECT extract(epoch FROM t.since - $1::timestamptz) AS "from", extract(epoch FROM t.made_at - $1::timestamptz) AS "to", count(*) AS events
FROM t JOIN event_log e ON e.seq > t.before AND e.seq <= t.max_seq
WHERE t.made_at >= $1 AND e.type = ANY ($3::text[]) GROUP BY 1, 2 ORDER BY 1`)

// Arrivals counts the events of some types that were logged in each bin of a time. When an event was logged is known
// by the ticks before and after it, between which events are spread evenly; older ticks are thinned out, so older
// times are known less exactly.
func Arrivals(ctx context.Context, db *store.DB, types []string, from, to time.Time, bin time.Duration) ([]int, error) {
	rows, err := pg.List[struct {
		From, To float64 // seconds since the beginning
		Events   int
	}](ctx, db, "reading when events were logged", arrivals, from, to, pq.StringArray(types))
	if err != nil {
		return nil, err
	}
	bins := make([]int, max(1, int(to.Sub(from)/bin)))
	for _, r := range rows {
		first := max(0, int(r.From/bin.Seconds()))
		last := min(len(bins)-1, int(r.To/bin.Seconds()))
		for i := range last - first + 1 {
			share := last - first + 1
			bins[first+i] += r.Events*(i+1)/share - r.Events*i/share
		}
	}
	return bins, nil
}
