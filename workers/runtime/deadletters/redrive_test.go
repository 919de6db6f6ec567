package deadletters_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

var errNoCup = errors.New("no cup is left")

func TestWhatIsRedrivenIsHandledOnceAndMarked(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	events := p.die(300, errNoCup)
	h := p.work(handlesAll)
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast})
	storetest.Must(t, err)
	if report.Redriven != 300 || report.Handled != 300 || report.Failed+report.Waiting+report.Absent+report.Missed+len(report.Refused) != 0 || report.Idle || report.Stopped {
		t.Errorf("the report is %+v", report)
	}
	effects, got := h.all()
	if len(effects) != 300 || len(got) != 300 {
		t.Errorf("%d effects of %d messages", len(effects), len(got))
	}
	for i, d := range got {
		if d.ID != events[i].ID.String() {
			t.Fatalf("at %d came %s, not %s", i, d.ID, events[i].ID)
		}
		if times, _ := d.Redriven(); times != 1 || d.Attempt() != 0 || d.Headers[rabbitmq.HeaderError] != nil || d.Headers[rabbitmq.HeaderDiedOf] != errNoCup.Error() {
			t.Fatalf("it came with %v", d.Headers)
		}
	}
	if n := p.Depth(topology.QueueName("stockview")); n != 0 {
		t.Errorf("another worker got %d messages", n)
	}
	p.Eventually("the letters are gone", func() bool { return p.Depth(deadQueue) == 0 })
	if n := p.count(`SELECT count(*) FROM dead_letter WHERE redriven_at IS NOT NULL AND redrives = 1 AND NOT lies`); n != 300 {
		t.Errorf("%d letters are marked", n)
	}
}

func TestRedriveOfSomeKeepsTheOrderOfTheRest(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	events := p.die(1000, errNoCup)
	var wanted, rest []string
	for i, id := range idsOf(events) {
		if i%20 == 7 {
			wanted = append(wanted, id)
			continue
		}
		rest = append(rest, id)
	}
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast, Filter: failures.LetterFilter{IDs: wanted}})
	storetest.Must(t, err)
	if report.Redriven != len(wanted) || report.Seen != 1000 || !report.Idle || report.Waiting != len(wanted) {
		t.Errorf("the report is %+v", report)
	}
	p.Eventually("the rest is back", func() bool { return p.Depth(deadQueue) == len(rest) })
	if got := p.ids(deadQueue); !slices.Equal(got, rest) {
		t.Error("the rest has another order")
	}
	if got := p.ids(ledgerQueue); !slices.Equal(got, wanted) {
		t.Errorf("put back were %v", got)
	}
}

func TestALimitTakesTheFirst(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	events := p.die(20, errNoCup)
	for i, limit := range []int{3, 4} {
		report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast, Limit: limit})
		storetest.Must(t, err)
		if report.Redriven != limit {
			t.Errorf("the %d. time %d were put back", i+1, report.Redriven)
		}
	}
	p.Eventually("the rest is back", func() bool { return p.Depth(deadQueue) == 13 })
	if !slices.Equal(p.ids(ledgerQueue), idsOf(events[:7])) || !slices.Equal(p.ids(deadQueue), idsOf(events[7:])) {
		t.Error("not the first were put back")
	}
}

// Killed between the confirmation and the acknowledgement: the letter is pending
// and a copy is on its way. That is how it looks, whichever of the two lines of
// the log was written.
func TestAKilledRedriveMakesCopiesAndOneEffect(t *testing.T) {
	t.Parallel()
	for name, marked := range map[string]bool{"before the mark": false, "after the mark": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newEnv(t)
			events := p.die(10, errNoCup)
			var copies []rabbitmq.Message
			for _, e := range events[:4] {
				d := rabbitmq.Delivery{Message: dead(e, ledger, errNoCup)}
				copies = append(copies, rabbitmq.RedriveMessage(d, ledger))
			}
			p.Send(copies...)
			if marked {
				p.count(`WITH m AS (UPDATE dead_letter SET redriven_at = now(), redrives = 1 WHERE event_id = ANY ($1::uuid[]) RETURNING 1) SELECT count(*) FROM m`,
					"{"+strings.Join(idsOf(events[:4]), ",")+"}")
			}
			h := p.work(handlesAll)
			report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast})
			storetest.Must(t, err)
			p.Eventually("all copies are taken", func() bool { _, got := h.all(); return len(got) == 14 })
			effects, _ := h.all()
			for id, n := range effects {
				if n != 1 {
					t.Errorf("%s was handled %d times", id, n)
				}
			}
			if len(effects) != 10 || report.Redriven != 10 || report.Handled != 10 {
				t.Errorf("%d effects; %+v", len(effects), report)
			}
			if n := p.count(`SELECT count(*) FROM dead_letter WHERE lies`); n != 0 {
				t.Errorf("%d letters are counted as pending", n)
			}
		})
	}
}

func TestRedriveStopsWhenItFailsAgain(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	events := p.die(200, errNoCup)
	p.work(func(d rabbitmq.Delivery) error {
		if strings.HasSuffix(d.ID, "0") || d.Attempt() == 0 {
			return errors.New(`item "` + d.ID + `": no cup is left`)
		}
		return nil
	})
	pace := deadletters.Pace{Steps: []int{20, 1000}, Step: 200 * time.Millisecond, Timeout: localtest.Deadline(20 * time.Second)}
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: pace})
	storetest.Must(t, err)
	if !report.Stopped || report.Redriven > 20 || report.Failed < 3 || report.Handled != 0 {
		t.Errorf("the report is %+v", report)
	}
	if len(report.Failures) != 1 || report.Failures[0].Count != report.Failed || report.Failures[0].Fingerprint == "" || !strings.Contains(report.Failures[0].Error, "no cup") {
		t.Errorf("the failures are %+v", report.Failures)
	}
	p.Eventually("the rest is back", func() bool { return p.Depth(deadQueue) == 200-report.Redriven })
	if got := p.ids(deadQueue); !slices.Equal(got, idsOf(events[report.Redriven:])) {
		t.Error("the rest has another order")
	}
}

func TestAFewFailuresDoNotStopIt(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	events := p.die(60, errNoCup)
	bad := map[string]bool{}
	for i := 0; i < 60; i += 10 {
		bad[events[i].ID.String()] = true
	}
	p.work(func(d rabbitmq.Delivery) error {
		if bad[d.ID] {
			return errNoCup
		}
		return nil
	})
	pace := deadletters.Pace{Steps: []int{100}, Timeout: localtest.Deadline(20 * time.Second)}
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: pace})
	storetest.Must(t, err)
	if report.Stopped || report.Failed != 6 || report.Handled != 54 {
		t.Errorf("the report is %+v", report)
	}
}

func TestAnInterruptedRedriveGoesOn(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	events := p.die(100, errNoCup)
	h := p.work(handlesAll)
	ctx, interrupt := context.WithCancel(t.Context())
	first, err := p.cfg.Redrive(ctx, deadletters.Redrive{
		Queue: queue, Pace: deadletters.Pace{Steps: []int{50}, Timeout: localtest.Deadline(time.Second)},
		Progress: func(now deadletters.Progress) {
			if now.Done >= 10 {
				interrupt()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || first.Redriven < 10 || first.Redriven > 60 {
		t.Fatalf("it ends with %v and %+v", err, first)
	}
	p.Eventually("the rest is back", func() bool { return p.Depth(deadQueue) == 100-first.Redriven })
	if got := p.ids(deadQueue); !slices.Equal(got, idsOf(events[first.Redriven:])) {
		t.Error("the rest has another order")
	}
	second, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast})
	storetest.Must(t, err)
	effects, got := h.all()
	if first.Redriven+second.Redriven != 100 || len(got) != 100 || len(effects) != 100 {
		t.Errorf("%d and %d were put back, %d came", first.Redriven, second.Redriven, len(got))
	}
}

// Letters may not be held for longer than the broker's consumer timeout.
func TestALongRedriveWalksAgain(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	p.cfg.WalkTime = 50 * time.Millisecond
	events := p.die(700, errNoCup)
	var wanted []string
	for i := 0; i < 700; i += 35 {
		wanted = append(wanted, events[i].ID.String())
	}
	p.work(func(d rabbitmq.Delivery) error { return errRejected }) // they come back to the queue meanwhile
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{
		Queue: queue, Pace: deadletters.Pace{Steps: []int{50}, Timeout: localtest.Deadline(20 * time.Second)}, StopAt: 100, Filter: failures.LetterFilter{IDs: wanted},
	})
	storetest.Must(t, err)
	if report.Redriven != 20 || report.Failed != 20 {
		t.Errorf("the report is %+v", report)
	}
}

// A walk that comes upon nothing new in its time gets more.
func TestAWalkGetsTheTimeItNeeds(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	p.cfg.WalkTime = 1
	p.die(3, errNoCup)
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast})
	storetest.Must(t, err)
	if report.Redriven != 3 || report.Seen != 3 {
		t.Errorf("the report is %+v", report)
	}
}

// Who put a letter back before had a clock of his own.
func TestALetterFromALaterTimeIsPutBack(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	m := dead(p.sale("acme", "1"), ledger, errNoCup)
	m.Headers[rabbitmq.HeaderRedriven], m.Headers[rabbitmq.HeaderRedrivenAt] = int64(1), time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
	p.Send(m)
	h := p.work(func(rabbitmq.Delivery) error { return errRejected })
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast, StopAt: 100})
	storetest.Must(t, err)
	if _, got := h.all(); report.Redriven != 1 || report.Failed != 1 || len(got) != 1 {
		t.Errorf("it came %d times, and the report is %+v", len(got), report)
	}
}

func TestNoOtherConsumerMayTakeFromTheQueue(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	p.die(3, errNoCup)
	other, err := p.Session().Consume(deadQueue, "shovel", 1)
	storetest.Must(t, err)
	if _, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast}); !errors.Is(err, deadletters.ErrBusy) {
		t.Errorf("beside another it says %v", err)
	}
	storetest.Must(t, other.Close())
	p.Eventually("the other is gone", func() bool { _, n, err := p.Session().Depth(deadQueue); return err == nil && n == 0 })
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast})
	storetest.Must(t, err)
	if report.Redriven != 3 {
		t.Errorf("then %+v", report)
	}
}

// A worker's queue that is not there takes nothing: the letter stays, and it is said.
func TestWithoutAQueueToGoToLettersStay(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	events := p.die(5, errNoCup)
	p.DeleteQueue(ledgerQueue)
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast})
	if !errors.Is(err, rabbitmq.ErrUnroutable) || report.Redriven != 0 {
		t.Errorf("it says %v, %+v", err, report)
	}
	p.Eventually("all is back", func() bool { return p.Depth(deadQueue) == 5 })
	if !slices.Equal(p.ids(deadQueue), idsOf(events)) || p.count(`SELECT count(*) FROM dead_letter WHERE lies`) != 5 {
		t.Error("something has left")
	}
}

// The message that the log lacks is recorded, and one that was moved by hand is reported as missing.
func TestTheLogIsReconciled(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	p.die(4, errNoCup)
	p.count(`WITH gone AS (DELETE FROM dead_letter WHERE aggregate_id = '1' RETURNING 1) SELECT count(*) FROM gone`)
	p.count(`WITH ghost AS (INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at, recorded_at)
		SELECT gen_random_uuid(), consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at, now() - interval '1 hour'
		FROM dead_letter WHERE aggregate_id = '2' RETURNING 1) SELECT count(*) FROM ghost`)
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast, Filter: failures.LetterFilter{Aggregate: "1"}})
	storetest.Must(t, err)
	if report.Redriven != 1 || report.Missed != 1 {
		t.Errorf("the report is %+v", report)
	}
	if lying, missed := p.count(`SELECT count(*) FROM dead_letter WHERE lies`), p.count(`SELECT count(*) FROM dead_letter WHERE missed_at IS NOT NULL`); lying != 3 || missed != 1 {
		t.Errorf("%d are pending, %d are missing", lying, missed)
	}
}

// The broker may forget acknowledgements of a channel that ends; then what was
// put back is there again. It is taken out, and not put back twice.
func TestWhatIsThereAgainIsOnlyTakenOut(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	e := p.sale("acme", "1")
	letter := dead(e, ledger, errNoCup)
	p.Send(letter, dead(p.sale("acme", "2"), ledger, errors.New("another")))
	again := false
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{
		Queue: queue, Pace: deadletters.Pace{Steps: []int{0}}, Filter: failures.LetterFilter{Error: "cup"},
		Progress: func(now deadletters.Progress) {
			if now.Done == 1 && !again {
				again = true
				p.Send(letter)
			}
		},
	})
	storetest.Must(t, err)
	p.Eventually("the other is back", func() bool { return p.Depth(deadQueue) == 1 })
	if n := p.Depth(ledgerQueue); report.Redriven != 1 || n != 1 {
		t.Errorf("%d were put back, the worker has %d", report.Redriven, n)
	}
	if n := p.count(`SELECT count(*) FROM dead_letter WHERE lies`); n != 1 {
		t.Errorf("%d letters are counted as pending", n)
	}
}

// An event that the log holds keeps its time: with another one it is refused, whether it came through the log or was
// admitted from outside. With the body that the log holds it goes back, so that --all reaches every worker.
func TestAnEventOfTheLogKeepsItsTime(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	events := p.die(3, errNoCup)
	at := time.Date(2026, 2, 8, 9, 30, 0, 0, time.UTC)
	right, err := deadletters.Redated(rabbitmq.Message{Body: events[1].Body}, at)
	storetest.Must(t, err)
	same, err := event.Decode(right.Body)
	storetest.Must(t, err)
	p.AdmitPublished(events[0], same)
	for _, force := range []bool{false, true} {
		report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast, Timestamp: at, Force: force, Filter: failures.LetterFilter{IDs: []string{events[0].ID.String()}}})
		storetest.Must(t, err)
		if report.Redriven != 0 || len(report.Refused) != 1 || report.Refused[0].EventID != events[0].ID || !strings.Contains(report.Refused[0].Why, "an id of its own") {
			t.Errorf("with force %v: %+v", force, report)
		}
	}
	rehearsed, err := p.cfg.Rehearse(t.Context(), deadletters.Rehearsal{Queue: queue, Timestamp: at, Try: func(context.Context, rabbitmq.Delivery) (deadletters.Verdict, error) {
		return deadletters.Passes, nil
	}})
	storetest.Must(t, err)
	if rehearsed.Passes != 2 || rehearsed.Fails != 1 || !strings.Contains(rehearsed.Failures[0].Error, "the log holds") {
		t.Errorf("rehearsed: %+v", rehearsed)
	}
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast, Timestamp: at})
	storetest.Must(t, err)
	if report.Redriven != 2 || len(report.Refused) != 1 || p.Depth(ledgerQueue) != 2 {
		t.Errorf("of all: %+v", report)
	}
}

// An event goes back with the business time that is given, in its envelope and its payload, and is the same otherwise.
func TestRedriveWithAnotherTime(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	events := p.die(2, errNoCup)
	at := time.Date(2026, 2, 8, 9, 30, 0, 0, time.UTC)
	only := failures.LetterFilter{IDs: []string{events[1].ID.String()}}
	tried := 0
	_, err := p.cfg.Rehearse(t.Context(), deadletters.Rehearsal{Queue: queue, Filter: only, Timestamp: at, Try: func(_ context.Context, d rabbitmq.Delivery) (deadletters.Verdict, error) {
		e, err := event.DecodeOutside(d.Body)
		storetest.Must(t, err)
		if !e.Timestamp.Equal(at) {
			t.Errorf("it is rehearsed with %s", e.Timestamp)
		}
		tried++
		return deadletters.Passes, nil
	}})
	storetest.Must(t, err)
	_, err = p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: fast, Filter: only, Timestamp: at})
	storetest.Must(t, err)
	back := p.Receive(ledgerQueue, 1)
	e, err := event.DecodeOutside(back[0].Body)
	storetest.Must(t, err)
	sale := e.Payload.(event.SaleCompleted)
	if tried != 1 || e.ID != events[1].ID || !e.Timestamp.Equal(at) || !sale.Timestamp.Equal(at) || sale.SaleID != "1" || e.Metadata != events[1].Metadata {
		t.Errorf("it was rehearsed %d times, and came back as %s", tried, back[0].Body)
	}
}
