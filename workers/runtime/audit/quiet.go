package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
)

// Await waits until the fleet is quiet, as Run does before it proves, and says whether it is; and if not, what it waited
// for. It is for whoever acts on a fleet and would rather not meet what is in flight. DB, Exchange and Topology are needed.
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

// remedies say what to do about a check's findings where a command helps.
var remedies = map[string]string{
	"handled":  "composerp republish publishes again what no inbox has seen; --dry-run counts it",
	"unrouted": "composerp topology apply binds what is missing; then composerp republish brings them to the queues they belong to",
}

// begin opens an audit's session. A call to a broker that has stopped answering ends with it.
func begin(ctx context.Context, cfg Config) (a auditor, end func(), err error) {
	a = auditor{Config: cfg.withDefaults()}
	a.deadline = time.Now().Add(a.Wait)
	if a.session, err = rabbitmq.Open(ctx, a.Exchange); err != nil {
		return a, nil, fmt.Errorf("auditing the exchange: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { a.session.Close() })
	return a, func() { stop(); a.session.Close() }, nil
}
