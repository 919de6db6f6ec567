package republish_test

import (
	"context"
	"encoding/json"
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
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/deadletters"
	"github.com/composerp/composerp/workers/runtime/republish"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// crateWeighed had kilograms in its version 1.0.
type crateWeighed struct {
	CrateID string        `json:"crateId"`
	Grams   event.Decimal `json:"grams"`
}

func (crateWeighed) EventType() event.Type { return "CRATE_WEIGHED" }

const crateKey = "depot.crate_weighed"

func init() {
	event.Register[crateWeighed](event.Definition{RoutingKey: crateKey, AggregateType: "CRATE", Version: "2.0", Outside: true, Former: []event.Former{{
		Version: "1.0", Schema: `{"type":"object","required":["crateId","kg"],"properties":{"kg":{"$ref":"envelope-1.0.json#/$defs/decimal"}}}`,
		Upcast: func(p map[string]any) error {
			kg, err := event.ParseDecimal(p["kg"].(json.Number).String())
			p["grams"] = json.Number(kg.Mul(event.NewDecimal(1000)).String())
			delete(p, "kg")
			return err
		},
	}}})
}

// crate is an event of version 1.0 as a depot published it, with fields that nothing here knows, in an order and with
// spaces of its own.
func crate(t testing.TB, id string) event.Any {
	t.Helper()
	body := fmt.Sprintf(`{ "eventType":"CRATE_WEIGHED","colour":{"deep":[1.50,null]}, "eventId":%q,"aggregateType":"CRATE","aggregateId":"C-1",
		"tenantId":"acme","timestamp":"2026-02-09T12:00:00+01:00","version":"1.0","payload":{"mood":"<&>","kg":1.250,"crateId":"C-1"},"metadata":{"source":"depot","shift":7}}`, id)
	e, err := event.DecodeOutside([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// scales is a worker of version 2.0. It rejects each event until it is repaired.
type scales struct {
	mu       sync.Mutex
	repaired bool
	weighed  map[uuid.UUID]string
}

func (s *scales) weigh(_ context.Context, _ *worker.Tx, e event.Of[crateWeighed]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.repaired {
		return worker.Reject(errors.New("the scales are broken"))
	}
	s.weighed[e.ID] = e.Version + " " + e.Payload.Grams.String()
	return nil
}

func (s *scales) has(ids ...uuid.UUID) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, id := range ids {
			if s.weighed[id] != "2.0 1250" {
				return false
			}
		}
		return true
	}
}

// Events of a former version reach a handler as events of the current one, whichever way they come: from the log by
// the relay, straight from a publisher, out of the dead letters, and published again. Each
// hands on the body, byte for byte.
func TestFormerVersionsByEveryWay(t *testing.T) {
	t.Parallel()
	s := &scales{weighed: map[uuid.UUID]string{}}
	w := worker.New("scales", worker.On(s.weigh))
	h := workertest.NewEnv(t, w)
	queue, dead, seen := topology.QueueName("scales"), topology.DeadQueueName("scales"), "depot.seen"
	h.ApplyTopology(topology.Topology{
		Queues:   []topology.QueueSpec{{Name: seen, Arguments: map[string]any{"x-queue-type": "quorum"}}},
		Bindings: []topology.BindingSpec{{Exchange: topology.Events, Queue: seen, RoutingKey: crateKey}},
	})
	end := h.StartFleet(w)
	logged, straight := crate(t, uuid.NewString()), crate(t, uuid.NewString())
	h.Admit(logged)
	h.Send(rabbitmq.Message{Exchange: topology.Events, RoutingKey: crateKey, ID: straight.ID.String(), Type: string(straight.Type), Body: straight.Body})
	bodies := map[string]string{logged.ID.String(): string(logged.Body), straight.ID.String(): string(straight.Body)}
	same := func(where string, all []rabbitmq.Delivery) {
		t.Helper()
		for _, d := range all {
			if string(d.Body) != bodies[d.ID] {
				t.Errorf("%s has\n%s\npublished was\n%s", where, d.Body, bodies[d.ID])
			}
		}
	}
	h.Eventually("both are dead letters", func() bool { return h.Depth(dead) == 2 })
	same("another program's queue", h.Receive(seen, 2))
	s.mu.Lock()
	s.repaired = true
	s.mu.Unlock()
	cfg := deadletters.Config{DB: h.DB, Broker: h.Broker}
	report, err := cfg.Redrive(t.Context(), deadletters.Redrive{
		Queue: deadletters.Queue{Worker: "scales", TracksInbox: true}, Pace: deadletters.Pace{Steps: []int{0}, Timeout: localtest.Deadline(20 * time.Second)},
	})
	if err != nil || report.Handled != 2 {
		t.Errorf("the redrive: %+v, %v", report, err)
	}
	h.Eventually("both are weighed", s.has(logged.ID, straight.ID))
	for id, body := range bodies {
		// The log has what came through it. What came straight is the worker intake's to log.
		if in := storetest.Value[string](t, h.URL, `SELECT coalesce(max(body), '') FROM event_log WHERE event_id = $1`, id); in != "" && in != body {
			t.Errorf("the log has\n%s\npublished was\n%s", in, body)
		}
	}
	end()
	lost := crate(t, uuid.NewString())
	bodies[lost.ID.String()] = string(lost.Body)
	h.AdmitPublished(lost)
	again, err := republish.Run(t.Context(), republish.Config{DB: h.DB, Broker: h.Broker, Queues: map[string]string{"scales": queue}})
	if err != nil || again.Published() != 1 {
		t.Errorf("republished: %+v, %v", again, err)
	}
	h.Eventually("the lost one is there", func() bool { return h.Depth(queue) == 1 })
	h.RunWorker(w, 1)
	h.Eventually("the lost one is weighed", s.has(lost.ID))
}
