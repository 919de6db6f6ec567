package delays_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/delays"
	"github.com/composerp/composerp/store/storetest"
)

// late is a delivery that was in one stage for some seconds, and handled for one more.
func late(id uuid.UUID, s delay.Stage, seconds int) delays.Late {
	began := time.Unix(1_795_800_000, 0)
	times := delay.Since(began)
	times.Until(s, began.Add(time.Duration(seconds)*time.Second))
	times.Until(delay.Handling, began.Add(time.Duration(seconds+1)*time.Second))
	return delays.Late{EventID: id, Times: times}
}

func record(t *testing.T, p *storetest.Env, consumer string, at time.Time, of ...delays.Late) {
	t.Helper()
	storetest.Must(t, p.DB.InTx(t.Context(), func(tx store.Tx) error { return delays.Record(t.Context(), tx, consumer, at, of) }))
}

// Each event of a batch has its own times; of two rows of one event the first counts, and the newest are listed first.
func TestLateDeliveriesOfABatch(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	p.Consumer("ledger")
	sales := storetest.Sales(3)
	for _, e := range sales {
		p.Append(e)
	}
	now := time.Now()
	record(t, p, "ledger", now, late(sales[0].ID, delay.Queue, 3), late(sales[1].ID, delay.Retry, 60))
	record(t, p, "ledger", now.Add(time.Hour), late(sales[1].ID, delay.Buffer, 9))
	for e, want := range map[uuid.UUID]delays.Delivery{sales[0].ID: {Widest: "queue", Seconds: 4}, sales[1].ID: {Widest: "retry", Seconds: 61}} {
		x := storetest.MustGet(delays.Explain(t.Context(), p.DB, e, nil))(t)
		if got := x.Deliveries[0]; got.Widest != want.Widest || got.Seconds != want.Seconds || len(got.Stages) != 2 || got.HandledAt == nil {
			t.Errorf("want %+v, got %+v", want, got)
		}
	}
	x := storetest.MustGet(delays.Explain(t.Context(), p.DB, sales[2].ID, nil))(t)
	if got := x.Deliveries[0]; got.HandledAt != nil || got.Widest != "relay" || got.State != "unpublished" {
		t.Errorf("want an event that no relay has published, got %+v", got)
	}
	list := storetest.MustGet(delays.Newest(t.Context(), p.DB, 2))(t)
	if len(list) != 2 || list[0].Widest != "buffer" || list[0].Seconds != 10 || list[1].EventID != sales[0].ID {
		t.Errorf("want the newest two, got %+v", list)
	}
	if x, err := delays.Explain(t.Context(), p.DB, uuid.New(), nil); x != nil || err != nil {
		t.Errorf("want nothing of an event that is not in the log, got %+v, %v", x, err)
	}
}

// Time before the first stage that the message says nothing of is shown, so that the total is the event's whole age.
func TestTimeThatNothingAccountsForIsShown(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	p.Consumer("ledger")
	sale := storetest.Sales(1)[0]
	p.Append(sale)
	p.Exec(`UPDATE event_log SET logged_at = now() - interval '1 hour'`)
	record(t, p, "ledger", time.Now(), late(sale.ID, delay.Queue, 3))
	d := storetest.MustGet(delays.Explain(t.Context(), p.DB, sale.ID, nil))(t).Deliveries[0]
	if d.Widest != delays.Unmeasured || d.Stages[0].Stage != delays.Unmeasured || d.Seconds < 3599 || d.Seconds > 3700 {
		t.Errorf("want an hour that nothing accounts for, got %+v", d)
	}
	p.Exec(`UPDATE event_log SET logged_at = NULL`) // as the version before has logged it
	if d = storetest.MustGet(delays.Explain(t.Context(), p.DB, sale.ID, nil))(t).Deliveries[0]; d.Seconds != 4 {
		t.Errorf("want what is kept, got %+v", d)
	}
}

// A transaction that is rolled back leaves no times: they come with the effect or not at all.
func TestTimesComeWithTheEffect(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	broken := errors.New("the handler failed")
	err := p.DB.InTx(t.Context(), func(tx store.Tx) error {
		return errors.Join(delays.Record(t.Context(), tx, "ledger", time.Now(), []delays.Late{late(uuid.New(), delay.Queue, 3)}), broken)
	})
	storetest.IsError(t, err, broken)
	if kept := storetest.MustGet(delays.Newest(t.Context(), p.DB, 0))(t); len(kept) != 0 {
		t.Errorf("want nothing kept, got %+v", kept)
	}
}

func TestLateDeliveriesAreBounded(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	p.Exec(`INSERT INTO delivery_delay (consumer, handled_at, late)
		SELECT i::text, clock_timestamp() - interval '15 days' * CAST(i <= 12000 AS int), '' FROM generate_series(1, 13000) i`)
	left := func() int { return storetest.One[int](t, p.SQL(), `SELECT count(*) FROM delivery_delay`) }
	storetest.Must(t, delays.Thin(t.Context(), p.DB, delays.Life, delays.Most))
	if n := left(); n != 1000 {
		t.Errorf("want the young ones kept, got %d", n)
	}
	storetest.Must(t, delays.Thin(t.Context(), p.DB, delays.Life, 300))
	if n, oldest := left(), storetest.One[int](t, p.SQL(), `SELECT min(consumer::int) FROM delivery_delay`); n != 300 || oldest != 12701 {
		t.Errorf("want the newest kept, got %d from %d on", n, oldest)
	}
}

// A session that waits for a lock is seen, and that its transaction asks which one it is.
func TestWhoWaitsForLocks(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	release := storetest.Lock(t, p.URL, `LOCK TABLE inbox_generation IN ACCESS EXCLUSIVE MODE`)
	sessions, done := make(chan int, 1), make(chan error, 1)
	go func() {
		done <- p.DB.InTx(t.Context(), func(tx store.Tx) error {
			session, err := delays.Session(t.Context(), tx)
			sessions <- session
			if err != nil {
				return err
			}
			p.Claims(tx, 1, uuid.New())
			return nil
		})
	}()
	session := <-sessions
	storetest.Eventually(t, "the wait is seen", func() bool {
		waits := storetest.MustGet(delays.LockWaits(t.Context(), p.DB))(t)
		return len(waits) == 1 && waits[0].Session == session && waits[0].Seconds > 0.1
	})
	release()
	storetest.Must(t, <-done)
	if waits := storetest.MustGet(delays.LockWaits(t.Context(), p.DB))(t); len(waits) != 0 {
		t.Errorf("want no waits, got %+v", waits)
	}
}
