package eventlog

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/internal/pg"
)

// Ticks that all readers have passed are deleted. Each thousandth stays, to replay from, and those at which a
// subscription or an epoch began or ended.
var thinTicksSQL = pg.SQL(`
DELETE FROM tick t
WHERE t.id < (SELECT least(min(tick), (SELECT max(id) FROM tick)) FROM log_cursor)
  AND t.id % 1000 <> 0
  AND NOT EXISTS (SELECT FROM subscription s WHERE s.from_tick = t.id)
  AND NOT EXISTS (SELECT FROM epoch e WHERE t.id IN (e.first_tick - 1, e.first_tick))`)

// housekeeping makes partitions ahead of need, thins out old ticks and runs the chores, every housekeep. It runs
// beside the ticks: a lock it waits for must not delay them.
func (t *Ticker) housekeeping(ctx context.Context) {
	for {
		if err := EnsurePartitions(ctx, t.db); err != nil && ctx.Err() == nil {
			t.log.Error("making partitions failed; appends will fail once the log's last one is full", "error", err)
		}
		if err := thinTicks(ctx, t.db); err != nil && ctx.Err() == nil {
			t.log.Warn("thinning out ticks failed; old ticks stay", "error", err)
		}
		for _, chore := range t.chores {
			chore(ctx)
		}
		if !clock.Sleep(ctx, housekeep) {
			return
		}
	}
}

func thinTicks(ctx context.Context, db *store.DB) error {
	return db.InTx(ctx, func(tx store.Tx) error {
		if _, err := pg.Exec(ctx, tx, thinTicksSQL); err != nil {
			return fmt.Errorf("thinning out ticks: %w", err)
		}
		failpoint.Hit("tick.thinned")
		return nil
	})
}
