package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/ledger"
)

const (
	idleGap = 20 * time.Millisecond
	// idleWarmUp sales are not measured. Each is of another item, which the others are of too: the first sale of an item
	// makes its position.
	idleWarmUp  = 20
	idleTimeout = 10 * time.Second
)

// runIdle sends one sale after the other through an idle fleet and measures the latency of each.
func runIdle(ctx context.Context, s *servers, n int) (Latency, error) {
	n += idleWarmUp
	done := make(chan applied, n)
	note := func() { done <- applied{1, time.Now()} }
	return runFleet(ctx, s, n, idleWarmUp, ledger.New(), ledgerTally(n), updates, note, func(ctx context.Context, f *fleet, sales []event.Any) (Latency, error) {
		taken, err := oneByOne(ctx, sales, f.admit, done)
		if err != nil {
			return Latency{}, err
		}
		if err := f.await(ctx, n, 2*n); err != nil {
			return Latency{}, err
		}
		c, err := f.counts()
		l := latency(taken[idleWarmUp:])
		l.BrokerMs, l.WorkerMs = c.confirming.milliseconds(), c.handling.milliseconds()
		return l, err
	})
}

// oneByOne commits the sales 20 ms apart and gives the time from each one's commit to its effect's.
func oneByOne(ctx context.Context, sales []event.Any, commit func(context.Context, []event.Any) error, done <-chan applied) ([]time.Duration, error) {
	taken := make([]time.Duration, 0, len(sales))
	for i := range sales {
		if err := commit(ctx, sales[i:i+1]); err != nil {
			return nil, err
		}
		committed := time.Now()
		select {
		case d := <-done:
			taken = append(taken, d.at.Sub(committed))
		case <-time.After(idleTimeout):
			return nil, fmt.Errorf("sale %d has not been applied within %s", i, idleTimeout)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if !clock.Sleep(ctx, time.Until(committed.Add(idleGap))) {
			return nil, context.Cause(ctx)
		}
	}
	return taken, nil
}
