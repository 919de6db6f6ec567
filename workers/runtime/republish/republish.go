// Package republish publishes again the events of the log that no inbox has: after a queue was lost with what was in
// it, or while an exchange, a queue or a binding was missing.
//
// It reads pending deliveries (store/eventlog): events that a consumer subscribed to and has neither handled nor
// among its dead letters. Each is published to that consumer's queue alone, through composerp.retry, as the relay
// published it: same id, type, body and seq. No other consumer gets it again.
//
// # Invariants
//
//   - What was pending when it began, and is in the log, is in its queue when it ends without an error: each message
//     is mandatory and confirmed.
//   - Nothing is applied twice. An event that is in a queue or a retry queue already, or unacknowledged, is
//     published once more, and the inbox recognizes the copy. Dead letters are not pending: an operator decides
//     about them.
//   - It goes no further back than the inbox can prove.
//   - What the relay has still to pass is left to the relay.
//
// # What a crash leaves
//
// Copies in queues, of what is still pending. Beginning again publishes the rest, and what has not been handled
// meanwhile once more. It keeps no cursor of its own.
//
// Messages in composerp.unrouted that came straight over AMQP are not in the log yet, so that no delivery of them is
// pending. Package unrouted publishes them to composerp.events again.
package republish

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/pipeline"
)

// Config names the consumers to republish for, and since when. DB, Broker and Queues are needed.
type Config struct {
	DB     *store.DB // two connections
	Broker rabbitmq.Config
	// Queues are the queues of the consumers, by the consumers' names.
	Queues map[string]string
	// After is the position of the log before which nothing was lost. Zero means as far back as can be proven.
	After   eventlog.Position
	Outside bool // only what came straight over AMQP
	DryRun  bool // only count
	// Progress is called with how far it has come; may be nil.
	Progress func(Progress)
}

// Progress is how far it has come.
type Progress struct {
	Place, Begin, End int64 // of the log
	Pending           int64 // found so far
}

// Report is what was found and republished.
type Report struct {
	DryRun bool `json:"dryRun"`
	// Beyond and Upto bound the seqs of the log that were read.
	Beyond    int64   `json:"beyond"`
	Upto      int64   `json:"upto"`
	Consumers []Tally `json:"consumers"`
	// Rerouted is how many messages were taken out of composerp.unrouted and published to composerp.events.
	Rerouted  int64 `json:"rerouted"`
	ElapsedMs int64 `json:"elapsedMs"`
}

// Pending is how many deliveries were found for all consumers together.
func (r Report) Pending() (n int64) {
	for _, t := range r.Consumers {
		n += t.Pending
	}
	return n
}

// Published is how many of them the broker has confirmed.
func (r Report) Published() (n int64) {
	for _, t := range r.Consumers {
		n += t.Published
	}
	return n
}

// Tally is what was pending for one consumer. Published is how much of it the broker has confirmed.
type Tally struct {
	Consumer  string `json:"consumer"`
	Queue     string `json:"queue"`
	Pending   int64  `json:"pending"`
	Published int64  `json:"published"`
}

// pageSize is how many seqs of the log one statement reads; window how many messages may be unconfirmed.
const (
	pageSize = 2000
	window   = 1024
)

// Run republishes. An error leaves the report of what was done; ErrUnroutable means that a queue, or its binding to
// composerp.retry, is missing.
func Run(ctx context.Context, cfg Config) (Report, error) {
	began := time.Now()
	r := newRun(cfg)
	err := r.run(ctx)
	r.report.ElapsedMs = time.Since(began).Milliseconds()
	if err != nil {
		return r.report, fmt.Errorf("republishing: %w", err)
	}
	return r.report, nil
}

func (r *run) run(ctx context.Context) error {
	if err := r.bounds(ctx); err != nil {
		return err
	}
	if r.DryRun {
		return r.read(ctx, func(page []eventlog.PendingDelivery) error { r.count(page); return nil })
	}
	session, err := rabbitmq.Open(ctx, r.Broker)
	if err != nil {
		return err
	}
	defer session.Close()
	publisher, err := session.Publisher(window)
	if err != nil {
		return err
	}
	return pipeline.Steps[[]eventlog.PendingDelivery]{
		Read: r.read,
		Publish: func(ctx context.Context, page []eventlog.PendingDelivery) (pipeline.InFlight, error) {
			return r.publish(ctx, publisher, page)
		},
		Confirm: r.confirm,
	}.Run(ctx)
}

// bounds finds which part of the log to read: from when the consumers subscribed to what was logged when it began.
// Later events find their queue.
func (r *run) bounds(ctx context.Context) (err error) {
	since, err := eventlog.PendingSince(ctx, r.DB, r.consumers)
	if err != nil {
		return err
	}
	if r.report.Upto, err = eventlog.End(ctx, r.DB); err != nil {
		return err
	}
	r.report.Beyond = min(max(since, r.After.Seq), r.report.Upto)
	return nil
}

// read gives the pending deliveries page by page, in the log's order.
func (r *run) read(ctx context.Context, give func([]eventlog.PendingDelivery) error) error {
	for at := r.report.Beyond; at < r.report.Upto; {
		next := min(at+pageSize, r.report.Upto)
		page, err := eventlog.PendingDeliveries(ctx, r.DB, r.consumers, at, next, r.After, r.Outside)
		if err != nil {
			return err
		}
		if len(page) > 0 {
			if err := give(page); err != nil {
				return err
			}
		}
		at = next
		r.tell(at, int64(len(page)))
	}
	return nil
}

func (r *run) publish(ctx context.Context, publisher *rabbitmq.Publisher, page []eventlog.PendingDelivery) (pipeline.InFlight, error) {
	r.count(page)
	sent, err := pipeline.Publish(ctx, publisher, len(page), func(i int) (rabbitmq.Message, error) { return r.message(page[i]), nil }, nil)
	if err != nil {
		return nil, failed(page[len(sent)], err)
	}
	return sent, nil
}

func (r *run) confirm(ctx context.Context, page []eventlog.PendingDelivery, sent pipeline.InFlight) error {
	return sent.Wait(ctx, func(i int, err error) error {
		if err != nil {
			return failed(page[i], err)
		}
		r.tallies[page[i].Consumer].Published++
		return nil
	})
}

func failed(d eventlog.PendingDelivery, err error) error {
	return fmt.Errorf("event %s for %s: %w", d.EventID, d.Consumer, err)
}
