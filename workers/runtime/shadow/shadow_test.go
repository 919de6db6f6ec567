package shadow_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
	kept "github.com/composerp/composerp/store/shadow"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/shadow"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/keeps"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// state is what no shadow may change: all rows of all tables, and all sequences.
func state(env *workertest.Env) map[string]string {
	env.Helper()
	found := map[string]string{}
	for _, name := range strings.Split(storetest.One[string](env, env.SQL(), `SELECT string_agg(tablename, ',') FROM pg_tables
		WHERE schemaname = current_schema() AND NOT tablename IN ('tick', 'lease', 'log_cursor')`), ",") {
		found[name] = storetest.One[string](env, env.SQL(), fmt.Sprintf(`SELECT count(*) || ' rows ' || coalesce(md5(string_agg(r::text, '' ORDER BY r::text)), '') FROM %s r`, name))
	}
	found["sequences"] = storetest.One[string](env, env.SQL(), `SELECT string_agg(sequencename || ' ' || coalesce(last_value, 0), ', ' ORDER BY sequencename)
		FROM pg_sequences WHERE schemaname = current_schema()`)
	return found
}

func checkState(env *workertest.Env, before map[string]string) {
	env.Helper()
	after := state(env)
	for name := range maps.Keys(before) {
		if before[name] != after[name] {
			env.Errorf("the shadow changed %s from %s to %s", name, before[name], after[name])
		}
	}
}

func begin(env *workertest.Env, fleet []worker.Worker, w worker.Worker) *shadow.Shadow {
	env.Helper()
	address := storetest.MustGet(url.Parse(env.URL))(env)
	query := address.Query()
	query.Set("application_name", "shadow")
	address.RawQuery = query.Encode()
	s, err := shadow.Begin(shadow.Config{DB: storetest.Open(env, address.String(), 1), Fleet: fleet, Worker: w, For: time.Minute, Limit: 10})
	env.Must(err)
	return s
}

// The live workers' own code does what they did, over two windows in which stock falls, orders are made and approved,
// goods are moved, counted and received, and days close.
func TestTheSameCodeDiffersNowhere(t *testing.T) {
	t.Parallel()
	var fleet []worker.Worker
	for _, w := range workers.Standard(workers.Config{}) {
		if shadow.Check(w) == nil {
			fleet = append(fleet, w)
		}
	}
	env := workertest.NewEnv(t, fleet...)
	env.Exec(`INSERT INTO tenant_setting (tenant_id, approval_limit) VALUES ($1, 1000)`, workertest.Tenant)
	env.Exec(`INSERT INTO supplier (tenant_id, supplier_id, lead_time_days) VALUES ($1, 'smith', 3)`, workertest.Tenant)
	for i := range 8 {
		env.Exec(`INSERT INTO item (tenant_id, item_id, unit_cost) VALUES ($1, $2, 1.5)`, workertest.Tenant, item(i))
		env.Exec(`INSERT INTO replenishment_rule (tenant_id, item_id, location_id, supplier_id, reorder_point, order_up_to, low_stock_threshold)
			VALUES ($1, $2, 'shop', 'smith', 20, 60, 10)`, workertest.Tenant, item(i))
	}
	t.Cleanup(env.StartFleet(fleet...))
	shadows := map[string]*shadow.Shadow{}
	for _, w := range fleet {
		shadows[w.Name()] = begin(env, workers.Standard(workers.Config{}), w)
	}
	rest := func() {
		env.Eventually("all is handled", func() bool {
			return env.Published() && storetest.One[int](env, env.SQL(), `SELECT count(*) FROM event_log e JOIN subscription s USING (type)
				WHERE NOT EXISTS (SELECT FROM inbox i WHERE i.consumer = s.consumer AND i.event_id = e.event_id)`) == 0
		})
	}
	for day := range 2 {
		for _, s := range shadows {
			env.Must(s.Copy(t.Context()))
		}
		at := workertest.Day.Add(time.Duration(day) * 24 * time.Hour)
		for _, some := range [][]event.Any{goods(t, at), sales(t, at), arrivals(t, at), sales(t, at.Add(time.Hour))} {
			env.Admit(some...)
		}
		rest()
		before := state(env)
		for name, s := range shadows {
			env.Must(s.Compare(t.Context()))
			if r := s.Report(); r.Differs() || r.BesideFailed > 0 {
				t.Errorf("day %d: the same code of %s differs: %s", day, name, told(r))
			}
		}
		checkState(env, before)
	}
	for name, s := range shadows {
		r := s.Report()
		t.Logf("%s: %d events, %+v, %+v", name, r.Events, r.Emitted, r.Tables)
		if r.Windows != 2 || r.Events == 0 || r.Emitted.Same == 0 && name != "forecasting" && name != "lots" {
			t.Errorf("%s: want two windows with events and what they led to, got %s", name, told(r))
		}
	}
}

func item(i int) string { return fmt.Sprintf("item %d", i) }

func at(when time.Time) func(*event.Envelope) {
	return func(env *event.Envelope) { env.Timestamp = when }
}

func goods(t *testing.T, when time.Time) (events []event.Any) {
	for i := range 8 {
		events = append(events, workertest.Event(t, event.ReceiptCompleted{ReceiptID: fmt.Sprint("r", i, when), ItemID: item(i), LocationID: "shop", Quantity: workertest.Decimal("40"), Timestamp: when}, at(when)))
	}
	return events
}

func sales(t *testing.T, when time.Time) (events []event.Any) {
	for i := range 160 {
		events = append(events, workertest.Event(t, event.SaleCompleted{
			SaleID: fmt.Sprint("s", i, when), ItemID: item(i % 8), LocationID: "shop", Quantity: workertest.Decimal("1.5"), Amount: workertest.Decimal("1"), Timestamp: when,
		}, at(when)))
	}
	return events
}

func arrivals(t *testing.T, when time.Time) (events []event.Any) {
	return []event.Any{
		workertest.Transfer(t, item(0), "shop", "depot", "4"), workertest.Count(t, item(1), "shop", "6"), workertest.Adjustment(t, item(2), "shop", "-1"),
		workertest.Receipt(t, item(3), "shop", "30"), workertest.Receipt(t, fmt.Sprint("new ", when.Day()), "shop", "3"),
	}
}

func told(r shadow.Report) string { return fmt.Sprintf("%+v", r) }

// tally adds up the sales of an item, at a position of its own, and emits the sum from the limit on.
func tally(limit int64, tables ...kept.Table) worker.Worker {
	return worker.New("tally", keeps.Tables(tables...), worker.OnBatch(func(ctx context.Context, tx *worker.Tx, events []event.Any) error {
		for _, e := range events {
			sale := e.Payload.(event.SaleCompleted)
			if sale.ItemID == "bad" && limit > 5 {
				panic("no such item")
			}
			if sale.ItemID == "odd" && limit > 5 {
				return errors.New("the item is odd")
			}
			key := masterdata.PositionKey{Tenant: e.TenantID, Item: sale.ItemID, Location: "tally"}
			positions, err := ledger.LockPositions(ctx, tx, []masterdata.PositionKey{key}, nil)
			if err != nil {
				return err
			}
			p := positions[key]
			p.OnHand, p.Sequence = p.OnHand.Add(sale.Quantity), p.Sequence+1
			if err := ledger.Post(ctx, tx, []ledger.Movement{{EventID: e.ID, Position: p.ID, Sequence: p.Sequence, Quantity: sale.Quantity, OnHand: p.OnHand, Type: event.TransactionSale, OccurredAt: e.Timestamp}}, []*ledger.Position{p}); err != nil {
				return err
			}
			if p.OnHand.LessThan(workertest.Decimal(fmt.Sprint(limit))) {
				continue
			}
			if err := tx.For(e.Envelope).Emit(sale.ItemID, p.Sequence, event.InventoryLowStock{ItemID: sale.ItemID, LocationID: "tally", Available: p.OnHand, Threshold: workertest.Decimal(fmt.Sprint(limit))}); err != nil {
				return err
			}
		}
		return nil
	}, event.TypeSaleCompleted))
}

var tallied = []kept.Table{
	{Name: "item", Key: []string{"tenant_id", "item_id"}, Except: []string{"first_seen"}},
	{Name: "location", Key: []string{"tenant_id", "location_id"}, Except: []string{"first_seen"}},
	{Name: "position", Key: []string{"tenant_id", "item_id", "location_id"}, Except: []string{"id"}},
	{Name: "movement", Key: []string{"event_id", "line"}, Except: []string{"position_id"}},
}

func handle(env *workertest.Env, w worker.Worker, item string, quantities ...string) {
	env.Helper()
	for _, q := range quantities {
		sale := workertest.Sale(env, item, "shop", q)
		env.Admit(sale)
		storetest.MustGet(workertest.Handle(env, env.DB, w, sale))(env)
	}
}

// A worker with another rule differs in exactly what the rule decides, from the state that the live worker had.
func TestAChangedRuleIsFoundExactly(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	live, changed := tally(5, tallied...), tally(7, tallied...)
	handle(env, live, "cup", "4") // before the window
	s := begin(env, nil, changed)
	env.Must(s.Copy(t.Context()))
	handle(env, live, "cup", "2", "1", "1")                                       // 6: missing; 7 and 8: another threshold
	handle(env, live, "saucer", "3")                                              // too few for both
	handle(env, live, "bad", "6")                                                 // panics
	handle(env, live, "odd", "6")                                                 // is refused
	env.Exec(`UPDATE item SET name = 'Saucer, by hand' WHERE item_id = 'saucer'`) // elsewhere
	before := state(env)
	env.Must(s.Compare(t.Context()))
	checkState(env, before)
	r := s.Report()
	if r.Events != 6 || r.Emitted != (shadow.Emissions{Different: 2, Missing: 3}) {
		t.Errorf("want 6 events, 2 different and 3 missing, got %s", told(r))
	}
	for _, d := range r.Differences {
		if d.Kind == shadow.Different && (len(d.Fields) != 1 || d.Fields[0].Path != "payload.threshold" || string(d.Fields[0].Live) != "5" || string(d.Fields[0].Shadow) != "7") {
			t.Errorf("want another threshold, got %+v", d)
		}
	}
	if r.Failed != 2 || len(r.Failures) != 2 || !strings.Contains(r.Failures[0].Error, "no such item") || !strings.Contains(r.Failures[1].Error, "the item is odd") {
		t.Errorf("want the panic and the refusal, got %+v", r.Failures)
	}
	totals := map[string]kept.Total{}
	for _, total := range r.Tables {
		totals[total.Table] = total
	}
	if p := totals["position"]; p.Missing != 2 || p.Different+p.Additional > 0 {
		t.Errorf("want the positions of the two items missing, got %+v", p)
	}
	if i := totals["item"]; i.Elsewhere != 1 || i.Missing != 2 {
		t.Errorf("want one item written elsewhere, and two missing, got %+v", i)
	}
	// The next window begins from the live tables.
	env.Must(s.Copy(t.Context()))
	handle(env, live, "cup", "1")
	env.Must(s.Compare(t.Context()))
	if r := s.Report(); r.Windows != 2 || r.Events != 7 || r.Emitted != (shadow.Emissions{Different: 3, Missing: 3}) || r.Failed != 2 {
		t.Errorf("want one more difference in the second window, got %s", told(r))
	}
}

// What is not declared cannot be written: the database refuses it.
func TestAnUndeclaredTableIsNotWritten(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	live := tally(5, tallied...)
	handle(env, live, "cup", "4")
	s := begin(env, nil, tally(5, tallied[:3]...))
	env.Must(s.Copy(t.Context()))
	handle(env, live, "cup", "1")
	before := state(env)
	if err := s.Compare(t.Context()); !errors.Is(err, kept.ErrWrites) || s.Report().Windows != 0 {
		t.Errorf("want a refusal and no window, got %v and %s", err, told(s.Report()))
	}
	checkState(env, before)
}

// The live worker waits for no shadow, and of a shadow whose connection is cut nothing stays.
func TestAShadowHoldsNothingAndLeavesNothing(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	live := tally(5, tallied...)
	handle(env, live, "cup", "4")
	within := false
	slow := worker.New("tally", keeps.Tables(tallied...), worker.OnBatch(func(ctx context.Context, tx *worker.Tx, events []event.Any) error {
		key := masterdata.PositionKey{Tenant: events[0].TenantID, Item: "cup", Location: "tally"}
		if _, err := ledger.LockPositions(ctx, tx, []masterdata.PositionKey{key}, nil); err != nil {
			return err
		}
		if !within {
			within = true
			handle(env, live, "cup", "1") // while the shadow has the position locked
		}
		return nil
	}, event.TypeSaleCompleted))
	s := begin(env, nil, slow)
	env.Must(s.Copy(t.Context()))
	handle(env, live, "cup", "2")
	env.Must(s.Compare(t.Context()))
	if r := s.Report(); !within || r.Events != 1 || r.Emitted.Missing != 1 {
		t.Errorf("want one event handled, whose emission is missing, got %s", told(r))
	}
	env.Must(s.Copy(t.Context()))
	if r := s.Report(); r.LeftOut != 0 {
		t.Errorf("want none left out before the window ends, got %s", told(r))
	}
	if cut := storetest.One[int](env, env.SQL(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'shadow'`); cut != 1 {
		t.Fatalf("want one connection of the shadow, found %d", cut)
	}
	before := state(env)
	if err := s.Compare(t.Context()); !errors.Is(err, kept.ErrGone) && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("want the copies gone, got %v", err)
	}
	env.Eventually("no temporary table is left", func() bool {
		return storetest.One[int](env, env.SQL(), `SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'`) == 0
	})
	checkState(env, before)
	env.Must(s.Copy(t.Context()))
	handle(env, live, "cup", "1")
	env.Must(s.Compare(t.Context()))
	if r := s.Report(); r.Windows != 2 || r.LeftOut != 1 {
		t.Errorf("want the session to go on, and one event left out, got %s", told(r))
	}
}
