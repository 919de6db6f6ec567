package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestAFailureIsRetriedAndBecomesADeadLetterWithItsReason(t *testing.T) {
	t.Parallel()
	seen := &tries{}
	poison := workertest.Sale(t, "cup", "shop", "1")
	w := echoing(seen, failing(poison, errors.New("no cup is left")), worker.RetryDelays(retryDelay, 2*retryDelay))
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	h.Publish(poison)
	dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]
	if n := seen.of(poison); n != 3 {
		t.Errorf("want three tries for two retry delays, got %d", n)
	}
	f := dead.Failure()
	if f.Worker != "echo" || f.Error != "no cup is left" || f.Attempt != 3 {
		t.Errorf("want the reason of the third try, got %+v", f)
	}
	if f.OriginalExchange != topology.Events || f.OriginalRoutingKey != "integration.sale_completed" || !f.LastFailedAt.After(f.FirstFailedAt) {
		t.Errorf("want where it came from and when it failed first and last, got %+v", f)
	}
	if dead.ID != poison.ID.String() || string(dead.Body) != string(poison.Body) || dead.Headers["x-death"] != nil {
		t.Errorf("want the message as it was, without the broker's account, got %+v", dead.Message)
	}
	h.Eventually("the death is counted, which it is once the broker's confirm has come", func() bool { return r.Messages("dead") == 1 })
	if r.Messages("retried") != 2 || r.Messages("handled") != 0 {
		t.Errorf("want 2 retried and none handled, got %d and %d", r.Messages("retried"), r.Messages("handled"))
	}
	h.wantEffects(0)
	if n := storetest.Value[int](t, h.URL, `SELECT count(*) FROM inbox`); n != 0 {
		t.Errorf("want no row in the inbox, got %d", n)
	}
}

func TestWhatFailsOnceIsHandledAtItsSecondTry(t *testing.T) {
	t.Parallel()
	seen := &tries{}
	e := workertest.Sale(t, "cup", "shop", "1")
	w := echoing(seen, func(context.Context, []event.Any) error {
		if seen.of(e) == 1 {
			return errors.New("not yet")
		}
		return nil
	})
	h := newEnv(t, w)
	h.RunWorker(w, 1)
	h.Publish(e)
	h.wantEffects(1)
	if id := storetest.Value[string](t, h.URL, `SELECT event_id FROM event_log WHERE publish`); id != event.DeriveID("echo", e.ID, 0).String() {
		t.Errorf("want the id that the first try gave, got %s", id)
	}
}

func TestOnePoisonAmongManyFailsAlone(t *testing.T) {
	t.Parallel()
	events := sales(t, 200)
	poison := events[77]
	for name, outcome := range map[string]func(context.Context, []event.Any) error{
		"an error":    failing(poison, errors.New("no")),
		"a rejection": failing(poison, worker.Reject(errors.New("no"))),
		"a panic": func(_ context.Context, batch []event.Any) error {
			if slices.ContainsFunc(batch, func(e event.Any) bool { return e.ID == poison.ID }) {
				panic("no")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := &tries{}
			w := echoing(seen, outcome)
			h := newEnv(t, w)
			h.Publish(events...)
			r := h.RunWorker(w, 1)
			dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]
			h.wantEffects(len(events) - 1)
			if dead.ID != poison.ID.String() || !strings.Contains(dead.Failure().Error, "no") {
				t.Errorf("want the poison with its reason, got %s: %s", dead.ID, dead.Failure().Error)
			}
			tries, retried := 3, 1 // in the batch, alone, and alone again after the retryDelay
			if name == "a rejection" {
				tries, retried = 2, 0
			}
			h.Eventually("the death is counted", func() bool { return r.Messages("dead") == 1 })
			again := r.Logs.Has("a transaction was broken off") // a busy server breaks one off now and then
			if n := seen.of(poison); n != tries && !(again && n > tries) || r.Messages("retried") != retried || r.Messages("dead") != 1 {
				t.Errorf("want %d tries, %d retried, 1 dead, got %d, %d, %d:\n%s", tries, retried, n, r.Messages("retried"), r.Messages("dead"), r.Logs)
			}
		})
	}
}

func TestWhatCannotBeReadDiesAtOnce(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, nil)
	h := newEnv(t, w)
	good := func() rabbitmq.Message { return workertest.Delivery(workertest.Sale(t, "cup", "shop", "1")).Message }
	with := func(change func(m *rabbitmq.Message)) rabbitmq.Message {
		m := good()
		change(&m)
		return m
	}
	replace := func(old, by string) func(m *rabbitmq.Message) {
		return func(m *rabbitmq.Message) { m.Body = []byte(strings.Replace(string(m.Body), old, by, 1)) }
	}
	bad := map[string]rabbitmq.Message{
		"line 1":             with(func(m *rabbitmq.Message) { m.Body = []byte("{") }),
		"payload.quantity":   with(replace(`"quantity":1`, `"quantity":"1"`)),
		"payload.itemId":     with(replace(`"itemId":"cup"`, `"itemId":"`+strings.Repeat("x", 65)+`"`)),
		"payload.locationId": with(replace(`"locationId":"shop",`, ``)),
		"SALE_COMPLTED":      with(func(m *rabbitmq.Message) { m.Type = ""; replace("SALE_COMPLETED", "SALE_COMPLTED")(m) }),
		"type property":      with(func(m *rabbitmq.Message) { m.Type = "STOCK_COUNTED" }),
		"does not subscribe": with(func(m *rabbitmq.Message) {
			*m = workertest.Delivery(workertest.Count(t, "cup", "shop", "1")).Message
			m.RoutingKey = "integration.sale_completed"
		}),
		"eventId":                 with(replace(`"eventId":"`, `"eventId":"no uuid `)),
		"invalid UTF-8":           with(replace(`"shop"`, "\"sh\xffop\"")),
		"want a number, got null": with(replace(`"quantity":1`, `"quantity":null`)),
		"the same key twice":      with(replace(`"quantity":1`, `"quantity":1,"quantity":2`)),
	}
	var messages []rabbitmq.Message
	for _, m := range bad {
		messages = append(messages, m, good())
	}
	h.Send(messages...)
	r := h.RunWorker(w, 1)
	dead := h.Receive(topology.DeadQueueName("echo"), len(bad))
	h.wantEffects(len(bad))
	h.Eventually("the deaths are counted", func() bool { return r.Messages("dead") == len(bad) })
	if r.Messages("retried") != 0 {
		t.Errorf("want none retried, got %d", r.Messages("retried"))
	}
	for reason, m := range bad {
		i := slices.IndexFunc(dead, func(d rabbitmq.Delivery) bool { return string(d.Body) == string(m.Body) })
		if i < 0 {
			t.Errorf("%s: not among the dead", reason)
		} else if f := dead[i].Failure(); f.Attempt != 1 {
			t.Errorf("%s: want one attempt, got %d", reason, f.Attempt)
		} else {
			t.Logf("%s: %s", reason, f.Error)
			if reason != "the same key twice" && reason != "invalid UTF-8" && !strings.Contains(f.Error, reason) {
				t.Errorf("want a reason that says %q, got %q", reason, f.Error)
			}
		}
	}
}

func TestHowAMessageCameDoesNotMatter(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, nil)
	h := newEnv(t, w)
	moved, untyped := workertest.Delivery(workertest.Sale(t, "cup", "shop", "1")).Message, workertest.Delivery(workertest.Sale(t, "cup", "shop", "1")).Message
	// The management UI publishes by hand with the queue's name for a key, and keeps no properties.
	moved.Exchange, moved.RoutingKey = "", topology.QueueName("echo")
	untyped.Type, untyped.Headers = "", map[string]any{"x-death": "nonsense", rabbitmq.HeaderAttempt: "nonsense"}
	h.Send(moved, untyped)
	r := h.RunWorker(w, 1)
	h.wantEffects(2)
	if r.Messages("dead")+r.Messages("retried") != 0 {
		t.Errorf("want neither retried nor dead")
	}
}

func TestAMessageWithoutAnID(t *testing.T) {
	t.Parallel()
	e, garbage := workertest.Sale(t, "cup", "shop", "1"), []byte("garbage")
	seen := &tries{}
	w := echoing(seen, func(context.Context, []event.Any) error {
		if seen.of(e) == 1 {
			return errors.New("not yet")
		}
		return nil
	})
	h := newEnv(t, w)
	h.publishByHand(e.Body)
	h.publishByHand(garbage)
	h.RunWorker(w, 1)
	h.wantEffects(1)
	if dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]; string(dead.Body) != string(garbage) || dead.ID == "" {
		t.Errorf("want the garbage, with an id, got %q of id %q", dead.Body, dead.ID)
	}
}

// A stranger may write whatever he likes into our headers.
func TestForgedAttemptsAreAttempts(t *testing.T) {
	t.Parallel()
	for _, attempt := range []int64{-1, -1 << 62, 99} {
		t.Run(fmt.Sprint(attempt), func(t *testing.T) {
			t.Parallel()
			e := workertest.Sale(t, "cup", "shop", "1")
			w := echoing(&tries{}, failing(e, errors.New("no")))
			h := newEnv(t, w)
			m := workertest.Delivery(e).Message
			m.Headers = map[string]any{rabbitmq.HeaderAttempt: attempt}
			h.Send(m)
			h.RunWorker(w, 1)
			h.Receive(topology.DeadQueueName("echo"), 1)
		})
	}
}

func TestALargeMessageDiesLikeAnyOther(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, nil)
	h := newEnv(t, w)
	body := []byte(`{"eventId":"` + strings.Repeat("x", event.MaxBody) + `"}`)
	h.publishByHand(body)
	h.Publish(workertest.Sale(t, "cup", "shop", "1"))
	h.RunWorker(w, 1)
	h.wantEffects(1)
	if dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]; len(dead.Body) != len(body) {
		t.Errorf("want all %d bytes, got %d", len(body), len(dead.Body))
	}
}

// Without its retry queue a failed message stays in hand, with a warning, and goes to
// the queue once there is one.
func TestAFailureWaitsForAMissingRetryQueue(t *testing.T) {
	t.Parallel()
	e := workertest.Sale(t, "cup", "shop", "1")
	seen := &tries{}
	w := echoing(seen, failing(e, errors.New("no")))
	h := newEnv(t, w)
	h.DeleteQueue(topology.RetryQueueName("echo", retryDelay))
	r := h.RunWorker(w, 1)
	h.Publish(e)
	h.Eventually("it is logged as an error", func() bool {
		return r.Logs.Has("ERROR the broker does not take a failed message")
	})
	h.Apply(w)
	dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]
	if seen.of(e) != 2 || dead.Failure().Attempt != 2 || dead.DeliveryCount != 0 {
		t.Errorf("want two tries and none lost, got %d, attempt %d", seen.of(e), dead.Failure().Attempt)
	}
}
