package relay_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
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
	foreign := h.unsaid(50)
	_, err := eventlog.AdmitOnce(t.Context(), h.db, foreign, false) // on the exchange already
	storetest.Must(h, err)
	var after []event.Any
	for range 200 {
		after = append(after, h.sales(1)...)
	}
	all := slices.Concat(before, after)
	h.wantOnce(all)
	workertest.Eventually(h, "all confirms are counted", func() bool { return r.metric("composerp_relay_confirmed_total") == float64(len(all)) })
	workertest.Eventually(h, "the cursor has passed all", h.passed)
}

// An event that no queue is bound to goes to the alternate exchange, and no other event waits for it.
func TestWhatNoQueueTakesIsUnrouted(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	counted := event.TypeStockCounted.RoutingKey()
	storetest.Must(h, rabbitmq.Apply(t.Context(), topology.Compute([]topology.Subscription{{Worker: "intake", RoutingKeys: []string{counted}, ExternalOnly: true}}), h.broker))
	at := time.Date(2024, time.March, 1, 10, 0, 0, 0, time.UTC)
	count, err := event.Encode(event.Envelope{ID: uuid.New(), AggregateID: "c", TenantID: "acme", Timestamp: at},
		event.StockCounted{CountID: "c", ItemID: "cup", LocationID: "shop", Quantity: event.NewDecimal(5)})
	storetest.Must(h, err)
	_, err = eventlog.AdmitOnce(t.Context(), h.db, []event.Any{count}, true)
	storetest.Must(h, err)
	events := h.sales(10)
	h.run("a")
	h.wantOnce(events)
	workertest.Eventually(h, "the cursor has passed all", h.passed)
	session, err := rabbitmq.Open(t.Context(), h.broker)
	storetest.Must(h, err)
	defer func() { _ = session.Close() }()
	unrouted, err := session.Consume(topology.Unrouted, "unrouted", 10)
	storetest.Must(h, err)
	taken, err := unrouted.Take(t.Context(), 10)
	storetest.Must(h, err)
	if len(taken) != 1 || taken[0].ID != count.ID.String() || taken[0].LogSeq() != 1 || taken[0].RoutingKey != counted {
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
	workertest.Eventually(h, "the cursor has moved", func() bool { return h.cursor() != "" && h.cursor() != "0 0 0" })
	release := storetest.Lock(t, h.url, `SELECT FROM log_cursor FOR UPDATE`)
	at := h.cursor()
	events = append(events, h.sales(100)...)
	workertest.Eventually(h, "all are published", func() bool { return len(h.arrived()) == 101 })
	first.end()
	release()
	if now := h.cursor(); now != at {
		t.Fatalf("want the cursor unmoved at %s, it is at %s: the test shows nothing", at, now)
	}
	h.run("b")
	workertest.Eventually(h, "all have come again", func() bool { return len(h.arrived()) == 201 })
	h.wantAll(events)
	workertest.Eventually(h, "the cursor has passed all", h.passed)
}

// Relays are stopped again and again between reading and confirming.
func TestManyCrashesLoseNothing(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	events := h.sales(10_000)
	for i := range 5 {
		r := h.run("a")
		workertest.Eventually(h, "some more come", func() bool { return len(h.arrived()) > 1500*(i+1) })
		r.end()
	}
	h.run("b")
	h.wantAll(events)
}

func TestTheBrokerIsDownForAWhile(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	line := newLink(h, h.broker.URLs[0])
	broker := h.broker
	broker.URLs = []string{line.url}
	h.runWith("a", h.db, broker)
	events := h.sales(100)
	h.wantAll(events)
	line.shut()
	events = append(events, h.sales(3000)...)
	line.open()
	workertest.Eventually(h, "half of them have come", func() bool { return h.different() > 1500 })
	line.Cut()
	h.wantAll(events)
}

// What was written into a dead line was not published, and what the broker has
// and did not say so is in doubt: only a confirm moves the cursor.
func TestOnlyAConfirmMovesTheCursor(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	line := newLink(h, h.broker.URLs[0])
	broker := h.broker
	broker.URLs = []string{line.url}
	h.runWith("a", h.db, broker)
	events := h.sales(10)
	h.wantOnce(events)
	wantUnmoved := func(n int) {
		for range 50 {
			if lag, err := eventlog.Lag(t.Context(), h.db, relay.LeaseName); err != nil || lag < int64(n) {
				t.Fatalf("want the cursor before all %d, there are %d after it with nothing confirmed, %v", n, lag, err)
			}
		}
	}
	line.Set(proxy.Weather{HoldUp: true})
	lost := h.sales(100)
	wantUnmoved(len(lost))
	line.Cut()
	line.open()
	events = append(events, lost...)
	h.wantOnce(events)
	line.Set(proxy.Weather{HoldDown: true})
	events = append(events, h.sales(100)...)
	workertest.Eventually(h, "the broker has them", func() bool { return h.different() == len(events) })
	wantUnmoved(100)
	line.Cut()
	line.open()
	workertest.Eventually(h, "they come again", func() bool { return len(h.arrived()) == len(events)+100 })
	h.wantAll(events)
}

func TestALongTransactionDelaysItsOwnEventsAlone(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	h.run("a")
	patient := storetest.Open(t, h.url+"&idle_in_transaction_session_timeout=0", 1)
	long := h.unsaid(3)
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
	storetest.Must(h, <-done)
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
		storetest.Exec(t, h.url, `INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
			VALUES (1, true, now(), $1, 'acme', $2, '1.0', 'a', '', $3)`, uuid.New(), kind, body)
	}
	insert("NO_SUCH_TYPE", "{}")
	insert("SALE_COMPLETED", strings.Repeat("x", event.MaxBody+1))
	rest := h.sales(10)
	r := h.run("a")
	h.wantOnce(append(first, rest...))
	workertest.Eventually(h, "both are counted", func() bool { return r.metric("composerp_relay_unpublishable_total") == 2 })
	workertest.Eventually(h, "the others are counted", func() bool { return r.metric("composerp_relay_confirmed_total") == 20 })
	reasons := storetest.Value[string](t, h.url, `SELECT string_agg(reason, '; ' ORDER BY seq) FROM unpublishable`)
	if !strings.Contains(reasons, "NO_SUCH_TYPE") || !strings.Contains(reasons, "bytes") {
		t.Errorf("want a reason for each, got %q", reasons)
	}
}

func TestTheSecondRelayTakesOverWhenTheFirstLeaves(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	first := h.run("a")
	workertest.Eventually(h, "the first leads", first.leads)
	second := h.run("b")
	events := h.sales(100)
	h.wantOnce(events)
	if second.leads() {
		t.Fatal("two relays lead")
	}
	workertest.Eventually(h, "the cursor has passed all", h.passed)
	first.end()
	if held := storetest.Value[bool](t, h.url, `SELECT holder = 'a' AND expires_at >= clock_timestamp() FROM lease WHERE name = 'relay'`); held {
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
	database, broker := newLink(h, h.url), newLink(h, h.broker.URLs[0])
	cut := h.broker
	cut.URLs = []string{broker.url}
	first := h.runWith("a", storetest.Open(t, database.url, 4), cut)
	workertest.Eventually(h, "the first leads", first.leads)
	second := h.run("b")
	events := h.sales(100)
	h.wantAll(events)
	database.shut()
	broker.shut()
	vanished := time.Now()
	events = append(events, h.sales(100)...)
	workertest.Eventually(h, "the second leads", second.leads)
	if took := time.Since(vanished); took < store.LeaseTTL/3 || took > localtest.Deadline(2*store.LeaseTTL) {
		t.Errorf("want it to take about the lease's %s, it took %s", store.LeaseTTL, took)
	}
	h.wantAll(events)
	workertest.Eventually(h, "the first knows that it leads no more", func() bool { return !first.leads() })
}

// A leader that slept through its lease publishes copies at most; the cursor is another's.
func TestAnOldLeaderCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	old := h.run("a")
	h.wantOnce(h.sales(1))
	workertest.Eventually(h, "the cursor rests", h.passed)
	// What a successor's Acquire and OpenCursor do, before the old one has noticed.
	storetest.Exec(t, h.url, `UPDATE lease SET term = term + 1, holder = 'b', expires_at = clock_timestamp() + interval '1 hour' WHERE name = 'relay'`)
	storetest.Exec(t, h.url, `UPDATE log_cursor SET term = term + 1 WHERE consumer = 'relay'`)
	at := h.cursor()
	more := h.sales(10)
	workertest.Eventually(h, "the old one gives up", func() bool { return !old.leads() && old.log.Has("relay stopped") })
	if now := h.cursor(); now != at {
		t.Errorf("want the cursor at %s, the old leader moved it to %s", at, now)
	}
	storetest.Exec(t, h.url, `UPDATE lease SET expires_at = '-infinity' WHERE name = 'relay'`)
	workertest.Eventually(h, "it leads again, in a new term", old.leads)
	workertest.Eventually(h, "the rest comes", func() bool { return h.different() == 1+len(more) })
}
