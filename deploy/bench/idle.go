package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/ledger"
	"github.com/composerp/composerp/workers/worker"
)

const (
	idleGap     = 20 * time.Millisecond
	idleWarmUp  = 20
	idleTimeout = 10 * time.Second
)

// runIdle sends one sale after the other through an idle fleet and measures the latency of each.
func runIdle(ctx context.Context, s *servers, n int) (l Latency, err error) {
	env, err := s.newEnvironment(ctx, s.template)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, env.remove()) }()
	sales, err := newSales(n+idleWarmUp, opening, time.Millisecond)
	if err != nil {
		return l, err
	}
	applied := make(chan time.Time, len(sales))
	ctx, stop := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	f, err := env.start(ctx, g, []worker.Worker{ledger.New()}, func() { applied <- time.Now() },
		topology.Subscription{Worker: sink, RoutingKeys: []string{event.TypeInventoryUpdated.RoutingKey()}})
	var taken []time.Duration
	if err == nil {
		taken, err = f.oneByOne(ctx, sales, applied)
	}
	if err == nil {
		err = f.await(ctx, len(sales), 2*len(sales))
	}
	stop()
	err = errors.Join(err, g.Wait())
	f.close()
	if err != nil {
		return l, err
	}
	l = latency(taken[idleWarmUp:])
	n = len(sales)
	return l, env.verify(ledger.New(), tally{Inbox: n, Movements: 2 * n, Distinct: n, Quantity: quantityOf(n), Logged: 2 * n, Updates: n, Sunk: n})
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
		select {
		case <-time.After(time.Until(committed.Add(idleGap))):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return taken, nil
}
