package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/projection"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/store/storetest"
)

var (
	key = []string{"tenant_id", "item_id", "location_id"}
	by  = operatorlog.By{Operator: "ann", Reason: "test"}

	positions = projection.Projection{
		Name: "positions", Version: 1, Types: []event.Type{event.TypeInventoryUpdated}, Fold: ledger.FoldPositions,
		Tables: []projection.Table{{Name: "position", Key: key, Columns: []string{"on_hand", "reserved", "sequence"}, Where: "sequence > 0"}},
	}
	view = projection.Projection{
		Name: "view", Version: 1, Worker: "view", Types: []event.Type{event.TypeInventoryUpdated}, Fold: foldStock,
		Tables: []projection.Table{{Name: "stock", Key: key}},
	}
)

func foldStock(ctx context.Context, tx store.Tx, events []event.Any) error {
	newest := map[string]stockview.Stock{}
	for _, e := range events {
		p := e.Payload.(event.InventoryUpdated)
		if newest[p.ItemID].Sequence < e.Metadata.Sequence {
			newest[p.ItemID] = stockview.Stock{
				Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID, OnHand: p.OnHand, Available: p.Available,
				Sequence: e.Metadata.Sequence, LastMovement: e.Timestamp, LastType: string(p.TransactionType),
			}
		}
	}
	var rows []stockview.Stock
	for _, r := range newest {
		rows = append(rows, r)
	}
	return stockview.UpdateStock(ctx, tx, rows)
}

// updated is a position's movement of one to the quantity n.
func updated(t testing.TB, item string, n int) event.Any {
	t.Helper()
	on := storetest.Decimal(t, fmt.Sprintf("%d.25", n))
	e, err := event.Encode(event.Envelope{
		ID: uuid.New(), TenantID: "shop", AggregateID: item + "@uk", Timestamp: storetest.Morning, Metadata: event.Metadata{Source: "test", Sequence: int64(n)},
	}, event.InventoryUpdated{
		ItemID: item, LocationID: "uk", OnHand: on, Available: on, Change: storetest.Decimal(t, "1"), TransactionID: "x", TransactionType: event.TransactionSale,
	})
	storetest.Must(t, err)
	return e
}

type bench struct {
	*storetest.Env
	ticker *storetest.Ticker
	view   inbox.ConsumerID
}

func newBench(t *testing.T) *bench {
	h := storetest.NewEnv(t, 12)
	return &bench{Env: h, ticker: h.NewTicker(), view: storetest.MustGet(inbox.Subscribe(t.Context(), h.DB, "view", []string{string(event.TypeInventoryUpdated)}))(t)}
}

func (w *bench) rows(schema string) int {
	return storetest.One[int](w, w.SQL(), `SELECT count(*) FROM `+schema)
}

// tick makes ticks until the newest one has seen every event; the lease may have ended while the test did other things.
func (w *bench) tick() {
	w.Helper()
	w.Expire("ticker")
	w.ticker = w.NewTicker()
	w.ticker.Tick()
}

// handle is the live worker: each event once, by the inbox, newest state to the live table.
func (w *bench) handle(ctx context.Context, events ...event.Any) error {
	return w.InTx(ctx, func(tx store.Tx) error {
		claimed, err := inbox.Claim(ctx, tx, w.view, storetest.IDs(events))
		if err != nil {
			return err
		}
		var fresh []event.Any
		for _, e := range events {
			if claimed[e.ID] {
				fresh = append(fresh, e)
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		return foldStock(ctx, tx, fresh)
	})
}

// Events that commit late, among others that commit at once, are all in the rebuilt tables: each event has a row of its
// own, so that one that is skipped is missing.
func TestARebuildSkipsNoEventThatCommitsLate(t *testing.T) {
	t.Parallel()
	w := newBench(t)
	late := w.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), late, []event.Any{updated(t, "late", 1)}))
	var written atomic.Int64
	writers := []func(context.Context) error{}
	for i := range 3 {
		writers = append(writers, func(ctx context.Context) error {
			for n := range 60 {
				err := w.InTx(ctx, func(tx store.Tx) error {
					for j := range 1 + rand.IntN(3) {
						if err := eventlog.Append(ctx, tx, []event.Any{updated(t, fmt.Sprintf("%d-%d-%d", i, n, j), 1)}); err != nil {
							return err
						}
						written.Add(1)
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	var ended sync.WaitGroup
	ended.Add(len(writers))
	run := []func(context.Context) error{func(ctx context.Context) error {
		done := make(chan struct{})
		go func() { ended.Wait(); close(done) }()
		for {
			w.Expire("ticker")
			w.ticker = w.NewTicker()
			if _, err := w.ticker.Step(ctx, w.ticker.Lease); err != nil {
				return err
			}
			if err := projection.Rebuild(ctx, w.DB, positions, "a", by, nil); err != nil {
				return err
			}
			select {
			case <-done:
				return nil
			default:
			}
		}
	}}
	for _, f := range writers {
		run = append(run, func(ctx context.Context) error { defer ended.Done(); return f(ctx) })
	}
	storetest.Concurrently(t, run...)
	storetest.Must(t, late.Commit())
	w.tick()
	storetest.Must(t, projection.Rebuild(t.Context(), w.DB, positions, "a", by, nil))
	if got, want := w.rows("public_positions_rebuild.position"), int(written.Load())+1; got != want {
		t.Errorf("%d of %d events are in the rebuilt table", got, want)
	}
	if s := storetest.MustGet(projection.Read(t.Context(), w.DB, positions))(t); s.Events != written.Load()+1 {
		t.Errorf("%d events were counted, want %d", s.Events, written.Load()+1)
	}
}

// A rebuild that is killed ten times, by its context or by the end of its connections, comes to the same.
func TestARebuildKilledTenTimesEndsTheSame(t *testing.T) {
	t.Parallel()
	w := newBench(t)
	var events []event.Any
	for i := range 900 {
		events = append(events, updated(t, fmt.Sprint("item", i%90), 1+i/90))
	}
	storetest.Must(t, w.InTx(t.Context(), func(tx store.Tx) error { return eventlog.Append(t.Context(), tx, events) }))
	w.tick()
	killed := 0
	for killed < 10 {
		db := storetest.Open(t, storetest.WithParameter(w.URL, "application_name", "victim"), 4)
		ctx, cancel := context.WithCancel(t.Context())
		after := 1 + rand.IntN(2)
		err := projection.Rebuild(ctx, db, positions, "victim", by, func(int64, int64) {
			if after--; after > 0 {
				return
			}
			if killed%2 == 0 {
				w.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim' AND datname = current_database()`)
			}
			cancel()
		})
		cancel()
		db.Close()
		w.Expire("projection.positions")
		if err == nil {
			break
		}
		killed++
	}
	if killed < 10 {
		t.Fatalf("it ended after %d deaths", killed)
	}
	storetest.Must(t, projection.Rebuild(t.Context(), w.DB, positions, "a", by, nil))
	same := storetest.One[int](t, w.SQL(), `SELECT count(*) FROM public_positions_rebuild.position WHERE on_hand = 10.25 AND sequence = 10`)
	s := storetest.MustGet(projection.Read(t.Context(), w.DB, positions))(t)
	if same != 90 || s.Events != 900 || s.Behind != 0 {
		t.Errorf("want 90 positions from 900 events, got %d from %d, %d behind", same, s.Events, s.Behind)
	}
}

// Rebuild, diff, switch and back while the live worker goes on: nothing is lost, nothing goes back, and two never run
// at once.
func TestTheLiveWorkerGoesOnThroughASwitch(t *testing.T) {
	t.Parallel()
	w := newBench(t)
	ctx := t.Context()
	other := storetest.Open(t, w.URL, 4)
	n := map[string]int{}
	next := func(item string) event.Any { n[item]++; return updated(t, item, n[item]) }
	logged := func(e event.Any) event.Any { w.Append(e); return e }
	for i := range 200 {
		storetest.Must(t, w.handle(ctx, logged(next(fmt.Sprint("item", i%20)))))
	}
	unhandled := logged(next("item0")) // still in the queue
	w.tick()
	w.Exec(`UPDATE stock SET on_hand = 999 WHERE item_id = 'item3'`)
	w.Exec(`DELETE FROM stock WHERE item_id = 'item4'`)

	// A second one waits for the first, and gives up.
	began, end := make(chan struct{}), make(chan struct{})
	var once sync.Once
	storetest.Concurrently(t, func(ctx context.Context) error {
		return projection.Rebuild(ctx, w.DB, view, "a", by, func(int64, int64) { once.Do(func() { close(began); <-end }) })
	}, func(ctx context.Context) error {
		defer close(end)
		select {
		case <-began:
		case <-ctx.Done(): // the first one has failed
			return nil
		}
		if err := projection.Rebuild(ctx, other, view, "b", by, nil); !errors.Is(err, projection.ErrRunning) {
			return fmt.Errorf("two rebuilds ran at once: %w", err)
		}
		// The live worker is not held up by a rebuild that stands in the middle.
		return w.handle(ctx, logged(next("item1")))
	})
	w.tick()
	report := storetest.MustGet(projection.Diff(ctx, w.DB, view, "a", 1))(t)
	if total := report.Totals[0]; total != (projection.Total{Table: "stock", Same: 18, Added: 1, Changed: 1}) || len(report.Rows) != 1 {
		t.Errorf("the diff is %+v", report)
	} else if !strings.Contains(string(report.Rows[0].Live)+string(report.Rows[0].Rebuilt), "item") {
		t.Errorf("the row is %+v", report.Rows[0])
	}

	// The worker handles events before, during and after the switch. One transaction has claimed its event and not yet
	// written when the switch begins.
	claimed := logged(next("item2"))
	w.tick()
	open := w.OpenTx()
	storetest.MustGet(inbox.Claim(ctx, open, w.view, []uuid.UUID{claimed.ID}))(t)
	stop := make(chan struct{})
	storetest.Concurrently(t, func(ctx context.Context) error {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return nil
			default:
			}
			e := next(fmt.Sprint("busy", i)) // an item of its own: the next event of one would bring what is lost
			w.Append(e)
			w.Expire("ticker")
			w.ticker = w.NewTicker()
			if _, err := w.ticker.Step(ctx, w.ticker.Lease); err != nil { // the relay publishes what a tick has seen
				return err
			}
			if err := w.handle(ctx, e); err != nil {
				return err
			}
		}
	}, func(ctx context.Context) error {
		defer close(stop)
		return projection.Switch(ctx, other, view, "b", by)
	})
	storetest.Must(t, foldStock(ctx, open, []event.Any{claimed}))
	storetest.Must(t, open.Commit())
	storetest.Must(t, w.handle(ctx, unhandled))
	right := func(when string) {
		t.Helper()
		for item, last := range n {
			got := storetest.One[string](t, w.SQL(), `SELECT coalesce((SELECT on_hand || ' of ' || sequence FROM stock WHERE item_id = $1), '-')`, item)
			if want := fmt.Sprintf("%d.25 of %d", last, last); got != want {
				t.Errorf("%s: %s is %s, want %s", when, item, got, want)
			}
		}
	}
	right("after the switch")
	s := storetest.MustGet(projection.Read(ctx, w.DB, view))(t)
	if s.Kept == nil || s.Rebuild != nil || s.Switched == nil || w.rows("public_view_kept.stock") == 0 {
		t.Errorf("after the switch the state is %+v", s)
	}
	if got := storetest.One[string](t, w.SQL(), `SELECT string_agg(indexname, ' ') FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'stock'`); got != "stock_pkey" {
		t.Errorf("the new table has the indexes %s", got)
	}

	// Back: what came since is in the kept tables, and what was wrong in them is back.
	storetest.Must(t, w.handle(ctx, logged(next("busy0"))))
	w.tick()
	storetest.Must(t, projection.Back(ctx, other, view, "b", by))
	if got := storetest.One[string](t, w.SQL(), `SELECT on_hand::text FROM stock WHERE item_id = 'item3'`); got != "999" {
		t.Errorf("the row of before has %s", got)
	}
	w.Exec(`UPDATE stock SET on_hand = 10.25 WHERE item_id = 'item3'`)
	delete(n, "item4") // its row was deleted
	right("after going back")
	storetest.Must(t, projection.DropOld(ctx, other, view, "b", by))
	storetest.IsError(t, projection.Back(ctx, other, view, "b", by), projection.ErrNothing)
	storetest.IsError(t, projection.Switch(ctx, other, view, "b", by), projection.ErrNoRebuild)
	storetest.IsError(t, projection.Cancel(ctx, other, view, "b", by), projection.ErrNoRebuild)
	if got := w.rows(`pg_namespace WHERE nspname LIKE 'public\_%'`); got != 0 {
		t.Errorf("%d schemas are left", got)
	}
}
