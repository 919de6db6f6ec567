package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// potter is a supplier who can be away, and remembers when he was called.
type potter struct {
	*httptest.Server
	away       atomic.Bool
	broken     atomic.Bool // answers 500
	refused    sync.Map    // keys that are always answered 500
	retryAfter string

	mu    sync.Mutex
	calls []time.Time
}

func newPotter(t testing.TB, retryAfter string) *potter {
	t.Helper()
	p := &potter{retryAfter: retryAfter}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.calls = append(p.calls, time.Now())
		p.mu.Unlock()
		if _, always := p.refused.Load(r.Header.Get("Idempotency-Key")); always || p.broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if p.away.Load() {
			w.Header().Set("Retry-After", p.retryAfter)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *potter) called() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// hurried is a pace that leaves the last word to Retry-After.
var hurried = failures.CircuitBackoff{First: 50 * time.Millisecond, Longest: 200 * time.Millisecond, LongestAsked: time.Hour}

// calling is a worker that calls the supplier that a sale's location names, through circuit breakers of its own.
func calling(suppliers map[string]*potter, options ...worker.Option) worker.Worker {
	breakers := &worker.Breakers{Backoff: hurried}
	call := worker.OnCall(func(ctx context.Context, sale event.Of[event.SaleCompleted]) (worker.Record, error) {
		caller := webcall.Caller{Breakers: breakers}
		if _, err := caller.Post(ctx, suppliers[sale.Payload.LocationID].URL, sale.ID.String(), nil); err != nil {
			return nil, err
		}
		return func(_ context.Context, tx *worker.Tx) error { return echo(tx, sale.Envelope) }, nil
	})
	return worker.New("echo", append([]worker.Option{worker.RetryDelays(retryDelay), worker.WithBreakers(breakers), worker.Quarantine(1, time.Hour), call}, options...)...)
}

func salesAt(t testing.TB, location string, n int) []event.Any {
	t.Helper()
	events := make([]event.Any, n)
	for i := range events {
		events[i] = workertest.Sale(t, fmt.Sprintf("cup-%d", i), location, "1")
	}
	return events
}

// An HTTP 500 that lasts makes no dead letter and quarantines nothing; one that stays for one message alone makes that
// message a dead letter.
func TestServerErrorsOfASupplier(t *testing.T) {
	t.Parallel()
	const orders = 14
	supplier := newPotter(t, "")
	supplier.broken.Store(true)
	w := calling(map[string]*potter{"potter": supplier})
	h := newEnv(t, w)
	sales := salesAt(t, "potter", orders)
	supplier.refused.Store(sales[3].ID.String(), true)
	h.Publish(sales...)
	h.RunWorker(w, 2)
	h.Eventually("the circuit was probed some times", func() bool {
		return storetest.Value[int](t, h.URL, `SELECT coalesce(max(failures), 0) FROM dependency`) > 3
	})
	if n := storetest.Value[int](t, h.URL, `SELECT count(*) FROM quarantine`) + h.Depth("composerp.echo.dead"); n != 0 {
		t.Errorf("while it lasts there are %d dead letters and quarantined classes", n)
	}
	supplier.broken.Store(false)
	taken := orders - 1
	h.wantEffects(taken)
	// It may come last of all; then nothing passes any more that shows that it fails alone.
	h.Eventually("the one that fails alone is dead", func() bool {
		if h.Depth("composerp.echo.dead") == 1 {
			return true
		}
		h.Publish(workertest.Sale(t, fmt.Sprint("jar-", taken), "potter", "1"))
		taken++
		h.wantEffects(taken)
		return false
	})
	if d := h.Receive("composerp.echo.dead", 1); d[0].ID != sales[3].ID.String() {
		t.Errorf("message %s is dead, want %s", d[0].ID, sales[3].ID)
	}
}

// A message that is alone may be at fault, and the supplier too: it waits, the circuit says that it is alone, and with
// the next message that the supplier takes it shows whose fault it is.
func TestAServerErrorOfOneMessageAlone(t *testing.T) {
	t.Parallel()
	supplier := newPotter(t, "")
	h := newEnv(t, calling(map[string]*potter{"potter": supplier}))
	sales := salesAt(t, "potter", 2)
	supplier.refused.Store(sales[0].ID.String(), true)
	h.Publish(sales[0])
	r := h.RunWorker(calling(map[string]*potter{"potter": supplier}), 1)
	probed := func(times int) {
		t.Helper()
		h.Eventually("it has probed", func() bool {
			return storetest.Value[int](t, h.URL, `SELECT coalesce(max(probes), 0) FROM dependency`) >= times
		})
	}
	probed(1)
	storetest.Exec(t, h.URL, `UPDATE dependency SET probe_since = probe_since - interval '1 hour'`)
	probed(3)
	circuits, err := failures.OpenCircuits(t.Context(), h.DB)
	h.Must(err)
	if len(circuits) != 1 || !circuits[0].Lone || circuits[0].ProbeKey == "" || r.Messages("dead")+r.Messages("retried") != 0 {
		t.Errorf("want a circuit that one call alone probes, and no try lost, got %+v, %d dead, %d retried", circuits, r.Messages("dead"), r.Messages("retried"))
	}
	h.Eventually("the log tells of it", func() bool { return r.Logs.Has("the message may be at fault") })
	h.Publish(sales[1])
	h.wantEffects(1)
	h.Eventually("the other is dead", func() bool { return h.Depth(topology.DeadQueueName("echo")) == 1 })
}

// However many slots and processes there are, a supplier that is away is called once an interval; other suppliers are
// called meanwhile, and no message dies or loses an attempt.
func TestRetriesAreNoStorm(t *testing.T) {
	t.Parallel()
	const slots, orders, probes = 8, 60, 3
	busy, there := newPotter(t, "1"), newPotter(t, "")
	busy.away.Store(true)
	suppliers := map[string]*potter{"busy": busy, "there": there}
	h := newEnv(t, calling(suppliers, worker.RetryDelays(3*retryDelay)))
	for i, e := range salesAt(t, "busy", orders) {
		h.Publish(e)
		if i%2 == 0 {
			h.Publish(workertest.Sale(t, "jar", "there", "1"))
		}
	}
	var processes []*workertest.Part
	for _, n := range []int{3, 3, 2} { // each with its own breakers, as processes have
		processes = append(processes, h.RunWorker(calling(suppliers, worker.RetryDelays(3*retryDelay)), n))
	}
	h.wantEffects(orders / 2)
	h.Eventually("several intervals go by", func() bool {
		return storetest.Value[int](t, h.URL, `SELECT coalesce(max(failures), 0) FROM dependency`) > probes
	})
	calls := busy.called()
	since := time.Since(calls[0])
	if most := slots + int(since/time.Second) + 1; len(calls) > most {
		t.Errorf("want a call a slot until all circuits are open and then one an interval, %d at most in %s, got %d", most, since, len(calls))
	}
	healed := time.Now()
	busy.away.Store(false)
	h.wantEffects(orders + orders/2)
	took := time.Since(healed)
	if took > localtest.Deadline(15*time.Second) {
		t.Errorf("it took %s from the heal to the last order", took)
	}
	t.Logf("%d calls of %d slots in %s; %s from the heal to the last of %d orders", len(calls), slots, since.Round(time.Millisecond), took.Round(time.Millisecond), orders)
	h.wantNoHarm(processes...)
}

// wantNoHarm checks that no message has lost an attempt or died, and that no circuit is left open.
func (h *env) wantNoHarm(processes ...*workertest.Part) {
	h.Helper()
	for _, r := range processes {
		if hurt := r.Messages("retried") + r.Messages("dead") + r.Messages("quarantined"); hurt != 0 {
			h.Errorf("want nothing but waits, got %d attempts lost", hurt)
		}
	}
	if n := h.Depth(topology.DeadQueueName("echo")); n != 0 {
		h.Errorf("%d messages died of a dependency's absence", n)
	}
	if n := storetest.Value[int](h, h.URL, `SELECT count(*) FROM failure WHERE outcome <> 'deferred' OR attempt <> 1 OR class <> '' OR dependency = ''`); n != 0 {
		h.Errorf("the failure log has %d failures that are more than waits", n)
	}
	if n := storetest.Value[int](h, h.URL, `SELECT (SELECT count(*) FROM dependency) + (SELECT count(*) FROM quarantine)`); n != 0 {
		h.Errorf("%d breakers or classes are left", n)
	}
}

// A slot whose messages all wait pauses, and the metric shows it; a message for another dependency is handled, and
// the slot stops when it is told to.
func TestASlotWithNothingButWaitsRests(t *testing.T) {
	t.Parallel()
	busy, there := newPotter(t, "600"), newPotter(t, "")
	busy.away.Store(true)
	w := calling(map[string]*potter{"busy": busy, "there": there})
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	h.Publish(salesAt(t, "busy", 3)...)
	h.Eventually("the slot rests", func() bool { return r.Metric("composerp_worker_paused_slots") == 1 })
	if !r.Logs.Has("WARN all messages taken wait for dependencies", busy.URL) {
		t.Error("the log does not name the dependency")
	}
	h.Publish(salesAt(t, "there", 5)...)
	h.wantEffects(5)
	h.Eventually("the messages have waited again and again", func() bool { return r.Messages("deferred") > 10 })
	if calls := len(busy.called()); calls != 1 {
		t.Errorf("want one call to whom asked for ten minutes, got %d", calls)
	}
	if n := storetest.Value[int](t, h.URL, `SELECT count(*) FROM failure`); n != 1 {
		t.Errorf("the failure log has %d failed tries, and one call was made", n)
	}
	began := time.Now()
	r.End()
	if took := time.Since(began); took > localtest.Deadline(5*time.Second) {
		t.Errorf("it took %s to stop a slot that rests", took)
	}
	if r.Metric("composerp_worker_paused_slots") != 0 {
		t.Error("a slot that is gone is said to rest")
	}
}

// What waits keeps what is known of it, its attempts too.
func TestWaitsDoNotCountAsAttempts(t *testing.T) {
	t.Parallel()
	var step atomic.Int32
	w := worker.New("echo", worker.RetryDelays(retryDelay, 2*retryDelay), worker.OnCall(func(context.Context, event.Of[event.SaleCompleted]) (worker.Record, error) {
		switch n := step.Add(1); {
		case n == 1 || n == 5:
			return nil, errors.New("the form is wrong")
		case n < 8:
			return nil, fmt.Errorf("selling: %w", worker.Unavailable("potter", errors.New("gone fishing"), 0))
		}
		return nil, worker.Reject(errors.New("never"))
	}))
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	h.Publish(workertest.Sale(t, "cup", "shop", "1"))
	dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]
	f := dead.Failure()
	if f.Attempt != 3 || dead.Deferred() != 5 || f.FirstError != "the form is wrong" || f.Error != "never" || f.OriginalExchange != topology.Events {
		t.Errorf("want three attempts and five waits, got %+v of %v", f, dead.Headers)
	}
	h.Eventually("it is counted", func() bool { return r.Messages("dead") == 1 })
	if r.Messages("deferred") != 5 || r.Messages("retried") != 2 {
		t.Errorf("want 5 waits and 2 retries, got %d and %d", r.Messages("deferred"), r.Messages("retried"))
	}
}

// A wait of seconds is one on the first retryDelay, so that a dependency that is back soon is called soon; a long
// absence turns the retry queues seldom.
func TestWhichRetryDelayAMessageTakes(t *testing.T) {
	t.Parallel()
	const after = 10 * time.Second
	for name, c := range map[string]struct {
		deferred int64
		wait     time.Duration
		want     time.Duration
	}{
		"a short wait":                       {0, after, retryDelay},
		"the last of the short ones":         {11, after, retryDelay},
		"one more":                           {12, after, time.Minute},
		"one more, and as short":             {12, retryDelay, retryDelay},
		"as long as the dependency asks for": {0, time.Minute, time.Minute},
		"longer than any retryDelay":         {0, time.Hour, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := worker.New("echo", worker.RetryDelays(retryDelay, time.Minute), worker.OnCall(func(context.Context, event.Of[event.SaleCompleted]) (worker.Record, error) {
				return nil, worker.Unavailable("potter", errors.New("gone fishing"), c.wait)
			}))
			h := newEnv(t, w)
			r := h.RunWorker(w, 1)
			m := workertest.Delivery(workertest.Sale(t, "cup", "shop", "1")).Message
			m.Headers = map[string]any{rabbitmq.HeaderDeferred: c.deferred}
			h.Send(m)
			if c.want == retryDelay {
				h.Eventually("it comes back by the first retryDelay", func() bool { return r.Messages("deferred") > 1 })
			} else {
				h.Eventually("it waits on the long retryDelay", func() bool { return h.Depth(topology.RetryQueueName("echo", c.want)) == 1 })
			}
		})
	}
}

// Without retry queues a message is kept in hand.
func TestWithoutRetryQueuesAMessageWaitsInHand(t *testing.T) {
	t.Parallel()
	busy := newPotter(t, "0")
	busy.away.Store(true)
	w := calling(map[string]*potter{"busy": busy}, worker.RetryDelays())
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	h.Publish(salesAt(t, "busy", 1)...)
	h.Eventually("it is called again", func() bool { return len(busy.called()) > 2 })
	busy.away.Store(false)
	h.wantEffects(1)
	h.wantNoHarm(r)
}

// Circuits are in the database: while it is away no call is made blindly, and no message is to blame.
func TestACircuitThatCannotBeReadIsTheDatabasesFault(t *testing.T) {
	t.Parallel()
	there := newPotter(t, "")
	w := calling(map[string]*potter{"there": there})
	h := newEnv(t, w)
	storetest.Exec(t, h.URL, "ALTER TABLE dependency RENAME TO dependency_away")
	r := h.RunWorker(w, 1)
	h.Publish(salesAt(t, "there", 2)...)
	h.Eventually("the slot pauses", func() bool { return r.Metric("composerp_worker_paused_slots") == 1 })
	if calls := len(there.called()); calls != 0 {
		t.Errorf("want no call, got %d calls", calls)
	}
	storetest.Exec(t, h.URL, "ALTER TABLE dependency_away RENAME TO dependency")
	h.wantEffects(2)
	h.wantNoHarm(r)
}

// Any answer to a probe closes the circuit; a probe that is broken off proves nothing.
func TestWhatClosesACircuit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ends  error
		opens bool
	}{
		"success":     {nil, true},
		"a refusal":   {worker.Reject(errors.New("no")), true},
		"a failure":   {errors.New("500"), true},
		"absence":     {worker.Unavailable("p", errors.New("503"), 0), false},
		"being ended": {context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.URL(t)
			breakers := &worker.Breakers{Backoff: failures.CircuitBackoff{First: time.Hour, Longest: time.Hour, LongestAsked: time.Hour}}
			var result error
			made := 0
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			w := worker.New("echo", worker.WithBreakers(breakers), worker.OnCall(func(context.Context, event.Of[event.SaleCompleted]) (worker.Record, error) {
				return nil, breakers.Call(ctx, "p", "key", func() error {
					made++
					if errors.Is(result, context.Canceled) {
						stop()
					}
					return result
				})
			}))
			db := storetest.Open(t, url, 2)
			call := func(ends error) error {
				result = ends
				_, err := workertest.Handle(t, db, w, workertest.Sale(t, "cup", "shop", "1"))
				return err
			}
			if err := call(worker.Unavailable("p", errors.New("503"), 0)); !errors.Is(err, worker.ErrUnavailable) || errors.Is(err, worker.ErrCircuitOpen) {
				t.Fatalf("the first call ends with %v", err)
			}
			if err := call(nil); !errors.Is(err, worker.ErrCircuitOpen) {
				t.Fatalf("the second call ends with %v", err)
			}
			storetest.Exec(t, url, `UPDATE dependency SET opens_at = clock_timestamp()`)
			if err := call(c.ends); made != 2 {
				t.Fatalf("want the first call and a probe, got %d and %v", made, err)
			}
			if open := storetest.Value[int](t, url, `SELECT count(*) FROM dependency`) == 0; open != c.opens {
				t.Errorf("the circuit admits calls: %t", open)
			}
		})
	}
}
