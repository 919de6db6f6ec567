package republish

import (
	"maps"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
)

// run is one republish.
type run struct {
	Config
	consumers []string // in order
	report    Report
	tallies   map[string]*Tally // into report.Consumers
	pending   int64             // for Progress, counted by the reader
}

func newRun(cfg Config) *run {
	r := &run{Config: cfg, consumers: slices.Sorted(maps.Keys(cfg.Queues)), tallies: map[string]*Tally{}}
	if r.Progress == nil {
		r.Progress = func(Progress) {}
	}
	r.report.DryRun = cfg.DryRun
	r.report.Consumers = make([]Tally, len(r.consumers))
	for i, name := range r.consumers {
		r.report.Consumers[i] = Tally{Consumer: name, Queue: cfg.Queues[name]}
		r.tallies[name] = &r.report.Consumers[i]
	}
	return r
}

func (r *run) count(page []eventlog.PendingDelivery) {
	for _, d := range page {
		r.tallies[d.Consumer].Pending++
	}
}

// tell reports progress; only the reader calls it.
func (r *run) tell(at, pending int64) {
	r.pending += pending
	r.Progress(Progress{Place: at, Begin: r.report.Beyond, End: r.report.Upto, Pending: r.pending})
}

// message is the event as the relay published it, but for one queue. Its x-times say that it is late because it was
// published again: when it was published first, and where it was lost, is not known.
func (r *run) message(d eventlog.PendingDelivery) rabbitmq.Message {
	m := rabbitmq.Message{
		Exchange: topology.Retry, RoutingKey: r.Queues[d.Consumer], ID: d.EventID.String(), Type: string(d.Type),
		Headers: map[string]any{rabbitmq.HeaderLogSeq: d.Seq}, Body: d.Body, Timestamp: d.OccurredAt, OwnUser: true,
	}
	if d.Logged != nil {
		times := delay.Since(*d.Logged)
		times.Until(delay.Republish, time.Now())
		m.Headers[delay.Header] = times.String()
	}
	return m
}
