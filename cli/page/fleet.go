package page

import (
	"context"

	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/scaling"
)

// mostChanges is how many of the last scale decisions are shown.
const mostChanges = 30

// fleet is what runs, and why.
type fleet struct {
	pools.Sample
	Queues   []pools.Queue
	Changes  []scaling.Event
	Circuits []failures.CircuitState
}

func readWorkers(ctx context.Context, p *Page, _ question) (any, error) {
	circuits, err := failures.OpenCircuits(ctx, p.cfg.DB)
	if err != nil {
		return nil, err
	}
	sample, _, err := p.fleet.read(ctx)
	if err != nil {
		return nil, err
	}
	f := fleet{Sample: sample, Queues: sample.Queues, Circuits: circuits}
	f.Changes, _ = first(sample.Changes, mostChanges)
	return f, nil
}
