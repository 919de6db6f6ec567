package worker_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// traced is a sale with a trace of its own, whose id is n, and with a text that no log line has a reason for.
func traced(t testing.TB, n int, location string) event.Any {
	return workertest.Event(t, event.SaleCompleted{
		SaleID: payloadText, ItemID: "cup", LocationID: location, Quantity: event.NewDecimal(1), Amount: event.NewDecimal(1), Timestamp: workertest.Day,
	}, func(env *event.Envelope) {
		env.Metadata.Traceparent = fmt.Sprintf("00-%032x-00f067aa0ba902b7-01", n)
	})
}

const payloadText = "only-the-payload-has-this"

// aboutEvent are the keys of a line about an event. With another value than one word it would be quoted.
var aboutEvent = regexp.MustCompile(` event=([0-9a-f-]{36}) type=SALE_COMPLETED queue=composerp[.]echo attempt=([1-9]) trace=0{24}([0-9a-f]{8})( |$)`)

// Every line about an event says which one, of what type and in what queue, its attempt and its trace, and nothing of
// its payload: retried, dead, rejected, deferred and quarantined.
func TestLinesAboutAnEventSayWhichOne(t *testing.T) {
	t.Parallel()
	retried, rejected, deferred := traced(t, 1, "shop"), traced(t, 2, "shop"), traced(t, 3, "shop")
	away := errors.New("no answer")
	seen := &tries{}
	w := echoing(seen, func(_ context.Context, events []event.Any) error {
		switch {
		case contains(events, retried):
			return errors.New("no cup is left")
		case contains(events, rejected):
			return worker.Reject(errors.New("it is no cup"))
		case contains(events, deferred) && seen.of(deferred) < 4:
			return worker.Unavailable("potter", away, time.Millisecond)
		}
		return nil
	}, worker.Quarantine(1, time.Hour))
	h := newEnv(t, w)
	h.StartTicker()
	h.StartRelay()
	r := h.RunWorker(w, 1)
	h.Admit(retried, rejected, deferred)
	h.Eventually("two are dead and one is handled", func() bool { return h.Depth(topology.DeadQueueName("echo")) == 2 && r.Messages("handled") == 1 })
	h.Eventually("both deaths are logged", func() bool {
		return r.Logs.Has(retried.ID.String(), "outcome=quarantined") && r.Logs.Has(rejected.ID.String(), "outcome=dead")
	})
	lines := map[string]int{}
	for _, line := range r.Logs.Lines() {
		if strings.Contains(line, payloadText) {
			t.Errorf("a payload is logged: %s", line)
		}
		for n, e := range []event.Any{retried, rejected, deferred} {
			if !strings.Contains(line, e.ID.String()) {
				continue
			}
			said := aboutEvent.FindStringSubmatch(line)
			if said == nil || said[1] != e.ID.String() || said[3] != fmt.Sprintf("%08x", n+1) {
				t.Errorf("want event, type, queue, attempt and trace of the event in: %s", line)
				continue
			}
			lines[said[1]+" "+said[2]]++
		}
	}
	for key, least := range map[string]int{retried.ID.String() + " 1": 1, rejected.ID.String() + " 1": 1, deferred.ID.String() + " 1": 2} {
		if lines[key] < least {
			t.Errorf("want at least %d lines about %s, got %v in\n%s", least, key, lines, r.Logs)
		}
	}
}
