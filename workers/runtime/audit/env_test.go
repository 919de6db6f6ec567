package audit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	storeaudit "github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/audit"
)

const saleKey = "integration.sale_completed"

// env is an empty log and the queues of one worker that is not running.
type env struct {
	testing.TB
	audit.Config
	url       string // of the database
	session   *rabbitmq.Session
	publisher *rabbitmq.Publisher
}

// newEnv makes queues; more are added to the topology as they are.
func newEnv(t *testing.T, more ...topology.QueueSpec) *env {
	t.Helper()
	t.Parallel()
	p := &env{TB: t, url: storetest.URL(t)}
	p.Config = audit.Config{
		DB: storetest.Open(t, p.url, 4), Broker: rabbitmqtest.Vhost(t), Management: rabbitmqtest.Management(t),
		Topology: topology.Compute([]topology.Subscription{{Worker: "ledger", RoutingKeys: []string{saleKey}, RetryDelays: []time.Duration{time.Hour}}}),
		Wait:     time.Millisecond, Settle: time.Millisecond,
	}
	p.Topology.Queues = append(p.Topology.Queues, more...)
	storetest.Must(t, rabbitmq.Apply(t.Context(), p.Topology, p.Broker))
	var err error
	p.session, err = rabbitmq.Open(t.Context(), p.Broker)
	storetest.Must(t, err)
	t.Cleanup(func() { p.session.Close() })
	p.publisher, err = p.session.Publisher(16)
	storetest.Must(t, err)
	return p
}

// send publishes a message and waits until a queue has it.
func (p *env) send(exchangeName, key string) {
	p.Helper()
	c, err := p.publisher.Publish(p.Context(), rabbitmq.Message{Exchange: exchangeName, RoutingKey: key, ID: uuid.NewString(), Body: []byte("{}")})
	if err == nil {
		err = c.Wait(p.Context())
	}
	storetest.Must(p, err)
}

func (p *env) run() audit.Report {
	p.Helper()
	r, err := audit.Run(p.Context(), p.Config)
	storetest.Must(p, err)
	return r
}

// until audits until the report is as wanted: the management API is some seconds behind.
func (p *env) until(what string, holds func(r audit.Report) bool) audit.Report {
	p.Helper()
	deadline := time.Now().Add(localtest.Deadline(time.Minute))
	for {
		r := p.run()
		if holds(r) {
			return r
		}
		if time.Now().After(deadline) {
			p.Fatalf("%s:\n%s", localtest.Late(time.Minute, what), r.Table())
		}
	}
}

func check(t testing.TB, r audit.Report, name string) storeaudit.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %s:\n%s", name, r.Table())
	return storeaudit.Check{}
}

// failed are the checks with findings.
func failed(r audit.Report) string {
	var names []string
	for _, c := range r.Checks {
		if c.Wrong > 0 {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, " ")
}

func (p *env) expect(r audit.Report, conclusion audit.Verdict, checks, queue, problem string) {
	p.Helper()
	if r.Verdict != conclusion || failed(r) != checks {
		p.Errorf("verdict %q, failed %q; want %q, %q", r.Verdict, failed(r), conclusion, checks)
	}
	for _, c := range r.Checks {
		for _, f := range c.Findings {
			if f.Queue == queue && strings.Contains(f.Problem, problem) {
				return
			}
		}
	}
	p.Errorf("no finding says %q of queue %q:\n%s", problem, queue, r.Table())
}

func (p *env) admit(publish bool) {
	p.Helper()
	one, err := event.ParseDecimal("1")
	storetest.Must(p, err)
	now := time.Now()
	e, err := event.Encode(event.Envelope{ID: uuid.New(), AggregateID: "1", TenantID: "acme", Timestamp: now},
		event.SaleCompleted{SaleID: "1", ItemID: "A", LocationID: "shop", Quantity: one, Amount: one, Timestamp: now})
	storetest.Must(p, err)
	_, err = eventlog.AdmitOnce(p.Context(), p.DB, []event.Any{e}, publish)
	storetest.Must(p, err)
}

// drain takes what is in a queue.
func (p *env) drain(queue string) {
	p.Helper()
	n, _, err := p.session.Depth(queue)
	storetest.Must(p, err)
	consumer, err := p.session.Consume(queue, "drain."+queue, 10)
	storetest.Must(p, err)
	for n > 0 {
		taken, err := consumer.Take(p.Context(), 10)
		storetest.Must(p, err)
		storetest.Must(p, consumer.Ack(taken[len(taken)-1]))
		n -= len(taken)
	}
	storetest.Must(p, consumer.Close())
	localtest.Eventually(p, time.Minute, queue+" is drained", func() bool {
		n, _, err := p.session.Depth(queue)
		storetest.Must(p, err)
		return n == 0
	})
}

// figures makes up what the management API says is in the ledger's hand, look by look.
func (p *env) figures(t *testing.T, inHand func(look int) int) {
	look := 0
	p.Management = managementClient(t, func(w http.ResponseWriter) {
		look++
		fmt.Fprintf(w, `[{"name":"composerp.ledger","messages_ready":0,"messages_unacknowledged":%d}]`, inHand(look))
	})
}

// load makes a fleet that never comes to rest: another worker has always something in
// hand. held is what the management API says is in the ledger's queue and hand, look by look.
func (p *env) load(t *testing.T, held func(look int) int) {
	p.Settle, p.Wait = 100*time.Millisecond, localtest.Deadline(2*time.Second)
	p.Topology.Queues = append(p.Topology.Queues, topology.QueueSpec{Name: "composerp.view", Arguments: map[string]any{"x-queue-type": "quorum"}})
	storetest.Must(t, rabbitmq.Apply(t.Context(), p.Topology, p.Broker))
	look := 0
	p.Management = managementClient(t, func(w http.ResponseWriter) {
		look++
		var queues []string
		for _, q := range p.Topology.Queues {
			n := map[string]int{"composerp.ledger": held(look), "composerp.view": 1}[q.Name]
			queues = append(queues, fmt.Sprintf(`{"name":%q,"messages_ready":0,"messages_unacknowledged":%d}`, q.Name, n))
		}
		fmt.Fprintf(w, "[%s]", strings.Join(queues, ","))
	})
}

// pend makes a published event a pending delivery of a consumer.
func (p *env) pend(t *testing.T) {
	t.Helper()
	_, err := inbox.Subscribe(t.Context(), p.DB, "ledger", []string{"SALE_COMPLETED"})
	storetest.Must(t, err)
	p.admit(true)
	storetest.Exec(t, p.url, `INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) SELECT 1, 1, pg_current_snapshot(), n, n FROM pg_sequence_last_value('event_log_seq') n`)
	storetest.Exec(t, p.url, `INSERT INTO log_cursor (consumer, tick, upto, seq, term) VALUES ('relay', 1, 1, 0, 1)`)
}

func managementThatAnswers(t *testing.T, status int, body string) *management.Client {
	return managementClient(t, func(w http.ResponseWriter) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
}

// management is a client of a management API that a test makes up.
func managementClient(t *testing.T, answer func(w http.ResponseWriter)) *management.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
	t.Cleanup(server.Close)
	m, err := management.New(server.URL)
	storetest.Must(t, err)
	return m
}
