package watchdog

import (
	"context"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/runtime/observer"
)

// standBy counts what a watchdog can judge that does not lead: nothing while the database answers, for another process
// leads or soon will; while it is away, and no watchdog can lead, the database and the broker.
func (w *Watchdog) standBy(ctx context.Context) {
	o := observer.Observer{DB: w.DB, Broker: w.Broker, Management: w.Management, Topology: w.Plan.Topology}
	defer o.Close()
	ticker := time.NewTicker(w.Interval)
	defer ticker.Stop()
	for {
		if !w.leading.Load() {
			problems, judged := w.whileAway(ctx, &o)
			if ctx.Err() == nil && !w.leading.Load() {
				w.Metrics.set(problems, func(kind Kind) bool { return !judged[kind] })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// whileAway gives the problems of servers while the database is away, and which kinds were judged.
func (w *Watchdog) whileAway(ctx context.Context, o *observer.Observer) (problems map[identity]Problem, judged map[Kind]bool) {
	asking, cancel := context.WithTimeout(ctx, store.LeaseTTL)
	defer cancel()
	if observer.DatabaseAnswers(asking, w.DB) == nil || ctx.Err() != nil {
		return nil, nil
	}
	now := o.Observe(ctx)
	if now.Database == nil {
		return nil, nil
	}
	problems, judged = map[identity]Problem{}, map[Kind]bool{Database: true, Broker: true}
	for _, p := range w.Plan.Immediate(now) {
		problems[p.identity()] = p
	}
	for _, kind := range []Kind{Access, Topology, Mismatch, Node, Alarm} {
		judged[kind] = now.Broker == nil && !unjudged(kind, now)
	}
	return problems, judged
}
