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
	idleGap     = 20 * time.Millisecond
	idleWarmUp  = 20
	idleTimeout = 10 * time.Second
)

// runIdle sends one sale after the other through an idle fleet and measures the latency of each.
func runIdle(ctx context.Context, s *servers, n int) (Latency, error) {
	n += idleWarmUp
	applied := make(chan time.Time, n)
	note := func() { applied <- time.Now() }
	return runFleet(ctx, s, n, ledger.New(), ledgerTally(n), updates, note, func(ctx context.Context, f *fleet, sales []event.Any) (Latency, error) {
		taken, err := f.oneByOne(ctx, sales, applied)
		if err != nil {
			return Latency{}, err
		}
		return latency(taken[idleWarmUp:]), f.await(ctx, n, 2*n)
	})
}

func (f *fleet) oneByOne(ctx context.Context, sales []event.Any, applied <-chan time.Time) ([]time.Duration, error) {
	taken := make([]time.Duration, 0, len(sales))
	for i := range sales {
		if err := f.admit(ctx, sales[i:i+1]); err != nil {
			return nil, err
		}
		committed := time.Now()
		select {
		case at := <-applied:
			taken = append(taken, at.Sub(committed))
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
