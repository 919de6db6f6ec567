// Package republish publishes again what the log holds and no inbox has seen: after a queue was lost with what was in it,
// or while an exchange, a queue or a binding was not there.
//
// It looks for debts (store/debt.go): events that a consumer owes by its subscription, and has neither handled nor among
// its dead letters. Each is published to that consumer's queue alone, through composerp.retry, as the relay published it:
// same id, type, body and place in the log. Nobody else hears it again.
//
// # Invariants
//
//   - Whatever was owed when it began, and was to be had from the log, is in its queue when it ends without an error:
//     each message is mandatory and confirmed.
//   - Nothing is applied twice. An event that is in a queue already, in a worker's hand or on a ladder is published once
//     more, and the inbox takes it for the copy that it is. Dead letters are no debts: somebody has to decide about them.
//   - It goes no further back than the inbox can prove: an old event whose proof is gone is owed by nobody.
//   - What the relay has still to pass is left to the relay.
//
// # What a crash leaves
//
// Copies in queues, of what is still owed. Beginning anew publishes the rest, and what has not been handled meanwhile
// once more. It keeps no place of its own.
//
// What lies in composerp.unrouted, because no queue at all was bound for it, is no debt that the log can tell for those
// events that came straight over AMQP: it does not know them yet. So Reroute takes it from there and publishes it to
// composerp.events again.
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

// Config says for whom to publish again, and since when. DB, Exchange and Queues are needed.
type Config struct {
	DB     *store.DB // two connections
	Broker rabbitmq.Config
	// Queues are the queues of the consumers to look at, by the consumers' names.
	Queues map[string]string
	// After is the point of the log before which nothing was lost. The zero value means as far back as can be proven.
	After   eventlog.Position
	Outside bool // only what came straight over AMQP
	DryRun  bool // only count
	// Progress is told how far it has come; it may be nil.
	Progress func(Progress)
}

// Progress is how far it has come.
type Progress struct {
	Place, Begin, End int64 // of the log
	Pending           int64 // found so far
}

// Report is what was found, and published again.
type Report struct {
	DryRun bool `json:"dryRun"`
	// Beyond and Upto are the places of the log between which was looked.
	Beyond    int64   `json:"beyond"`
	Upto      int64   `json:"upto"`
	Consumers []Tally `json:"consumers"`
	// Rerouted is how many messages were taken out of composerp.unrouted and published to composerp.events.
	Rerouted  int64 `json:"rerouted"`
	ElapsedMs int64 `json:"elapsedMs"`
}

// Owed is how much was found for all consumers together.
func (r Report) Pending() (n int64) {
	for _, t := range r.Consumers {
		n += t.Pending
	}
	return n
}

// Published is how much the broker has confirmed of it.
func (r Report) Published() (n int64) {
	for _, t := range r.Consumers {
		n += t.Published
	}
	return n
}

// Tally is what one consumer owed. Published is how much of it the broker has confirmed.
type Tally struct {
	Consumer  string `json:"consumer"`
	Queue     string `json:"queue"`
	Pending   int64  `json:"owed"`
	Published int64  `json:"published"`
}

// pageSize is how many places of the log one statement looks at; window how many messages may be unconfirmed.
const (
	pageSize = 2000
	window   = 1024
)

// Run publishes again. An error leaves the report of what was done; ErrUnroutable means that a queue, or its binding to
// composerp.retry, is missing.
func Run(ctx context.Context, cfg Config) (Report, error) {
	began := time.Now()
	r := newRun(cfg)
	err := r.run(ctx)
	r.report.ElapsedMs = time.Since(began).Milliseconds()
	if err != nil {
		return r.report, fmt.Errorf("publishing again: %w", err)
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

// bounds says between which places to look: since the consumers hear, and up to what was logged when it began. What is logged later finds its queue.
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
