package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/projection"
	"github.com/composerp/composerp/store/storetest"
)

// tally counts the movements of each item: what comes twice counts twice.
var tally = projection.Projection{
	Name: "tally", Version: 1, Worker: "view", Once: true, Types: []event.Type{event.TypeInventoryUpdated}, Fold: count,
	Tables: []projection.Table{{Name: "tally", Key: []string{"item_id"}, Identity: "id"}},
}

func count(ctx context.Context, tx store.Tx, events []event.Any) error {
	for _, e := range events {
		_, err := pg.RawTx(tx).ExecContext(ctx, `
INSERT INTO tally AS t (item_id, units) VALUES ($1, 1) ON CONFLICT (item_id) DO UPDATE SET units = t.units + 1`, e.Payload.(event.InventoryUpdated).ItemID)
		if err != nil {
			return pg.MapError(err)
		}
	}
	return nil
}

// counter is a live worker that adds up.
type counter struct {
	*bench
	other   *store.DB
	handled map[string]int
}

func newCounter(t *testing.T) *counter {
	w := &counter{newBench(t), nil, map[string]int{}}
	w.other = storetest.Open(t, w.URL, 4)
	w.Exec(`CREATE TABLE tally (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item_id text NOT NULL UNIQUE, units int NOT NULL DEFAULT 0)`)
	return w
}

func (w *counter) handle(ctx context.Context, events ...event.Any) error {
	fresh := 0
	err := w.InTx(ctx, func(tx store.Tx) error {
		claimed, err := inbox.Claim(ctx, tx, w.view, storetest.IDs(events))
		fresh = len(claimed)
		if err != nil || fresh == 0 {
			return err
		}
		return count(ctx, tx, events)
	})
	if err == nil && fresh > 0 {
		for _, e := range events {
			w.handled[e.Payload.(event.InventoryUpdated).ItemID]++
		}
	}
	return err
}

func (w *counter) logged(item string) event.Any {
	e := updated(w, item, 1)
	w.Append(e)
	return e
}

func (w *counter) right(when string) {
	w.Helper()
	for item, want := range w.handled {
		if got := storetest.One[int](w, w.SQL(), `SELECT coalesce((SELECT units FROM tally WHERE item_id = $1), 0)`, item); got != want {
			w.Errorf("%s: %s counts %d, want %d", when, item, got, want)
		}
	}
	if got := w.rows("tally"); got != len(w.handled) {
		w.Errorf("%s: %d items are counted, want %d", when, got, len(w.handled))
	}
}

func (w *counter) same(when string) {
	w.Helper()
	if report := storetest.MustGet(projection.Diff(w.Context(), w.DB, tally, "a", 5))(w); report.Differs() {
		w.Errorf("%s: the diff is %+v", when, report)
	}
}

// What the worker has still to handle is in no table that is switched to or back to: handled after it, it counts once.
func TestWhatAddsUpCountsOnceThroughASwitch(t *testing.T) {
	t.Parallel()
	w := newCounter(t)
	ctx := t.Context()
	for i := range 20 {
		storetest.Must(t, w.handle(ctx, w.logged(fmt.Sprint("item", i%4))))
	}
	late, later, last := w.logged("item0"), w.logged("item1"), w.logged("new")
	w.tick()
	storetest.Must(t, projection.Rebuild(ctx, w.DB, tally, "a", by, nil))
	w.same("with three events in the queue")
	storetest.Must(t, w.handle(ctx, late)) // after its page was folded
	w.same("with two events in the queue")
	ids := storetest.One[string](t, w.SQL(), `SELECT string_agg(item_id || id, ' ' ORDER BY id) FROM tally`)
	storetest.Must(t, projection.Switch(ctx, w.other, tally, "b", by))
	w.right("after the switch")
	if got := storetest.One[string](t, w.SQL(), `SELECT string_agg(item_id || id, ' ' ORDER BY id) FROM tally`); got != ids {
		t.Errorf("the rows have the ids %s, want %s", got, ids)
	}
	for _, e := range []event.Any{later, later, last} {
		storetest.Must(t, w.handle(ctx, e))
	}
	w.right("with what was in the queue at the switch")
	after := w.logged("item2")
	w.tick()
	storetest.Must(t, w.handle(ctx, w.logged("item3")))
	w.tick()
	storetest.Must(t, projection.Back(ctx, w.other, tally, "b", by))
	w.right("after going back")
	storetest.Must(t, w.handle(ctx, after))
	w.right("with what was in the queue then")
	storetest.Must(t, projection.Back(ctx, w.other, tally, "b", by))
	w.right("after going back again")
}

// Random steps of the worker, rebuilds, switches and ways back, beside one another.
func TestWhatAddsUpIsRightWheneverItIsSwitched(t *testing.T) {
	t.Parallel()
	w := newCounter(t)
	var queue []event.Any
	step := func(ctx context.Context) error {
		if rand.IntN(3) == 0 && len(queue) > 0 { // not in the log's order
			i := rand.IntN(len(queue))
			e := queue[i]
			queue = append(queue[:i], queue[i+1:]...)
			return w.handle(ctx, e)
		}
		e := updated(w, fmt.Sprint("item", rand.IntN(12)), 1)
		if err := w.InTx(ctx, func(tx store.Tx) error { return eventlog.Append(ctx, tx, []event.Any{e}) }); err != nil {
			return err
		}
		w.Expire("ticker")
		w.ticker = w.NewTicker()
		_, err := w.ticker.Step(ctx, w.ticker.Lease)
		queue = append(queue, e)
		if err == nil && rand.IntN(2) == 0 {
			e, queue = queue[len(queue)-1], queue[:len(queue)-1]
			err = w.handle(ctx, e)
		}
		return err
	}
	for round := range 6 {
		stop := make(chan struct{})
		storetest.Concurrently(t, func(ctx context.Context) error {
			for {
				select {
				case <-stop:
					return nil
				default:
				}
				if err := step(ctx); err != nil {
					return err
				}
			}
		}, func(ctx context.Context) error {
			defer close(stop)
			if round%3 == 2 {
				return projection.Back(ctx, w.other, tally, "b", by)
			}
			if err := projection.Rebuild(ctx, w.other, tally, "b", by, nil); err != nil {
				return err
			}
			report, err := projection.Diff(ctx, w.other, tally, "b", 5)
			if err == nil && report.Differs() {
				err = fmt.Errorf("round %d: the diff is %+v", round, report)
			}
			return errors.Join(err, projection.Switch(ctx, w.other, tally, "b", by))
		})
		w.right(fmt.Sprint("round ", round))
	}
	for _, e := range queue {
		storetest.Must(t, w.handle(t.Context(), e))
	}
	w.right("at the end")
}
