package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/workers/runtime/observer"
)

// Await waits until the fleet is quiet, as Run does before it proves, and returns whether it is; if not, also what it
// waited for. Operations that should not meet messages in flight call it first. DB, Broker and Topology are needed.
func Await(ctx context.Context, cfg Config) (quiet bool, waitedFor string, err error) {
	a, end, err := begin(ctx, cfg)
	if err != nil {
		return false, "", err
	}
	defer end()
	at, quiet, err := a.settle(ctx)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return false, "", fmt.Errorf("waiting for the fleet: %w", err)
	}
	return quiet, at.String(), nil
}

// begin makes an auditor with a session to the broker; end closes the session.
func begin(ctx context.Context, cfg Config) (a *auditor, end func(), err error) {
	a = &auditor{Config: cfg.withDefaults()}
	a.deadline = time.Now().Add(a.Wait)
	a.observer = observer.Observer{Broker: a.Broker, Management: a.Management, Topology: a.Topology}
	if err := a.observer.Open(ctx); err != nil {
		return nil, nil, fmt.Errorf("auditing the broker: %w", err)
	}
	return a, a.observer.Close, nil
}
