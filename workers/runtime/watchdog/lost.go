package watchdog

import (
	"context"
	"maps"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/observer"
)

// searchLimit is how many positions of the log one search reads at most.
const searchLimit = 20_000

// searchLost looks for pending deliveries that no queue can hold: once for each stretch of the log, a Trend after the
// consumer's queue was seen empty. By then the dead-letter log has recorded what left the queue for it, or its queue
// shows that it has not.
func (v *monitor) searchLost(ctx context.Context, now observer.Snapshot) {
	if now.Database != nil || !now.Figures || !now.Exact || now.At.Sub(v.searchedAt) < v.Trend {
		return
	}
	v.searchedAt = now.At
	if isEmpty(now, Worker{Queue: topology.DeadLetterLog}) {
		for _, w := range v.Plan.Workers {
			upto, known := v.emptyBefore[w.Name]
			_, again := v.history.empty[w.Name] // not while it may hold what was republished
			if known && again && v.repairs[w.Name] == nil {
				v.searchLostOf(ctx, w, upto)
			}
		}
	}
	v.emptyBefore = maps.Clone(v.history.empty)
}

// searchLostOf searches up to a position that the consumer's queue has left behind. What is found is a gap, and the
// consumer's bindings are declared anew: one of them may be listed and not route.
func (v *monitor) searchLostOf(ctx context.Context, w Worker, upto eventlog.Position) {
	since := max(v.searched[w.Name], upto.Seq-searchLimit, 0)
	if upto.Seq <= since {
		return
	}
	lost, err := eventlog.FindNewestPending(ctx, v.DB, since, upto.Seq, []string{w.Name})
	if err == nil && lost != nil {
		err = eventlog.RecordGaps(ctx, v.DB, []string{w.Name}, eventlog.Position{Epoch: upto.Epoch, Seq: since})
	}
	if err != nil {
		v.Log.Warn("lost events cannot be searched for now", "consumer", w.Name, "error", err)
		return
	}
	v.searched[w.Name] = upto.Seq
	if lost == nil {
		return
	}
	v.Log.Error("events are pending and in no queue", "consumer", w.Name, "newest", lost.EventID, "type", lost.Type,
		"do", "nothing: they are republished, and the consumer's bindings declared anew")
	for _, b := range v.Plan.Topology.Bindings {
		if b.Exchange == topology.Events && b.Queue == w.Queue {
			v.undeclared = append(v.undeclared, b)
		}
	}
}
