package relay_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/relay"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestEverythingComesOnceAndInOrder(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	before := h.sales(500)
	r := h.run("a")
	foreign := workertest.Sales(h, 50)
	h.AdmitPublished(foreign...) // on the exchange already
	var after []event.Any
	for range 200 {
		after = append(after, h.sales(1)...)
	}
	all := slices.Concat(before, after)
	h.wantOnce(all)
	h.Eventually("all confirms are counted", func() bool { return r.Metric("composerp_relay_confirmed_total") == float64(len(all)) })
	h.Eventually("the cursor has passed all", h.passed)
}

// The oldest unpublished event's time stands still until it is published, and is now when there is none.
func TestTheTimeOfTheOldestUnpublishedEvent(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	registry := prometheus.NewRegistry()
	relay.RegisterLag(registry, h.DB)
	age := func() time.Duration {
		at := workertest.Metric(t, registry, "composerp_log_oldest_unpublished_timestamp_seconds")
		return time.Since(time.Unix(int64(at), 0))
	}
	if got := age(); got > time.Minute {
		t.Errorf("with an empty log the time is %v ago", got)
	}
	events := h.sales(1)
	h.Eventually("the ticker has seen the event", func() bool {
		return storetest.Value[bool](t, h.URL, `SELECT max(seq_before) > 0 FROM tick`)
	})
	storetest.Exec(t, h.URL, `UPDATE tick SET made_at = made_at - interval '10 minutes'`)
	if got := age(); got < 10*time.Minute || got > 15*time.Minute {
		t.Errorf("with an event of ten minutes ago the time is %v ago", got)
	}
	h.run("a")
	h.wantOnce(events)
	h.Eventually("it is published", func() bool { return age() < time.Minute })
}

// An event that no queue is bound to goes to the alternate exchange, and no other event waits for it.
func TestWhatNoQueueTakesIsUnrouted(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	counted := event.TypeStockCounted.RoutingKey()
	h.ApplyTopology(topology.Compute([]topology.Subscription{{Worker: "intake", RoutingKeys: []string{counted}, ExternalOnly: true}}))
	count := workertest.Count(h, "cup", "shop", "5")
	h.Admit(count)
	events := h.sales(10)
	h.run("a")
	h.wantOnce(events)
	h.Eventually("the cursor has passed all", h.passed)
	taken := h.Receive(topology.Unrouted, 1)
	if h.Depth(topology.Unrouted) != 0 || taken[0].ID != count.ID.String() || taken[0].LogSeq() != 1 || taken[0].RoutingKey != counted {
		t.Errorf("unrouted are %+v, want the count alone", taken)
	}
}

func TestTwentyThousandEvents(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	events := h.sales(20_000)
	h.run("a")
	h.wantOnce(events)
}

// The relay dies when all is published and confirmed, and the cursor not yet moved.
func TestACrashBeforeTheCursorMovesMakesOnlyCopies(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	first := h.run("a")
	events := h.sales(1)
	h.wantOnce(events)
	h.Eventually("the cursor has moved", func() bool { return h.cursor() != "" && h.cursor() != "0 0 0" })
	release := storetest.Lock(t, h.URL, `SELECT FROM log_cursor FOR UPDATE`)
	at := h.cursor()
	events = append(events, h.sales(100)...)
	h.Eventually("all are published", func() bool { return len(h.arrived()) == 101 })
	first.End()
	release()
	if now := h.cursor(); now != at {
		t.Fatalf("want the cursor unmoved at %s, it is at %s: the test shows nothing", at, now)
	}
	h.run("b")
	h.Eventually("all have come again", func() bool { return len(h.arrived()) == 201 })
	h.wantAll(events)
	h.Eventually("the cursor has passed all", h.passed)
}

// Relays are stopped again and again between reading and confirming.
func TestManyCrashesLoseNothing(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	events := h.sales(10_000)
	for i := range 5 {
		r := h.run("a")
		h.Eventually("some more come", func() bool { return len(h.arrived()) > 1500*(i+1) })
		r.End()
	}
	h.run("b")
	h.wantAll(events)
}

// runThroughLink runs a relay whose way to the broker the test can break.
func (h *env) runThroughLink(holder string) *workertest.Link {
	h.Helper()
	line := workertest.NewLink(h, h.Broker.URLs[0])
	broker := h.Broker
	broker.URLs = []string{line.URL}
	h.runWith(holder, h.DB, broker)
	return line
}

func TestTheBrokerIsDownForAWhile(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	line := h.runThroughLink("a")
	events := h.sales(100)
	h.wantAll(events)
	line.Break()
	events = append(events, h.sales(3000)...)
	line.Restore()
	h.Eventually("half of them have come", func() bool { return h.different() > 1500 })
	line.Cut()
	h.wantAll(events)
}

// What was written into a dead line was not published, and what the broker has
// and did not say so is in doubt: only a confirm moves the cursor.
func TestOnlyAConfirmMovesTheCursor(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	line := h.runThroughLink("a")
	events := h.sales(10)
	h.wantOnce(events)
	wantUnmoved := func(n int) {
		for range 50 {
			if lag, err := eventlog.Lag(t.Context(), h.DB, relay.LeaseName); err != nil || lag < int64(n) {
				t.Fatalf("want the cursor before all %d, there are %d after it with nothing confirmed, %v", n, lag, err)
			}
		}
	}
	line.Set(proxy.Weather{HoldUp: true})
	lost := h.sales(100)
	wantUnmoved(len(lost))
	line.Cut()
	line.Restore()
	events = append(events, lost...)
	h.wantOnce(events)
	line.Set(proxy.Weather{HoldDown: true})
	events = append(events, h.sales(100)...)
	h.Eventually("the broker has them", func() bool { return h.different() == len(events) })
	wantUnmoved(100)
	line.Cut()
	line.Restore()
	h.Eventually("they come again", func() bool { return len(h.arrived()) == len(events)+100 })
	h.wantAll(events)
}

func TestALongTransactionDelaysItsOwnEventsAlone(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	h.run("a")
	patient := storetest.Open(t, h.URL+"&idle_in_transaction_session_timeout=0", 1)
	long := workertest.Sales(h, 3)
	appended, finish, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- patient.InTx(context.Background(), func(tx store.Tx) error {
			_, err := eventlog.Admit(context.Background(), tx, long, true)
			close(appended)
			<-finish
			return err
		})
	}()
	<-appended
	others := h.sales(500)
	h.wantOnce(others)
	close(finish)
	h.Must(<-done)
	h.wantAll(append(others, long...))
	if n := len(h.arrived()); n != 503 {
		t.Errorf("want 503 messages, got %d", n)
	}
}

func TestWhatTheBrokerWillNeverTakeIsUnpublishable(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	first := h.sales(10)
	insert := func(kind, body string) {
		storetest.Exec(t, h.URL, `INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
			VALUES (1, true, now(), $1, 'acme', $2, '1.0', 'a', '', $3)`, uuid.New(), kind, body)
	}
	insert("NO_SUCH_TYPE", "{}")
	insert("SALE_COMPLETED", strings.Repeat("x", event.MaxBody+1))
	rest := h.sales(10)
	r := h.run("a")
	h.wantOnce(append(first, rest...))
	h.Eventually("both are counted", func() bool { return r.Metric("composerp_relay_unpublishable_total") == 2 })
	h.Eventually("the others are counted", func() bool { return r.Metric("composerp_relay_confirmed_total") == 20 })
	reasons := storetest.Value[string](t, h.URL, `SELECT string_agg(reason, '; ' ORDER BY seq) FROM unpublishable`)
	if !strings.Contains(reasons, "NO_SUCH_TYPE") || !strings.Contains(reasons, "bytes") {
		t.Errorf("want a reason for each, got %q", reasons)
	}
}

func TestTheSecondRelayTakesOverWhenTheFirstLeaves(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	first := h.run("a")
	h.Eventually("the first leads", first.leads)
	second := h.run("b")
	events := h.sales(100)
	h.wantOnce(events)
	if second.leads() {
		t.Fatal("two relays lead")
	}
	h.Eventually("the cursor has passed all", h.passed)
	first.End()
	if held := storetest.Value[bool](t, h.URL, `SELECT holder = 'a' AND expires_at >= clock_timestamp() FROM lease WHERE name = 'relay'`); held {
		t.Error("the first has left and holds the lease still")
	}
	events = append(events, h.sales(100)...)
	h.wantOnce(events)
	if !second.leads() {
		t.Error("the second does not lead")
	}
}

// The first is cut off from the database and the broker: it can neither renew its lease nor give it up.
func TestTheSecondRelayTakesOverWhenTheFirstVanishes(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	database, broker := workertest.NewLink(h, h.URL), workertest.NewLink(h, h.Broker.URLs[0])
	cut := h.Broker
	cut.URLs = []string{broker.URL}
	first := h.runWith("a", storetest.Open(t, database.URL, 4), cut)
	h.Eventually("the first leads", first.leads)
	second := h.run("b")
	events := h.sales(100)
	h.wantAll(events)
	database.Break()
	broker.Break()
	vanished := time.Now()
	events = append(events, h.sales(100)...)
	h.Eventually("the second leads", second.leads)
	if took := time.Since(vanished); took < store.LeaseTTL/3 || took > localtest.Deadline(2*store.LeaseTTL) {
		t.Errorf("want it to take about the lease's %s, it took %s", store.LeaseTTL, took)
	}
	h.wantAll(events)
	h.Eventually("the first knows that it leads no more", func() bool { return !first.leads() })
}

// A leader that slept through its lease publishes copies at most; the cursor is another's.
func TestAnOldLeaderCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	old := h.run("a")
	h.wantOnce(h.sales(1))
	h.Eventually("the cursor rests", h.passed)
	// What a successor's Acquire and OpenCursor do, before the old one has noticed.
	storetest.Exec(t, h.URL, `UPDATE lease SET term = term + 1, holder = 'b', expires_at = clock_timestamp() + interval '1 hour' WHERE name = 'relay'`)
	storetest.Exec(t, h.URL, `UPDATE log_cursor SET term = term + 1 WHERE consumer = 'relay'`)
	at := h.cursor()
	more := h.sales(10)
	h.Eventually("the old one gives up", func() bool { return !old.leads() && old.Logs.Has("relay does not lead for now") })
	if now := h.cursor(); now != at {
		t.Errorf("want the cursor at %s, the old leader moved it to %s", at, now)
	}
	storetest.Exec(t, h.URL, `UPDATE lease SET expires_at = '-infinity' WHERE name = 'relay'`)
	h.Eventually("it leads again, in a new term", old.leads)
	h.Eventually("the rest comes", func() bool { return h.different() == 1+len(more) })
}
