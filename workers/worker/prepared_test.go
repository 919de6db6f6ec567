package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// prepared is a worker whose preparation notes the sale's item as low stock,
// counts itself in its sequence and gives what it read.
func prepared(prepare func(tx *worker.Tx, e event.Envelope) error, do func(count int64) (worker.Record, error)) worker.Worker {
	count := int64(0)
	return worker.New("echo", worker.RetryDelays(retryDelay), worker.OnPreparedCall(
		func(ctx context.Context, tx *worker.Tx, sale event.Of[event.SaleCompleted]) (int64, error) {
			count++
			err := stockview.NoteLowStock(ctx, tx, []stockview.LowStock{{
				PositionKey: masterdata.PositionKey{Tenant: sale.TenantID, Item: sale.Payload.ItemID, Location: sale.Payload.LocationID},
				Threshold:   sale.Payload.Quantity, Sequence: count, OccurredAt: sale.Timestamp,
			}})
			return count, errors.Join(err, prepare(tx, sale.Envelope))
		},
		func(_ context.Context, _ event.Of[event.SaleCompleted], count int64) (worker.Record, error) {
			return do(count)
		}))
}

func nothing(*worker.Tx, event.Envelope) error { return nil }

// noted is how often the preparation has run and committed; 0 is never.
func noted(t testing.TB, url string) int {
	return storetest.Value[int](t, url, `SELECT coalesce(max(sequence), 0) FROM low_stock`)
}

func inInbox(t testing.TB, url string) int {
	return storetest.Value[int](t, url, `SELECT count(*) FROM inbox`)
}

func TestAPreparationIsCommittedBeforeTheCall(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 1) // a call made with a transaction open could not look
	sale := workertest.Sale(t, "cup", "shop", "1")
	seen, got := 0, int64(0)
	w := prepared(nothing, func(count int64) (worker.Record, error) {
		seen, got = noted(t, url), count
		return func(_ context.Context, tx *worker.Tx) error { return echo(tx, sale.Envelope) }, nil
	})
	emitted, err := workertest.Handle(t, db, w, sale, sale)
	if err != nil || len(emitted) != 1 || seen != 1 || got != 1 {
		t.Errorf("want one call, after its preparation, with what that gave; got %d events, %d noted, %d handed over, %v", len(emitted), seen, got, err)
	}
	if noted(t, url) != 1 || inInbox(t, url) != 1 {
		t.Errorf("want the second copy to prepare nothing, got %d preparations, %d in the inbox", noted(t, url), inInbox(t, url))
	}
}

func TestNoCallIsDoneAndKnown(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	w := prepared(func(*worker.Tx, event.Envelope) error { return fmt.Errorf("already there: %w", worker.ErrNoCall) },
		func(int64) (worker.Record, error) { t.Error("a call was made"); return nil, nil })
	sale := workertest.Sale(t, "cup", "shop", "1")
	for range 2 {
		if emitted, err := workertest.Handle(t, db, w, sale); err != nil || len(emitted) != 0 {
			t.Fatalf("want it done, got %d events and %v", len(emitted), err)
		}
	}
	if noted(t, url) != 1 || inInbox(t, url) != 1 {
		t.Errorf("want what was prepared and the inbox's row once, got %d and %d", noted(t, url), inInbox(t, url))
	}
}

func TestAFailedPreparationLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		prepare func(*worker.Tx, event.Envelope) error
		says    string
	}{
		"an error":                    {func(*worker.Tx, event.Envelope) error { return broken }, "broken"},
		"a panic":                     {func(*worker.Tx, event.Envelope) error { panic("broken") }, "broken"},
		"a rejection":                 {func(*worker.Tx, event.Envelope) error { return worker.Reject(broken) }, "broken"},
		"an event":                    {func(tx *worker.Tx, e event.Envelope) error { return echo(tx, e) }, "may emit"},
		"an event, and no call":       {func(tx *worker.Tx, e event.Envelope) error { return errors.Join(echo(tx, e), worker.ErrNoCall) }, "may emit"},
		"an event in a broken moment": {func(tx *worker.Tx, e event.Envelope) error { return errors.Join(echo(tx, e), broken) }, "may emit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.URL(t)
			w := prepared(c.prepare, func(int64) (worker.Record, error) { t.Error("a call was made"); return nil, nil })
			_, err := workertest.Handle(t, storetest.Open(t, url, 2), w, workertest.Sale(t, "cup", "shop", "1"))
			if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, worker.ErrRejected) != (name == "a rejection") {
				t.Errorf("want the verdict %q, got %v", c.says, err)
			}
			if noted(t, url) != 0 || inInbox(t, url) != 0 || storetest.Value[int](t, url, `SELECT count(*) FROM event_log WHERE publish`) != 0 {
				t.Errorf("want nothing of it left, got %d noted, %d in the inbox", noted(t, url), inInbox(t, url))
			}
		})
	}
}

// A call that fails prepares again; what it says of its failure is kept, and the event is not done.
func TestAFailedCallIsWrittenDown(t *testing.T) {
	t.Parallel()
	refused := worker.Reject(errors.New("unknown item"))
	sale := workertest.Sale(t, "cup", "shop", "1")
	note := func(ctx context.Context, tx *worker.Tx) error {
		return stockview.NoteLowStock(ctx, tx, []stockview.LowStock{{PositionKey: masterdata.PositionKey{Tenant: "x", Item: "x", Location: "x"}, Sequence: 7, OccurredAt: sale.Timestamp}})
	}
	for name, c := range map[string]struct {
		record worker.Record
		noted  int
		says   string
	}{
		"nothing":      {nil, 1, "unknown item"},
		"a note":       {note, 7, "unknown item"},
		"a note lost":  {func(context.Context, *worker.Tx) error { return errors.New("no ink") }, 1, "unknown item; recording that: no ink"},
		"a note spilt": {func(context.Context, *worker.Tx) error { panic("no ink") }, 1, "unknown item; recording that: the handler panicked: no ink"},
		"a note and an event": {func(ctx context.Context, tx *worker.Tx) error {
			return errors.Join(note(ctx, tx), echo(tx, sale.Envelope))
		}, 1, "unknown item; recording that: only the record"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.URL(t)
			w := prepared(nothing, func(int64) (worker.Record, error) { return c.record, refused })
			_, err := workertest.Handle(t, storetest.Open(t, url, 2), w, sale)
			if !errors.Is(err, worker.ErrRejected) || !strings.HasPrefix(err.Error(), c.says) {
				t.Errorf("want the rejection, %q, got %v", c.says, err)
			}
			if noted(t, url) != c.noted || inInbox(t, url) != 0 || storetest.Value[int](t, url, `SELECT count(*) FROM event_log WHERE publish`) != 0 {
				t.Errorf("want the note %d and no row in the inbox, got %d and %d", c.noted, noted(t, url), inInbox(t, url))
			}
		})
	}
}

// What a preparation gives may be nothing at all, of an interface's type.
func TestAPreparationMayGiveNil(t *testing.T) {
	t.Parallel()
	called := false
	w := worker.New("echo", worker.OnPreparedCall(
		func(context.Context, *worker.Tx, event.Of[event.SaleCompleted]) (fmt.Stringer, error) {
			return nil, nil
		},
		func(_ context.Context, _ event.Of[event.SaleCompleted], s fmt.Stringer) (worker.Record, error) {
			called = s == nil
			return nil, nil
		}))
	if _, err := workertest.Handle(t, storetest.DB(t), w, workertest.Sale(t, "cup", "shop", "1")); err != nil || !called {
		t.Errorf("want the call made with nil, got %t, %v", called, err)
	}
}

// A preparation and its call, through the broker: retried, prepared anew, recorded once.
func TestAPreparedCallIsRetried(t *testing.T) {
	t.Parallel()
	p := newPartner(t, func(call int) int { return map[int]int{1: 503, 2: 200}[call] })
	sale := workertest.Sale(t, "cup", "shop", "1")
	counts := make(chan int64, 10)
	w := prepared(nothing, func(count int64) (worker.Record, error) {
		counts <- count
		answer, err := http.Post(p.URL, "", nil)
		if err != nil {
			return nil, err
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return nil, errors.New(answer.Status)
		}
		return func(_ context.Context, tx *worker.Tx) error { return echo(tx, sale.Envelope) }, nil
	})
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	h.Publish(sale, sale)
	h.wantEffects(1)
	h.Eventually("both copies are acknowledged", func() bool {
		return r.Messages("handled") == 1 && r.Messages("retried") >= 1 && r.Messages("duplicate") == 1
	})
	if first, second := <-counts, <-counts; first == second || len(p.calls()) < 2 {
		t.Errorf("want each try to prepare anew, got %d and %d in %d calls", first, second, len(p.calls()))
	}
}

// Who asks for time gets the next retryDelay that is long enough, or the longest; and not more tries.
func TestRetryAfterTakesADelayThatIsLongEnough(t *testing.T) {
	t.Parallel()
	delays := []time.Duration{100 * time.Millisecond, time.Hour, 2 * time.Hour}
	for wait, want := range map[time.Duration]time.Duration{
		100 * time.Millisecond: delays[0], 101 * time.Millisecond: delays[1], 24 * time.Hour: delays[2],
	} {
		t.Run(wait.String(), func(t *testing.T) {
			t.Parallel()
			tries := 0
			w := worker.New("echo", worker.RetryDelays(delays...), worker.OnCall(func(context.Context, event.Of[event.SaleCompleted]) (worker.Record, error) {
				if tries++; tries > 1 {
					return nil, worker.Reject(errors.New("that was the next retryDelay"))
				}
				return nil, fmt.Errorf("asking: %w", worker.RetryAfter(errors.New("come back later"), wait))
			}))
			h := newEnv(t, w)
			h.RunWorker(w, 1)
			h.Publish(workertest.Sale(t, "cup", "shop", "1"))
			if want == delays[0] {
				if f := h.Receive(topology.DeadQueueName("echo"), 1)[0].Failure(); f.Attempt != 2 || f.Error != "that was the next retryDelay" {
					t.Errorf("want the second try at once, got %+v", f)
				}
				return
			}
			taken := h.Receive(topology.RetryQueueName("echo", want), 1)[0]
			if f := taken.Failure(); f.Error != "asking: come back later" || f.Attempt != 1 || taken.Attempt() != 1 {
				t.Errorf("want the reason and one attempt, got %+v", f)
			}
			others := slices.DeleteFunc(slices.Clone(delays), func(d time.Duration) bool { return d == want })
			for _, d := range others {
				if n := h.Depth(topology.RetryQueueName("echo", d)); n != 0 {
					t.Errorf("want nothing on the retryDelay of %s, got %d", d, n)
				}
			}
		})
	}
}

// A Retry-After at the last attempt adds none.
func TestRetryAfterAddsNoAttempt(t *testing.T) {
	t.Parallel()
	w := worker.New("echo", worker.RetryDelays(retryDelay), worker.OnCall(func(context.Context, event.Of[event.SaleCompleted]) (worker.Record, error) {
		return nil, worker.RetryAfter(errors.New("come back later"), time.Millisecond)
	}))
	h := newEnv(t, w)
	h.RunWorker(w, 1)
	h.Publish(workertest.Sale(t, "cup", "shop", "1"))
	if f := h.Receive(topology.DeadQueueName("echo"), 1)[0].Failure(); f.Attempt != 2 || f.Error != "come back later" {
		t.Errorf("want two tries and the reason, got %+v", f)
	}
}
