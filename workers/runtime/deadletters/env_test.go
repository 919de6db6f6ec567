package deadletters_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/deadletters"
	"github.com/composerp/composerp/workers/worker/workertest"
)

const (
	ledger  = "ledger"
	saleKey = "integration.sale_completed"
)

var (
	ledgerQueue = topology.QueueName(ledger)
	deadQueue   = topology.DeadQueueName(ledger)
	queue       = deadletters.Queue{Worker: ledger, TracksInbox: true}
	fast        = deadletters.Pace{Steps: []int{0}, Timeout: localtest.Deadline(20 * time.Second)}
	noon        = time.Date(2026, 2, 9, 12, 0, 0, 0, time.UTC)
)

// env is the queues of one worker, with a database.
type env struct {
	*workertest.Env
	cfg      deadletters.Config
	consumer inbox.ConsumerID
}

func newEnv(t testing.TB) *env {
	t.Helper()
	p := &env{Env: workertest.NewEnv(t)}
	p.cfg = deadletters.Config{DB: p.DB, Broker: p.Broker}
	p.ApplyTopology(topology.Compute([]topology.Subscription{
		{Worker: ledger, RoutingKeys: []string{saleKey}, RetryDelays: []time.Duration{time.Hour}},
		{Worker: "stockview", RoutingKeys: []string{saleKey}},
	}))
	p.consumer = p.Consumer(ledger)
	return p
}

// sale is an event of a tenant.
func (p *env) sale(tenant, aggregate string) event.Any {
	p.Helper()
	one := event.NewDecimal(1)
	return workertest.Event(p, event.SaleCompleted{SaleID: aggregate, ItemID: "A", LocationID: "shop", Quantity: one, Amount: one, Timestamp: noon},
		func(e *event.Envelope) { e.AggregateID, e.TenantID, e.Timestamp = aggregate, tenant, noon })
}

// dead is an event as its worker could not handle it, after its last retry.
func dead(e event.Any, worker string, cause error) rabbitmq.Message {
	d := rabbitmq.Delivery{Message: rabbitmq.Message{
		Exchange: topology.Events, RoutingKey: saleKey, ID: e.ID.String(), Type: string(e.Type), Body: e.Body, Timestamp: e.Timestamp,
	}}
	d.Message = rabbitmq.RetryMessage(d, worker, time.Hour, cause)
	return rabbitmq.DeadMessage(d, worker, cause)
}

// die sends n sales to the ledger's dead letters and to the dead-letter log, and gives them in order.
func (p *env) die(n int, cause error) []event.Any {
	p.Helper()
	events, messages := make([]event.Any, n), make([]rabbitmq.Message, n)
	for i := range n {
		events[i] = p.sale("acme", fmt.Sprint(i))
		messages[i] = dead(events[i], ledger, cause)
	}
	p.Send(messages...)
	p.record()
	return events
}

// record drains the dead-letter log's queue into its table, as the worker deadletterlog does.
func (p *env) record() {
	p.Helper()
	taken := p.Receive(topology.DeadLetterLog, p.Depth(topology.DeadLetterLog))
	letters := make([]failures.DeadLetter, len(taken))
	for i, d := range taken {
		letters[i] = deadletters.LetterOf(d)
	}
	p.Must(p.InTx(p.Context(), func(tx store.Tx) error { return failures.RecordDeadLetters(p.Context(), tx, letters) }))
}

// ids are the events of a queue's messages, from its front; the messages stay.
func (p *env) ids(queue string) []string {
	p.Helper()
	session, err := rabbitmq.Open(p.Context(), p.Broker)
	p.Must(err)
	defer session.Close()
	s, err := session.Browse(queue, "ids."+uuid.NewString())
	p.Must(err)
	n := s.Left()
	var found []string
	for {
		taken, err := s.Take(p.Context(), 100)
		if errors.Is(err, rabbitmq.ErrDrained) {
			break
		}
		p.Must(err)
		for _, d := range taken {
			found = append(found, d.ID)
		}
		s.Keep(len(taken))
	}
	_, err = s.Close()
	p.Must(err)
	p.Eventually("all is back", func() bool { return p.Depth(queue) >= n })
	return found
}

func idsOf(events []event.Any) []string {
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID.String())
	}
	return ids
}

// count reads a number by SQL.
func (p *env) count(query string, args ...any) int {
	p.Helper()
	return storetest.Value[int](p, p.URL, query, args...)
}

// hands are a worker at work: what it gets it claims and counts, or sends on as failed.
type hands struct {
	mu      sync.Mutex
	effects map[string]int
	got     []rabbitmq.Delivery
}

// work runs a worker on the ledger's queue; fails says what it can not handle.
func (p *env) work(fails func(d rabbitmq.Delivery) error) *hands {
	p.Helper()
	session, err := rabbitmq.Open(p.Context(), p.Broker)
	p.Must(err)
	publisher, err := session.Publisher(512)
	p.Must(err)
	c, err := session.Consume(ledgerQueue, "worker", 500)
	p.Must(err)
	h := &hands{effects: map[string]int{}}
	p.Start("worker", func(ctx context.Context, _ *workertest.Part) error {
		defer session.Close()
		for {
			taken, err := c.Take(ctx, 200)
			if err != nil {
				return nil // its queue or the test has ended
			}
			if err := p.handle(ctx, h, publisher, taken, fails); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			_ = c.Ack(taken[len(taken)-1])
		}
	})
	return h
}

func (p *env) handle(ctx context.Context, h *hands, publisher *rabbitmq.Publisher, taken []rabbitmq.Delivery, fails func(d rabbitmq.Delivery) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, taken...)
	var ids []uuid.UUID
	for _, d := range taken {
		if cause := fails(d); cause != nil {
			m := rabbitmq.RetryMessage(d, ledger, time.Hour, cause)
			if errors.Is(cause, errRejected) {
				m = rabbitmq.DeadMessage(d, ledger, cause)
			}
			c, err := publisher.Publish(ctx, m)
			if err != nil {
				return err
			}
			if err := c.Wait(ctx); err != nil {
				return err
			}
			continue
		}
		ids = append(ids, uuid.MustParse(d.ID))
	}
	return p.InTx(ctx, func(tx store.Tx) error {
		fresh, err := inbox.Claim(ctx, tx, p.consumer, ids)
		for id := range fresh {
			h.effects[id.String()]++
		}
		return err
	})
}

func (h *hands) all() (effects map[string]int, got []rabbitmq.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.effects, h.got
}

// errRejected sends a message to the dead letters at once.
var errRejected = errors.New("rejected")

func handlesAll(rabbitmq.Delivery) error { return nil }
