package workers_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers/ledger"
	"github.com/composerp/composerp/workers/runtime/migration"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/reads"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// seen are the versions of the bodies that a worker has got.
type seen struct {
	mu     sync.Mutex
	bodies map[string]int
}

func (s *seen) add(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies[version]++
}

func (s *seen) of(version string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bodies[version]
}

func consumer(name string, options ...worker.Option) (worker.Worker, *seen) {
	s := &seen{bodies: map[string]int{}}
	options = append(options, worker.OnBatch(func(_ context.Context, _ *worker.Tx, events []event.Any) error {
		for _, e := range events {
			s.add(event.VersionOf(e.Body))
		}
		return nil
	}, event.TypeInventoryUpdated))
	return worker.New(name, options...), s
}

const typ = event.TypeInventoryUpdated

// A real migration while sales flow: a consumer that reads 1.0 alone stays on composerp.events.v1, is moved when it
// reads 2.0, and the migration is finished; each step is cut off and called again, the relay and a consumer are
// ended in between, and a queue of another program is in the way until it is declared. Every consumer handles each
// event once.
func TestAMigrationUnderLoad(t *testing.T) {
	t.Parallel()
	bridge, old := consumer("bridge", reads.Only(typ, "1.0"))
	modern, current := consumer("modern")
	h := workertest.NewEnv(t, ledger.New(), bridge, modern)
	h.StartTicker()
	relay := h.StartRelay()
	h.StartWorker(ledger.New(), 1)
	h.StartWorker(modern, 1)
	running := h.StartWorker(bridge, 1)
	subs := []topology.Subscription{ledger.New().Subscription(), bridge.Subscription(), modern.Subscription()}
	m := &migration.Migration{Type: typ, DB: h.DB, Broker: h.Broker, Management: rabbitmqtest.Management(t), Subscriptions: subs,
		By: operatorlog.By{Operator: "test", Reason: "try"}, RelayWait: localtest.Deadline(20 * time.Second)}

	sold := 0
	sell := func(n int) {
		h.Admit(workertest.Sales(t, n)...)
		sold += n
	}
	handled := func() {
		h.Helper()
		for _, name := range []string{"bridge", "modern"} {
			h.Eventually(name+" has handled each event", func() bool {
				return storetest.Value[int](t, h.URL, `SELECT count(*) FROM inbox i JOIN consumer c ON c.id = i.consumer WHERE c.name = '`+name+`'`) == sold
			})
		}
		if o, c := old.of("1.0")+old.of("2.0"), current.of("1.0")+current.of("2.0"); o != sold || c != sold {
			t.Fatalf("%d events: bridge has handled %d, modern %d", sold, o, c)
		}
	}
	sell(300)
	handled()
	if current.of("2.0") != 0 {
		t.Fatal("2.0 is emitted before the migration is started")
	}

	// A queue of another program is in the way, by whatever pattern it is bound.
	h.ApplyTopology(topology.Topology{Queues: []topology.QueueSpec{{Name: "billing", Arguments: map[string]any{"x-queue-type": "quorum"}}},
		Bindings: []topology.BindingSpec{{Exchange: topology.Events, Queue: "billing", RoutingKey: "inventory.*"}}})
	if err := m.Start(t.Context()); !errors.Is(err, migration.ErrInTheWay) || !strings.Contains(err.Error(), "queue billing is not the fleet's") {
		t.Fatalf("with another program's queue: %v", err)
	}
	h.Must(versions.Declare(t.Context(), h.DB, m.By, "billing", typ, "2.0"))

	// Each step is cut off after it, and sales flow all the time.
	for cut := range 3 {
		ctx, stop := context.WithCancel(t.Context())
		steps := 0
		m.Say = func(string) {
			sell(20)
			if steps++; steps > cut {
				stop()
			}
		}
		_ = m.Start(ctx)
		stop()
	}
	m.Say = func(string) { sell(20) }
	h.Must(m.Start(t.Context()))
	h.Eventually("2.0 is emitted", func() bool {
		sell(20)
		return storetest.Value[int](t, h.URL, `SELECT count(*) FROM event_log WHERE type = 'INVENTORY_UPDATED' AND version = '2.0'`) > 0
	})
	// The relay and the consumer end with messages in hand; what is published again is absorbed.
	sell(400)
	relay.Stop()
	running.Stop()
	relay.End()
	running.End()
	h.StartRelay()
	running = h.StartWorker(bridge, 1)
	handled()
	s, err := m.Status(t.Context())
	h.Must(err)
	if s.Stage != versions.Both || old.of("2.0") != 0 || current.of("2.0") == 0 {
		t.Fatalf("stage %s; bridge got %d bodies of 2.0, modern %d", s.Stage, old.of("2.0"), current.of("2.0"))
	}
	for _, c := range s.Consumers {
		if want := map[string]string{"composerp.bridge": topology.EventsV1}[c.Queue]; want != "" && strings.Join(c.From, " ") != want {
			t.Errorf("%s gets it from %v", c.Queue, c.From)
		}
	}
	if err := m.Finish(t.Context()); !errors.Is(err, migration.ErrInTheWay) || !strings.Contains(err.Error(), "composerp.bridge reads 1.0") {
		t.Fatalf("with a consumer of 1.0: %v", err)
	}

	// Back and forth again.
	h.Must(m.Abort(t.Context()))
	sell(50)
	handled()
	h.Must(m.Start(t.Context()))
	sell(50)

	// A new version of the consumer reads 2.0: the same queue, moved while sales flow.
	running.Stop()
	running.End()
	moved, after := consumer("bridge")
	h.StartWorker(moved, 1)
	m.Subscriptions[1] = moved.Subscription()
	h.Must(m.Start(t.Context()))
	sell(50)
	h.Must(m.Finish(t.Context()))
	h.Must(m.Finish(t.Context())) // again
	sell(50)
	h.Eventually("all is handled", func() bool {
		return storetest.Value[int](t, h.URL, `SELECT count(*) FROM inbox i JOIN consumer c ON c.id = i.consumer WHERE c.name IN ('bridge', 'modern')`) == 2*sold
	})
	if got := old.of("1.0") + after.of("1.0") + after.of("2.0"); got != sold || current.of("1.0")+current.of("2.0") != sold {
		t.Errorf("of %d events bridge has handled %d, modern %d", sold, got, current.of("1.0")+current.of("2.0"))
	}
	have, err := m.Management.Topology(t.Context(), rabbitmqtest.VhostOf(t, h.Broker))
	h.Must(err)
	if slices.ContainsFunc(have.Exchanges, func(e topology.ExchangeSpec) bool { return e.Name == topology.EventsV1 }) {
		t.Errorf("%s is there still", topology.EventsV1)
	}
	if err := m.Abort(t.Context()); err == nil {
		t.Error("a finished migration is aborted")
	}
}

// A relay of an older program does not take over the stages: its cursor does not move while both versions are
// published.
func TestAnOlderRelayCannotPassEvents(t *testing.T) {
	t.Parallel()
	h := workertest.NewDatabaseEnv(t)
	storetest.Exec(t, h.URL, `INSERT INTO log_cursor (consumer, tick, upto, seq, term) VALUES ('relay', 0, 0, 0, 7), ('stream', 0, 0, 0, 7)`)
	storetest.Exec(t, h.URL, `INSERT INTO event_version (type, stage, relay_term, updated_by, reason) VALUES ('INVENTORY_UPDATED', 'both', 7, '', '')`)
	storetest.Exec(t, h.URL, `UPDATE log_cursor SET seq = 1`)
	storetest.Exec(t, h.URL, `UPDATE log_cursor SET term = 8`) // a relay opens it
	at, to := eventlog.Cursor{Consumer: "relay", Seq: 1, Term: 8}, eventlog.Cursor{Consumer: "relay", Seq: 2, Term: 8}
	if err := eventlog.MoveCursor(t.Context(), h.DB, at, to); err == nil || !strings.Contains(err.Error(), "does not publish both versions") {
		t.Errorf("the cursor moves: %v", err)
	}
	storetest.Exec(t, h.URL, `UPDATE log_cursor SET seq = 2 WHERE consumer = 'stream'`)
	storetest.Exec(t, h.URL, `UPDATE event_version SET relay_term = 8`)
	h.Must(eventlog.MoveCursor(t.Context(), h.DB, at, to))
}
