package migration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers/runtime/migration"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/reads"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// palletWeighed is a type that depots publish. Its version 1.0 calls the weight kg.
type palletWeighed struct {
	PalletID string        `json:"palletId"`
	Kilos    event.Decimal `json:"kilos"`
}

const palletType event.Type = "PALLET_WEIGHED"

const palletKey = "depot.pallet_weighed"

func (palletWeighed) EventType() event.Type { return palletType }

func init() {
	event.Register[palletWeighed](event.Definition{RoutingKey: palletKey, AggregateType: "PALLET", Version: "2.0", Outside: true, Former: []event.Former{
		event.Renamed("1.0", `{"type":"object","required":["palletId","kg"],"properties":{"kg":{"$ref":"envelope-1.0.json#/$defs/decimal"}}}`, map[string]string{"kg": "kilos"}),
	}})
}

// pallet is an event as a depot publishes it.
func pallet(version string) (id string, body []byte) {
	id = uuid.NewString()
	field := map[string]string{"1.0": "kg", "2.0": "kilos"}[version]
	return id, fmt.Appendf(nil, `{"eventId":%q,"eventType":"PALLET_WEIGHED","aggregateType":"PALLET","aggregateId":"P-1","tenantId":"acme",`+
		`"timestamp":"2026-02-09T12:00:00Z","version":%q,"payload":{"palletId":"P-1",%q:1.25},"metadata":{"source":"depot"}}`, id, version, field)
}

// handled are the versions in which a worker has handled events, by their ids.
type handled struct {
	mu sync.Mutex
	by map[string][]string
}

func (h *handled) add(id, version string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.by[id] = append(h.by[id], version)
}

func (h *handled) of(id string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.by[id])
}

func reader(name string, options ...worker.Option) (worker.Worker, *handled) {
	h := &handled{by: map[string][]string{}}
	return worker.New(name, append(options, worker.OnBatch(func(_ context.Context, _ *worker.Tx, events []event.Any) error {
		for _, e := range events {
			h.add(e.ID.String(), event.VersionOf(e.Body))
		}
		return nil
	}, palletType))...), h
}

// While a type has two live versions, an event that comes straight over AMQP in either reaches both sides: each worker
// handles it once, and the queue of another program gets it in its own version.
func TestStraightOverAMQPInEitherVersion(t *testing.T) {
	t.Parallel()
	bridge, old := reader("bridge", reads.Only(palletType, "1.0"))
	modern, current := reader("modern")
	logs := worker.New("intake", worker.Idempotent(), worker.ExternalOnly(), worker.Linger(50*time.Millisecond),
		worker.OnBatch(func(context.Context, *worker.Tx, []event.Any) error { return nil }, palletType))
	h := workertest.NewEnv(t, logs, bridge, modern)
	const theirs = "depot.billing" // another program's queue, that reads 2.0
	h.ApplyTopology(topology.Topology{
		Queues:   []topology.QueueSpec{{Name: theirs, Arguments: map[string]any{"x-queue-type": "quorum"}}},
		Bindings: []topology.BindingSpec{{Exchange: topology.Events, Queue: theirs, RoutingKey: palletKey}},
	})
	h.StartTicker()
	h.StartRelay()
	h.StartWorker(bridge, 1)
	admitting := []*workertest.Part{h.StartWorker(logs, 1), h.StartWorker(modern, 1)}
	m := &migration.Migration{Type: palletType, DB: h.DB, Broker: h.Broker, Management: rabbitmqtest.Management(t),
		Subscriptions: []topology.Subscription{logs.Subscription(), bridge.Subscription(), modern.Subscription()},
		By:            operatorlog.By{Operator: "test", Reason: "try"}, RelayWait: localtest.Deadline(20 * time.Second)}
	send := func(version string) (id string) {
		id, body := pallet(version)
		h.Send(rabbitmq.Message{Exchange: topology.Events, RoutingKey: palletKey, ID: id, Type: string(palletType), Body: body})
		return id
	}
	// reached waits until both workers have handled the event, each once.
	reached := func(id string) {
		t.Helper()
		h.Eventually("both workers have handled the event", func() bool { return len(old.of(id)) > 0 && len(current.of(id)) > 0 })
		if o, c := old.of(id), current.of(id); len(o) != 1 || len(c) != 1 {
			t.Errorf("handled in %v and %v", o, c)
		}
	}
	reached(send("1.0"))
	h.Must(versions.Declare(t.Context(), h.DB, m.By, theirs, palletType, "2.0"))
	h.Must(m.Start(t.Context()))
	before := h.Depth(theirs)
	h.Receive(theirs, before)

	first, second := send("1.0"), send("2.0")
	reached(first)
	reached(second)
	if o := old.of(second); o[0] != "1.0" {
		t.Errorf("bridge reads 1.0, and got %v of what was sent as 2.0", o)
	}
	got := map[string][]string{}
	for _, d := range h.Receive(theirs, 3) { // what was sent as 1.0 comes as it is, and then as 2.0
		got[d.ID] = append(got[d.ID], event.VersionOf(d.Body))
		var body struct {
			Payload map[string]json.Number `json:"payload"`
		}
		if err := json.Unmarshal([]byte(strings.ReplaceAll(string(d.Body), `"P-1"`, "1")), &body); err != nil || body.Payload["kilos"] == "" && body.Payload["kg"] == "" {
			t.Errorf("%s: %v", d.Body, err)
		}
	}
	if !slices.Equal(got[first], []string{"1.0", "2.0"}) || !slices.Equal(got[second], []string{"2.0"}) {
		t.Errorf("the other program got the one sent as 1.0 in %v, the one sent as 2.0 in %v", got[first], got[second])
	}

	// Back: what was sent before, and is not logged yet, is waited for.
	for _, part := range admitting {
		part.Stop()
		part.End()
	}
	waiting := h.Depth(topology.QueueName("intake"))
	late := send("1.0")
	h.Eventually("the event waits to be logged", func() bool { return h.Depth(topology.QueueName("intake")) > waiting })
	done := make(chan error, 1)
	waits := make(chan struct{}, 10)
	m.Say = func(step string) {
		if strings.HasPrefix(step, "waiting until intake") {
			waits <- struct{}{}
		}
	}
	go func() { done <- m.Abort(t.Context()) }()
	workertest.Wait(t, "the abort waits for intake", waits)
	h.StartWorker(logs, 1)
	h.StartWorker(modern, 1)
	if err := workertest.Wait(t, "the abort", done); err != nil {
		t.Fatal(err)
	}
	reached(late)
	if n := storetest.Value[int](t, h.URL, `SELECT count(*) FROM event_log WHERE NOT publish`); n != 4 {
		t.Errorf("the log has %d of the 4 events that came straight", n)
	}
}
