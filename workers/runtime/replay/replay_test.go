package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/operatorlog"
	kept "github.com/composerp/composerp/store/replay"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/audit"
	"github.com/composerp/composerp/workers/runtime/replay"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// fleet is the standard fleet at rest, after an order was made, approved and sent, and people were told.
type fleet struct {
	*workertest.Env
	workers map[string]worker.Worker
	calls   atomic.Int64 // to the supplier and both webhooks
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{workers: map[string]worker.Worker{}}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.calls.Add(1) }))
	t.Cleanup(server.Close)
	all := workers.Standard(workers.Config{NotificationURL: server.URL, AlertURL: server.URL})
	f.Env = workertest.NewEnv(t, all...)
	for _, w := range all {
		f.workers[w.Name()] = w
	}
	f.Exec(`INSERT INTO tenant_setting (tenant_id, approval_limit) VALUES ($1, 1000)`, workertest.Tenant)
	f.Exec(`INSERT INTO supplier (tenant_id, supplier_id, lead_time_days, endpoint) VALUES ($1, 'smith', 3, $2)`, workertest.Tenant, server.URL)
	f.Exec(`INSERT INTO item (tenant_id, item_id, unit_cost) VALUES ($1, 'B', 1.5)`, workertest.Tenant)
	f.Exec(`INSERT INTO replenishment_rule (tenant_id, item_id, location_id, supplier_id, reorder_point, order_up_to, low_stock_threshold)
		VALUES ($1, 'B', 'shop', 'smith', 2, 10, 5)`, workertest.Tenant)
	t.Cleanup(f.StartFleet(all...))
	f.Admit(workertest.Receipt(t, "A", "shop", "10"), workertest.Transfer(t, "A", "shop", "depot", "4"), workertest.Adjustment(t, "A", "shop", "-1"),
		workertest.Count(t, "B", "shop", "6"), workertest.Sale(t, "B", "shop", "5"), workertest.Sale(t, "A", "shop", "2"))
	f.Eventually("the order is sent", func() bool { return f.count(`SELECT count(*) FROM dispatch WHERE status = 'SENT'`) == 1 })
	f.Admit(workertest.Receipt(t, "B", "shop", "3"), workertest.Event(t, event.SaleCompleted{
		SaleID: "later", ItemID: "A", LocationID: "shop", Quantity: workertest.Decimal("1"), Amount: workertest.Decimal("1"), Timestamp: workertest.Day.Add(9 * 24 * time.Hour),
	}, func(env *event.Envelope) { env.Timestamp = workertest.Day.Add(9 * 24 * time.Hour) }))
	f.Eventually("forecasts are kept", func() bool { return f.count(`SELECT count(*) FROM forecast`) > 0 })
	f.prove("before any replay")
	return f
}

func (f *fleet) count(query string, args ...any) int {
	f.Helper()
	return storetest.One[int](f, f.SQL(), query, args...)
}

// prove waits until the audit proves what there is.
func (f *fleet) prove(when string) {
	f.Helper()
	deadline := time.Now().Add(localtest.Deadline(2 * time.Minute))
	for {
		report, err := audit.Run(f.Context(), audit.Config{
			DB: f.DB, Broker: f.Broker, Management: rabbitmqtest.Management(f), Topology: workers.Topology(), Forget: true, Wait: time.Minute, Settle: 200 * time.Millisecond,
		})
		f.Must(err)
		if report.Proven() {
			return
		}
		if time.Now().After(deadline) {
			f.Fatalf("%s the audit does not prove the fleet:\n%s", when, report.Table())
		}
	}
}

// state is what no replay may change: the tables of all workers.
func (f *fleet) state() map[string]string {
	f.Helper()
	found := map[string]string{}
	for _, table := range []string{
		"event_log", "movement", "position", "stock", "stock_order", "stock_order_line", "stock_outlook", "stock_receipt", "stock_supply", "low_stock",
		"lot", "lot_balance", "demand", "demand_calendar", "forecast", "forecast_run", "replenishment_state", "purchase_order", "purchase_order_line",
		"on_order_booking", "dispatch", "notification", "dead_letter", "transfer",
	} {
		found[table] = storetest.One[string](f, f.SQL(), fmt.Sprintf(`SELECT count(*) || ' rows ' || coalesce(md5(string_agg(r::text, '' ORDER BY r::text)), '') FROM %s r`, table))
	}
	return found
}

func (f *fleet) same(when string, before map[string]string) {
	f.Helper()
	for table, after := range f.state() {
		if after != before[table] {
			f.Errorf("%s has changed %s: %s, and it was %s", when, table, after, before[table])
		}
	}
}

var by = operatorlog.By{Operator: "test", Reason: "a test"}

// begin enters a replay.
func (f *fleet) begin(a kept.Asked) replay.Config {
	f.Helper()
	cfg := replay.Config{DB: f.DB, Broker: f.Broker}
	if a.Target == kept.Queue {
		w := f.workers[a.Name]
		if cfg.Queue = w.Queue(); len(a.Filter.Types) == 0 {
			a.Filter.Types = w.Types()
		}
	}
	var err error
	cfg.Replay, err = kept.Begin(f.Context(), f.DB, by, a)
	f.Must(err)
	return cfg
}

func (f *fleet) replay(a kept.Asked) kept.Replay {
	f.Helper()
	r, err := replay.Run(f.Context(), f.begin(a))
	f.Must(err)
	if r.State != kept.Done || r.At != r.Last {
		f.Errorf("the replay to %s ends as %s at %d of %d", a.Name, r.State, r.At, r.Last)
	}
	return r
}

// Every domain worker gets all its events once more: those that can handle them again do, the others know them as
// duplicates. No table changes, nothing is appended, no call is made, and the audit proves it.
func TestEverythingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	before, calls := f.state(), f.calls.Load()
	if calls < 3 {
		t.Fatalf("only %d calls were made before: of an order, of its notifications and of low stock", calls)
	}
	refused := map[string]bool{"lots": true, "replenishment": true, "approval": true, "forecasting": true, "procurement": true, "intake": true}
	again := int64(0)
	for name, w := range f.workers {
		if name == "deadletterlog" {
			continue // it consumes messages, not events
		}
		if w.TakesAgain == refused[name] {
			t.Errorf("TakesAgain of %s is %v", name, w.TakesAgain)
		}
		r := f.replay(kept.Asked{Target: kept.Queue, Name: name, Again: w.TakesAgain})
		if r.Events == 0 {
			t.Errorf("nothing was replayed to %s", name)
		}
		if w.TakesAgain {
			again += r.Events
		}
	}
	f.Eventually("all events are handled again", func() bool { return int64(f.count(`SELECT count(*) FROM handled_again`)) == again })
	f.prove("after replays to every worker")
	f.same("handling everything again", before)
	if n := f.calls.Load() - calls; n != 0 {
		t.Errorf("%d calls were made about replayed events", n)
	}
	if n := f.count(`SELECT count(*) FROM operator_log WHERE action = 'replay'`); n != len(f.workers)-1 {
		t.Errorf("the operator log has %d replays", n)
	}
	f.recovers(before)
	f.followsSilently(calls)
	f.files()
	f.exchange()
}

// recovers: a read model that lost its rows has them again, and nothing else has changed.
func (f *fleet) recovers(before map[string]string) {
	f.Helper()
	f.Exec(`DELETE FROM stock`)
	f.replay(kept.Asked{Target: kept.Queue, Name: "stockview", Again: true})
	f.Eventually("the view is as it was", func() bool { return f.state()["stock"] == before["stock"] })
	f.prove("after a recovery")
	f.same("a recovery", before)
}

// followsSilently: what a replayed event leads to for the first time is appended, marked, and leads to no call.
func (f *fleet) followsSilently(calls int64) {
	f.Helper()
	f.Admit(workertest.Count(f, "B", "shop", "6")) // from here stock can be low again
	f.prove("after a count")
	// As if the ledger had not yet known the receipt: what it emits is new to the log, and low stock is told of.
	sale := workertest.Sale(f, "B", "shop", "4")
	f.AdmitPublished(sale)
	lag := f.count(`SELECT max(seq) FROM event_log`)
	f.awaitTick(lag)
	r := f.replay(kept.Asked{Target: kept.Queue, Name: "ledger", Filter: eventquery.Filter{Aggregate: sale.AggregateID, After: int64(lag) - 1}})
	if r.Events != 1 {
		f.Fatalf("%d events were replayed, want the sale", r.Events)
	}
	follows := fmt.Sprintf(`%%"replay":%d%%`, r.ID)
	f.Eventually("what follows is marked", func() bool {
		return f.count(`SELECT count(*) FROM event_log WHERE type = 'INVENTORY_UPDATED' AND body LIKE $1`, follows) == 1 &&
			f.count(`SELECT count(*) FROM event_log WHERE type = 'INVENTORY_LOW_STOCK' AND body LIKE $1`, follows) == 1
	})
	f.prove("after what follows from a replay")
	if n := f.calls.Load() - calls; n != 0 {
		f.Errorf("%d calls were made about what follows from a replay", n)
	}
}

// awaitTick waits until a tick has seen a position.
func (f *fleet) awaitTick(seq int) {
	f.Helper()
	f.Eventually("a tick has seen the sale", func() bool { return f.count(`SELECT max(max_seq) FROM tick`) >= seq })
}

// files: a file has each event once, in order, however the replay was interrupted.
func (f *fleet) files() {
	f.Helper()
	whole, cut := filepath.Join(f.TempDir(), "whole.ndjson"), filepath.Join(f.TempDir(), "cut.ndjson")
	r := f.replay(kept.Asked{Target: kept.File, Name: whole})
	want := storetest.MustGet(os.ReadFile(whole))(f)
	if n := strings.Count(string(want), "\n"); int64(n) != r.Events || n != f.count(`SELECT count(*) FROM event_log`) || r.Bytes != int64(len(want)) {
		f.Errorf("the file has %d lines and %d bytes, the replay says %d and %d", n, len(want), r.Events, r.Bytes)
	}
	if err := replay.CheckNew(whole); !errors.Is(err, replay.ErrFile) {
		f.Errorf("a file that is there already: %v", err)
	}
	cfg := f.begin(kept.Asked{Target: kept.File, Name: cut, Rate: 400})
	ctx, stop := context.WithCancel(f.Context())
	defer stop()
	cfg.Progress = func(_, _, events int64) {
		if events > 0 {
			stop()
		}
	}
	cfg.Replay.Rate = 2 // pages of one event
	part, err := replay.Run(ctx, cfg)
	if !errors.Is(err, context.Canceled) || part.State != kept.Interrupted || part.Events != 1 {
		f.Fatalf("the interrupted replay is %s after %d events: %v", part.State, part.Events, err)
	}
	// Lines past the noted length, as a kill between the writing and the note leaves them.
	torn := append(storetest.MustGet(os.ReadFile(cut))(f), `{"torn`...)
	f.Must(os.WriteFile(cut, torn, 0o600))
	cfg.Progress = nil
	cfg.Replay = storetest.MustGet(kept.Resume(f.Context(), f.DB, by, part.ID))(f)
	if _, err := replay.Run(f.Context(), cfg); err != nil {
		f.Fatal(err)
	}
	if got := storetest.MustGet(os.ReadFile(cut))(f); string(got) != string(want) {
		f.Errorf("the resumed file has %d bytes, the whole one %d, or they differ", len(got), len(want))
	}
	stale := part
	if err := stale.Move(f.Context(), f.DB); !errors.Is(err, kept.ErrTakenOver) {
		f.Errorf("a process whose replay was taken over moves it: %v", err)
	}
	if _, err := kept.Resume(f.Context(), f.DB, by, part.ID); !errors.Is(err, kept.ErrTakenOver) {
		f.Errorf("a replay that is done is resumed: %v", err)
	}
	cancelled := f.begin(kept.Asked{Target: kept.File, Name: filepath.Join(f.TempDir(), "none.ndjson")})
	storetest.MustGet(kept.Cancel(f.Context(), f.DB, by, cancelled.Replay.ID))(f)
	if r, err := replay.Run(f.Context(), cancelled); !errors.Is(err, kept.ErrTakenOver) {
		f.Errorf("a cancelled replay ends as %s: %v", r.State, err)
	}
}

// exchange: an exchange of others gets the events by their routing keys, marked; what no queue takes is counted.
func (f *fleet) exchange() {
	f.Helper()
	const name, queue = "reports", "reports.sales"
	f.ApplyTopology(topology.Topology{
		Exchanges: []topology.ExchangeSpec{{Name: name, Kind: "topic"}}, Queues: []topology.QueueSpec{{Name: queue}},
		Bindings: []topology.BindingSpec{{Exchange: name, Queue: queue, RoutingKey: event.TypeSaleCompleted.RoutingKey()}},
	})
	r := f.replay(kept.Asked{Target: kept.Exchange, Name: name, Filter: eventquery.Filter{Types: []event.Type{event.TypeSaleCompleted, event.TypeReceiptCompleted}}})
	sales := f.count(`SELECT count(*) FROM event_log WHERE type = 'SALE_COMPLETED'`)
	if r.Events-r.Unrouted != int64(sales) || r.Unrouted != 2 {
		f.Errorf("%d events, %d of them unrouted, want %d sales and 2 receipts", r.Events, r.Unrouted, sales)
	}
	last := int64(0)
	for _, d := range f.Receive(queue, sales) {
		id, again := d.Headers[rabbitmq.HeaderReplay], d.Headers[rabbitmq.HeaderReplayAgain]
		if id != r.ID || again != nil || d.LogSeq() <= last || !json.Valid(d.Body) {
			f.Errorf("message %s of replay %d (again %v) at %d, after %d", d.ID, id, again, d.LogSeq(), last)
		}
		last = d.LogSeq()
	}
}

// A replay to a queue that is not there fails, and goes on from where it was when the queue is there again.
func TestAQueueThatIsNotThere(t *testing.T) {
	t.Parallel()
	handled := make(chan string, 100)
	w := worker.New("echo", worker.On(func(_ context.Context, _ *worker.Tx, e event.Of[event.SaleCompleted]) error {
		handled <- e.ID.String()
		return nil
	}))
	env := workertest.NewEnv(t, w)
	f := &fleet{Env: env, workers: map[string]worker.Worker{"echo": w}}
	ticker := env.NewTicker()
	env.AdmitPublished(workertest.Sales(t, 20)...)
	ticker.Tick()
	env.DeleteQueue(w.Queue())
	cfg := f.begin(kept.Asked{Target: kept.Queue, Name: "echo"})
	r, err := replay.Run(t.Context(), cfg)
	if !errors.Is(err, rabbitmq.ErrUnroutable) || r.Events != 0 || r.At != r.First {
		t.Errorf("without a queue %d events went out, to position %d: %v", r.Events, r.At, err)
	}
	env.Apply(w)
	cfg.Replay = storetest.MustGet(kept.Resume(t.Context(), f.DB, by, r.ID))(t)
	if r, err := replay.Run(t.Context(), cfg); err != nil || r.Events != 20 {
		t.Errorf("resumed, %d events went out: %v", r.Events, err)
	}
	env.RunWorker(w, 1)
	for range 20 {
		<-handled
	}
}
