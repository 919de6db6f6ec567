package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// written is a row of the failure log, as JSON has it.
type written struct {
	Consumer, Event_ID, Message_ID, Type, Version, Error, Fingerprint, Class, Dependency, Outcome string
	Attempt                                                                                       int
	Failed_At                                                                                     time.Time
}

// failureLog is what the failure log holds, in the order of writing.
func (h *env) failures() (rows []written) {
	h.Helper()
	h.Must(json.Unmarshal([]byte(storetest.Value[string](h, h.URL, `SELECT coalesce(json_agg(f ORDER BY id), '[]') FROM failure f`)), &rows))
	return rows
}

func TestEveryFailedTryIsWrittenDown(t *testing.T) {
	t.Parallel()
	seen := &tries{}
	e := workertest.Sale(t, "cup", "shop", "1")
	w := echoing(seen, func(context.Context, []event.Any) error {
		return fmt.Errorf("no cup is left\x00 at try %d", seen.of(e))
	}, worker.RetryDelays(retryDelay, 2*retryDelay))
	h := newEnv(t, w)
	h.RunWorker(w, 1)
	h.Publish(e)
	dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]
	rows := h.failures()
	if len(rows) != 3 {
		t.Fatalf("want a row a try, got %+v", rows)
	}
	for i, r := range rows {
		outcome := failures.OutcomeRetried
		if i == 2 {
			outcome = failures.OutcomeDead
		}
		if r.Consumer != "echo" || r.Event_ID != e.ID.String() || r.Message_ID != dead.ID || r.Type != "SALE_COMPLETED" || r.Version != e.Version || r.Attempt != i+1 ||
			r.Error != fmt.Sprintf("no cup is left\uFFFD at try %d", i+1) || r.Fingerprint != rows[0].Fingerprint || r.Class != rows[0].Class || r.Class == "" || r.Outcome != string(outcome) {
			t.Errorf("try %d is written down as %+v", i+1, r)
		}
		if time.Since(r.Failed_At).Abs() > time.Minute {
			t.Errorf("try %d is of %s", i+1, r.Failed_At)
		}
	}
	if f := dead.Failure(); f.FirstError != "no cup is left\x00 at try 1" || f.Error != "no cup is left\x00 at try 3" {
		t.Errorf("the message says %+v", f)
	}
}

// Nothing leaves a worker's queue before it is in the failure log: while that cannot be written the message
// is kept.
func TestAFailureThatCannotBeWrittenDownIsKeptInHand(t *testing.T) {
	t.Parallel()
	seen := &tries{}
	e := workertest.Sale(t, "cup", "shop", "1")
	w := echoing(seen, failing(e, errors.New("no")), worker.RetryDelays())
	h := newEnv(t, w)
	storetest.Exec(t, h.URL, "ALTER TABLE failure RENAME TO failure_away")
	r := h.RunWorker(w, 1)
	h.Publish(e)
	h.Eventually("the slot pauses", func() bool { return r.Metric("composerp_worker_paused_slots") == 1 })
	if n := h.Depth(topology.DeadQueueName("echo")); n != 0 || r.Messages("dead") != 0 {
		t.Errorf("%d messages went on without a row", n)
	}
	storetest.Exec(t, h.URL, "ALTER TABLE failure_away RENAME TO failure")
	dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]
	if rows := h.failures(); len(rows) != 1 || dead.Failure().Attempt != 1 || seen.of(e) != 1 || dead.DeliveryCount != 0 {
		t.Errorf("want one try and one row, got %d tries, %+v", seen.of(e), rows)
	}
}

// A row that only the failure log refuses holds up no queue.
func TestAFailureThatCannotBeRecordedIsLogged(t *testing.T) {
	t.Parallel()
	e := workertest.Sale(t, "cup", "shop", "1")
	w := echoing(&tries{}, failing(e, errors.New("no")), worker.RetryDelays())
	h := newEnv(t, w)
	storetest.Exec(t, h.URL, "ALTER TABLE failure ADD CONSTRAINT refused CHECK (error <> 'no')")
	r := h.RunWorker(w, 1)
	h.Publish(e)
	h.Receive(topology.DeadQueueName("echo"), 1)
	if !r.Logs.Has("ERROR a failure can not be recorded") {
		t.Error("it is not logged")
	}
}

// After the row is written and before the broker has the copy everything may be lost: the message comes again at the
// same attempt, and its try is the same row.
func TestAnAttemptThatFailsTwiceIsOneRow(t *testing.T) {
	t.Parallel()
	seen := &tries{}
	e := workertest.Sale(t, "cup", "shop", "1")
	w := echoing(seen, func(context.Context, []event.Any) error {
		if seen.of(e) > 1 {
			return errors.New("still no")
		}
		return errors.New("no")
	}, worker.Quarantine(2, time.Hour))
	h := newEnv(t, w)
	h.DeleteQueue(topology.RetryQueueName("echo", retryDelay))
	line := workertest.NewLink(h, h.Broker.URLs[0])
	direct := h.Broker
	h.Broker.URLs = []string{line.URL}
	r := h.RunWorker(w, 1)
	h.Broker = direct
	h.Publish(e)
	for i := range 2 {
		h.Eventually("the try is written down", func() bool { return seen.of(e) > i && len(h.failures()) == 1 })
		line.Cut()
	}
	h.Eventually("it was tried three times", func() bool { return seen.of(e) >= 3 })
	h.Apply(w)
	dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]
	rows := h.failures()
	if len(rows) != 2 || rows[0].Attempt != 1 || rows[0].Error != "still no" || rows[1].Attempt != 2 || dead.Failure().Attempt != 2 {
		t.Errorf("want a row an attempt, the last word in each, got %+v", rows)
	}
	h.Eventually("it is counted", func() bool { return r.Messages("dead") == 1 })
	if r.Messages("quarantined") != 0 {
		t.Error("one event has filled a class of two")
	}
}

// Of a class of events that fail, those after the first few are quarantined at once, and those in retry queues at their
// next failure; everything else flows. Released, it begins anew.
func TestAClassOfFailingEventsIsQuarantined(t *testing.T) {
	t.Parallel()
	const bad, good, k = 20, 30, 5
	seen := &tries{}
	w := worker.New("echo", worker.RetryDelays(retryDelay, 2*retryDelay), worker.Quarantine(k, time.Hour), worker.On(func(_ context.Context, tx *worker.Tx, e event.Of[event.SaleCompleted]) error {
		seen.note([]event.Any{{Envelope: e.Envelope}})
		if strings.HasPrefix(e.Payload.LocationID, "bad") {
			return fmt.Errorf("no %q at %s", e.Payload.ItemID, e.Payload.LocationID)
		}
		return echo(tx, e.Envelope)
	}), worker.Batch(1, 10))
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	h.Publish(salesAt(t, "bad-1", bad)...)
	h.Publish(salesAt(t, "good-1", good)...)
	h.wantEffects(good)
	class := ""
	for _, d := range h.Receive(topology.DeadQueueName("echo"), bad) {
		f := d.Failure()
		if class == "" {
			class = f.Quarantine
		}
		if f.Quarantine == "" || f.Quarantine != class || f.Attempt > 2 {
			t.Errorf("want it held back with its class at its second failure at the latest, got %+v", f)
		}
	}
	h.Eventually("it is counted", func() bool { return r.Messages("quarantined") == bad })
	if n := r.Messages("retried"); n != k-1 || r.Messages("dead") != 0 || len(seen.all()) != good+bad+k-1 {
		t.Errorf("want the first %d retried and none tried more often, got %d and %d tries", k-1, n, len(seen.all()))
	}
	list, err := failures.Quarantined(t.Context(), h.DB, false)
	if err != nil || len(list) != 1 || list[0].Class != class || list[0].Consumer != "echo" || list[0].Type != "SALE_COMPLETED" ||
		list[0].Fingerprint != failures.Fingerprint(`no "cup-1" at bad-1`) || !strings.HasPrefix(list[0].Sample, `no "cup-`) || !strings.HasPrefix(class, "echo-") {
		t.Fatalf("want the class listed, got %+v, %v", list, err)
	}

	_, err = failures.ReleaseQuarantine(t.Context(), h.DB, operatorlog.By{Operator: "ann"}, class)
	h.Must(err)
	h.Publish(salesAt(t, "bad-1", 1)...)
	if f := h.Receive(topology.DeadQueueName("echo"), 1)[0].Failure(); f.Quarantine != "" || f.Attempt != 3 {
		t.Errorf("want it to take all retry delays again, got %+v", f)
	}
	h.Publish(salesAt(t, "bad-2", k)...) // one of them fills the class with the one before
	for _, d := range h.Receive(topology.DeadQueueName("echo"), k) {
		if f := d.Failure(); f.Quarantine != class {
			t.Errorf("want the class to be full again, got %+v", f)
		}
	}
}

// What no retry can help is dead at once by itself, and fills no class.
func TestRejectionsFillNoClass(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, func(context.Context, []event.Any) error { return worker.Reject(errors.New("no")) }, worker.Quarantine(1, time.Hour))
	h := newEnv(t, w)
	h.RunWorker(w, 1)
	h.Publish(sales(t, 3)...)
	for _, d := range h.Receive(topology.DeadQueueName("echo"), 3) {
		if d.Failure().Quarantine != "" {
			t.Errorf("it is held back: %+v", d.Failure())
		}
	}
	for _, row := range h.failures() {
		if row.Class != "" || row.Outcome != "dead" {
			t.Errorf("it is written down as %+v", row)
		}
	}
}

// A failure in doubt is retried like any other, and fills no class.
func TestWhatIsInDoubtFillsNoClass(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, func(context.Context, []event.Any) error { return worker.InDoubt(errors.New("EOF")) }, worker.Quarantine(1, time.Hour))
	h := newEnv(t, w)
	h.RunWorker(w, 1)
	h.Publish(sales(t, 3)...)
	for _, d := range h.Receive(topology.DeadQueueName("echo"), 3) {
		if f := d.Failure(); f.Quarantine != "" || f.Attempt < 2 {
			t.Errorf("it did not take all its retry delays: %+v", f)
		}
	}
}
