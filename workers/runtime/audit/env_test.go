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
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	storeaudit "github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/audit"
	"github.com/composerp/composerp/workers/worker/workertest"
)

const saleKey = "integration.sale_completed"

// env is an empty log and the queues of one worker that is not running.
type env struct {
	*workertest.Env
	audit.Config
}

// newEnv makes queues; more are added to the topology as they are.
func newEnv(t *testing.T, more ...topology.QueueSpec) *env {
	t.Helper()
	t.Parallel()
	p := &env{Env: workertest.NewEnv(t)}
	p.Config = audit.Config{
		DB: p.Env.DB, Broker: p.Env.Broker, Management: rabbitmqtest.Management(t),
		Topology: topology.Compute([]topology.Subscription{{Worker: "ledger", RoutingKeys: []string{saleKey}, RetryDelays: []time.Duration{time.Hour}}}),
		Wait:     time.Millisecond, Settle: time.Millisecond,
	}
	p.Topology.Queues = append(p.Topology.Queues, more...)
	p.ApplyTopology(p.Topology)
	return p
}

// send publishes a message and waits until a queue has it.
func (p *env) send(exchangeName, key string) {
	p.Helper()
	p.Send(rabbitmq.Message{Exchange: exchangeName, RoutingKey: key, ID: uuid.NewString(), Body: []byte("{}")})
}

func (p *env) run() audit.Report {
	p.Helper()
	r, err := audit.Run(p.Context(), p.Config)
	p.Must(err)
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

// drain takes what is in a queue.
func (p *env) drain(queue string) {
	p.Helper()
	p.Receive(queue, p.Depth(queue))
	p.Eventually(queue+" is drained", func() bool { return p.Depth(queue) == 0 })
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
	// Looks that are a Settle and a half apart say nothing: several fit in one, also on a slow machine.
	p.Settle, p.Wait = localtest.Deadline(time.Second), localtest.Deadline(6*time.Second)
	p.Topology.Queues = append(p.Topology.Queues, topology.QueueSpec{Name: "composerp.view", Arguments: map[string]any{"x-queue-type": "quorum"}})
	p.ApplyTopology(p.Topology)
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
	p.Consumer("ledger")
	p.Admit(workertest.Sale(t, "A", "shop", "1"))
	p.Exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) SELECT 1, 1, pg_current_snapshot(), n, n FROM pg_sequence_last_value('event_log_seq') n`)
	p.Exec(`INSERT INTO log_cursor (consumer, tick, upto, seq, term) VALUES ('relay', 1, 1, 0, 1)`)
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
