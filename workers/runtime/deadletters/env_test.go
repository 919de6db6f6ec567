package deadletters_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
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
	fast        = deadletters.Pace{Steps: []int{0}, Timeout: 20 * time.Second}
	noon        = time.Date(2026, 2, 9, 12, 0, 0, 0, time.UTC)
)

// env is the queues of one worker, with a database.
type env struct {
	testing.TB
	cfg       deadletters.Config
	url       string
	consumer  inbox.ConsumerID
	session   *rabbitmq.Session
	publisher *rabbitmq.Publisher
}

func newEnv(t testing.TB) *env {
	t.Helper()
	p := &env{TB: t, url: storetest.URL(t)}
	p.cfg = deadletters.Config{DB: storetest.Open(t, p.url, 4), Broker: rabbitmqtest.Vhost(t)}
	topology := topology.Compute([]topology.Subscription{
		{Worker: ledger, RoutingKeys: []string{saleKey}, RetryDelays: []time.Duration{time.Hour}},
		{Worker: "stockview", RoutingKeys: []string{saleKey}},
	})
	storetest.Must(t, rabbitmq.Apply(t.Context(), topology, p.cfg.Broker))
	var err error
	p.session, err = rabbitmq.Open(t.Context(), p.cfg.Broker)
	storetest.Must(t, err)
	t.Cleanup(func() { _ = p.session.Close() })
	p.publisher, err = p.session.Publisher(512)
	storetest.Must(t, err)
	p.consumer, err = inbox.Subscribe(t.Context(), p.cfg.DB, ledger, []string{"SALE_COMPLETED"})
	storetest.Must(t, err)
	return p
}

// sale is an event of a tenant.
func (p *env) sale(tenant, aggregate string) event.Any {
	p.Helper()
	one := event.NewDecimal(1)
	e, err := event.Encode(event.Envelope{ID: uuid.New(), AggregateID: aggregate, TenantID: tenant, Timestamp: noon},
		event.SaleCompleted{SaleID: aggregate, ItemID: "A", LocationID: "shop", Quantity: one, Amount: one, Timestamp: noon})
	storetest.Must(p, err)
	return e
}

// dead is an event as its worker could not handle it, after its last retry.
func dead(e event.Any, worker string, cause error) rabbitmq.Message {
	d := rabbitmq.Delivery{Message: rabbitmq.Message{
		Exchange: topology.Events, RoutingKey: saleKey, ID: e.ID.String(), Type: string(e.Type), Body: e.Body, Timestamp: e.Timestamp,
	}}
	d.Message = rabbitmq.RetryMessage(d, worker, time.Hour, cause)
	return rabbitmq.DeadMessage(d, worker, cause)
}

// send publishes messages and waits until the broker has them.
func (p *env) send(messages ...rabbitmq.Message) {
	p.Helper()
	confirmations := make([]*rabbitmq.Confirmation, len(messages))
	for i, m := range messages {
		var err error
		confirmations[i], err = p.publisher.Publish(p.Context(), m)
		storetest.Must(p, err)
	}
	for _, c := range confirmations {
		storetest.Must(p, c.Wait(p.Context()))
	}
}

// die sends n sales to the ledger's dead letters and to the dead-letter log, and gives them in order.
func (p *env) die(n int, cause error) []event.Any {
	p.Helper()
	events, messages := make([]event.Any, n), make([]rabbitmq.Message, n)
	for i := range n {
		events[i] = p.sale("acme", fmt.Sprint(i))
		messages[i] = dead(events[i], ledger, cause)
	}
	p.send(messages...)
	p.record()
	return events
}

// record drains the dead-letter log's queue into its table, as the worker deadletterlog does.
func (p *env) record() {
	p.Helper()
	n := p.depth(topology.DeadLetterLog)
	if n == 0 {
		return
	}
	c, err := p.session.Consume(topology.DeadLetterLog, uuid.NewString(), 1000)
	storetest.Must(p, err)
	defer c.Close()
	for n > 0 {
		taken, err := c.Take(p.Context(), 1000)
		storetest.Must(p, err)
		letters := make([]failures.DeadLetter, len(taken))
		for i, d := range taken {
			letters[i] = deadletters.LetterOf(d)
		}
		storetest.Must(p, p.cfg.DB.InTx(p.Context(), func(tx store.Tx) error { return failures.RecordDeadLetters(p.Context(), tx, letters) }))
		storetest.Must(p, c.Ack(taken[len(taken)-1]))
		n -= len(taken)
	}
}

func (p *env) depth(queue string) int {
	p.Helper()
	n, _, err := p.session.Depth(queue)
	storetest.Must(p, err)
	return n
}

// ids are the events of a queue's messages, from its front; the messages stay.
func (p *env) ids(queue string) []string {
	p.Helper()
	session, err := rabbitmq.Open(p.Context(), p.cfg.Broker)
	storetest.Must(p, err)
	defer session.Close()
	s, err := session.Browse(queue, "ids."+uuid.NewString())
	storetest.Must(p, err)
	n := s.Left()
	var found []string
	for {
		taken, err := s.Take(p.Context(), 100)
		if errors.Is(err, rabbitmq.ErrDrained) {
			break
		}
		storetest.Must(p, err)
		for _, d := range taken {
			found = append(found, d.ID)
		}
		s.Keep(len(taken))
	}
	_, err = s.Close()
	storetest.Must(p, err)
	workertest.Eventually(p, "all is back", func() bool { return p.depth(queue) >= n })
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
	return storetest.Value[int](p, p.url, query, args...)
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
	session, err := rabbitmq.Open(p.Context(), p.cfg.Broker)
	storetest.Must(p, err)
	publisher, err := session.Publisher(512)
	storetest.Must(p, err)
	c, err := session.Consume(ledgerQueue, "worker", 500)
	storetest.Must(p, err)
	h := &hands{effects: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	p.Cleanup(func() { cancel(); <-done; session.Close() })
	go func() {
		defer close(done)
		for {
			taken, err := c.Take(ctx, 200)
			if err != nil {
				return
			}
			if err := p.handle(ctx, h, publisher, taken, fails); err != nil {
				if ctx.Err() == nil {
					p.Errorf("the worker fails: %v", err)
				}
				return
			}
			_ = c.Ack(taken[len(taken)-1])
		}
	}()
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
	return p.cfg.DB.InTx(ctx, func(tx store.Tx) error {
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

func (p *env) deleteQueue(name string) error {
	return rabbitmqtest.Management(p).DeleteQueue(p.Context(), rabbitmqtest.VhostOf(p, p.cfg.Broker), name)
}

func (p *env) exec(statement string) {
	p.Helper()
	storetest.Exec(p, p.url, statement)
}
